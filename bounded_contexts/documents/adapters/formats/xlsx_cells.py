"""How cells are called in workbooks: `B2` is column 1 (from 0) of row 2 (from 1), `B2:D9`, `B:D` and `2:9` are areas."""

import re
from dataclasses import dataclass
from typing import Final

from bounded_contexts.documents.domain.errors import Unreadable

ROWS: Final = 1_048_576
COLUMNS: Final = 16_384
_CELL = re.compile(r"([A-Z]{1,3})(\d{1,7})")
_CORNER = re.compile(r"\$?([A-Z]{0,3})\$?(\d{0,7})")


@dataclass(frozen=True, slots=True)
class Area:
    """The cells between two corners, these within. Rows from 1, columns from 0."""

    top: int
    left: int
    bottom: int
    right: int

    @property
    def cells(self) -> int:
        """Return how many there are."""
        return (self.bottom - self.top + 1) * (self.right - self.left + 1)


def column_of(reference: str) -> int:
    """Return the column of a cell. Raise `Unreadable` for what calls none."""
    match = _CELL.fullmatch(reference)
    if match is None:
        raise Unreadable("bad_xlsx", f"{reference[:20]!r} is no cell", cell=reference[:20])
    return _number(match[1])


def _number(letters: str) -> int:
    number = 0
    for letter in letters:
        number = number * 26 + ord(letter) - 64
    return number - 1


def letters(column: int) -> str:
    """Return the column as workbooks call it."""
    found = ""
    column += 1
    while column:
        column, rest = divmod(column - 1, 26)
        found = chr(65 + rest) + found
    return found


def area_of(reference: str, code: str = "bad_xlsx") -> Area:
    """Return the cells of a reference: one, or between two corners, of which both lack the row or both the column. Raise
    `Unreadable` for what calls none."""
    first, _, last = reference.partition(":")
    begin, end = _CORNER.fullmatch(first), _CORNER.fullmatch(last or first)
    if (
        begin
        and end
        and any(begin.groups())
        and [bool(part) for part in begin.groups()] == [bool(p) for p in end.groups()]
    ):
        found = Area(
            int(begin[2] or 1),
            _number(begin[1]) if begin[1] else 0,
            int(end[2] or ROWS),
            _number(end[1]) if end[1] else COLUMNS - 1,
        )
        if 0 < found.top <= found.bottom and found.left <= found.right:
            return found
    raise Unreadable(code, f"{reference[:40]!r} calls no cells")
