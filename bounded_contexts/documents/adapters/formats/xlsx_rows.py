"""The quick way of a sheet's rows: cells are found by one expression, and those that stand in one column are made together.

What is not written as usual is left to the parser, which is given nothing else: to it the other rows are not there."""

import re
from collections.abc import Callable, Iterator, Sequence
from decimal import Decimal
from itertools import pairwise
from typing import Final, NamedTuple

from bounded_contexts.documents.adapters.formats.xlsx_cells import ROWS, column_of
from bounded_contexts.documents.adapters.formats.xlsx_package import unescaped
from bounded_contexts.documents.adapters.formats.xml_alike import NotAlike, dereferenced, has_more_than_tags, is_written
from bounded_contexts.documents.domain.values import Value

LONGEST: Final = 4 << 20  # bytes that are looked at together
EMPTY: Final = 1_000_000  # cells of rows that are looked at together, with those that are left out
LAYOUTS: Final = 1_000  # of rows that are known
_CHARSET = rb"(?![^>]*encoding\s*=\s*(?![\"'](?i:utf-8)[\"']))"
_HEAD = re.compile(rb"(?:\xef\xbb\xbf)?(?:<\?xml\s%b[^>]*\?>)?\s*<worksheet[\s>]" % _CHARSET)
_FIRST = re.compile(rb"<row[\s>]")
_X14AC: Final = b'xmlns:x14ac="'
_ATTRIBUTE: Final = r'(?: (?:spans|ht|customHeight|s|customFormat|thickBot|thickTop|x14ac:dyDescent)="[^"<&]*")'
_NAMES = re.compile(r' ([\w:]+)="')
_BEGIN = re.compile(rf'\s*<row r="([1-9][0-9]{{0,6}})"({_ATTRIBUTE}*)>')
_CELL = re.compile(
    r'<c r="([A-Z]{1,3})([0-9]{1,7})"([^<>/]*)(?:/>|>(?:<f>[^<>]*</f>|<f/>)?'
    r'(?:<v>([^<]+)</v>|<is><t(?: xml:space="preserve")?>([^<]*)</t></is>)?</c>)'
)
_PARTS: Final = 6  # that a row is split into for each cell: what is before it, column, row, attributes, value, text
_ATTRIBUTES = re.compile(r'(?: s="([0-9]{1,6})")?(?: t="(s|str|inlineStr|b|n)")?')
_INTEGERS = re.compile(r"(?:-?[0-9]{1,300}(?:\n|\Z))+")  # a cell to a line
_NUMBERS = re.compile(r"(?:-?[0-9]{1,15}(?:\.[0-9]{1,30})?(?:\n|\Z))+")


class Layout(NamedTuple):
    """How the cells of a row are written."""

    columns: tuple[int, ...]
    kinds: tuple[tuple[str, int], ...]  # and styles


class QuickRows:
    """Reads rows that are written as usual. `number_of` makes a value of a number and its style; it is asked where styles are
    `special`, and for what is not a plain number."""

    def __init__(
        self, texts: Sequence[str], columns: int, special: Callable[[int], bool], number_of: Callable[[str, int], Value]
    ) -> None:
        self._texts = texts
        self._most = columns
        self._special = special
        self._number_of = number_of
        self._layouts: dict[tuple[str, ...], Layout] = {}
        self._attributes = {""}  # of rows, that are known to be fine
        self._has_x14ac = False

    def begins_in(self, data: bytes) -> int:
        """Return how long the beginning of the sheet is, before its rows; -1 if this way is not for it, or not known yet."""
        first = _FIRST.search(data)
        if first is None or _HEAD.match(data) is None:
            return -1
        self._has_x14ac = _X14AC in data[: first.start()]
        return first.start()

    def rows(self, data: bytes, last: int) -> list[tuple[int, list[Value]]]:
        """Return number and cells of each row; the one before them has the number `last`. Raise `NotAlike`."""
        if not is_written(data) or has_more_than_tags(data) or b"\r" in data:
            raise NotAlike
        try:
            return self._rows(data.decode(), last)
        except (ValueError, IndexError, ArithmeticError):
            raise NotAlike from None  # the parser tells what is wrong, and where

    def _rows(self, text: str, last: int) -> list[tuple[int, list[Value]]]:
        found: list[tuple[int, list[Value]]] = []
        groups: dict[tuple[str, ...], list[tuple[int, list[str]]]] = {}
        pieces = text.split("</row>")
        pieces.pop()  # behind the last one there is nothing
        for index, piece in enumerate(pieces):
            begin = _BEGIN.match(piece)
            if begin is None or not (begin[2] in self._attributes or self._may_have(begin[2])):
                raise NotAlike
            number = int(begin[1])
            parts = _CELL.split(piece[begin.end() :])
            if not last < number <= ROWS or any(parts[::_PARTS]) or not {*parts[2::_PARTS]} <= {begin[1]}:
                raise NotAlike
            found.append((number, []))
            groups.setdefault((*parts[1::_PARTS], *parts[3::_PARTS]), []).append((index, parts))
            last = number
        for key, rows in groups.items():
            cells = self._cells(key, [parts for _, parts in rows]) if key else iter(())
            for (index, _), row in zip(rows, cells, strict=bool(key)):
                found[index][1].extend(row)
        return found

    def _may_have(self, attributes: str) -> bool:
        names = _NAMES.findall(attributes)
        is_fine = len(set(names)) == len(names) and (self._has_x14ac or "x14ac" not in attributes)
        if is_fine and len(self._attributes) < LAYOUTS:
            self._attributes.add(attributes)
        return is_fine

    def _cells(self, key: tuple[str, ...], rows: list[list[str]]) -> Iterator[tuple[Value, ...]]:
        """Return the cells of rows that are laid out alike."""
        layout = self._layouts.get(key) or self._laid_out(key)
        if (layout.columns[-1] + 1) * len(rows) > EMPTY:
            raise NotAlike
        values = zip(*[row[4::_PARTS] for row in rows], strict=True)
        texts = zip(*[row[5::_PARTS] for row in rows], strict=True)
        columns: list[Sequence[Value]] = []
        nothing = [None] * len(rows)
        width = 0
        for column, (kind, style), value, text in zip(layout.columns, layout.kinds, values, texts, strict=True):
            columns += [nothing] * (column - len(columns))
            written = text if kind == "inlineStr" else value
            if None not in written:
                columns.append(self._values(written, kind, style))
                width = len(columns)
            elif kind != "inlineStr" and set(value) == set(text) == {None}:
                columns.append(nothing)
            else:
                raise NotAlike
        return zip(*columns[:width], strict=True) if width else iter([()] * len(rows))

    def _laid_out(self, key: tuple[str, ...]) -> Layout:
        if len(self._layouts) >= LAYOUTS:
            raise NotAlike
        half = len(key) // 2
        columns = tuple(column_of(f"{letters}1") for letters in key[:half])
        matches = [_ATTRIBUTES.fullmatch(attributes) for attributes in key[half:]]
        if any(after <= before for before, after in pairwise(columns)) or columns[-1] >= self._most:
            raise NotAlike
        kinds = tuple((match[2] or "n", int(match[1] or 0)) for match in matches if match)
        if len(kinds) < half:
            raise NotAlike
        found = self._layouts[key] = Layout(columns, kinds)
        return found

    def _values(self, texts: Sequence[str], kind: str, style: int) -> Sequence[Value]:
        if kind == "s":
            if not (numbers := "".join(texts)).isascii() or not numbers.isdecimal():
                raise NotAlike
            return list(map(self._texts.__getitem__, map(int, texts)))
        if kind == "b":
            return [text.strip() == "1" for text in texts]
        together = "\n".join(texts)
        if kind != "n":
            if "&" in together:
                texts = [dereferenced(text) for text in texts]
                together = "_x"
            return [unescaped(text) for text in texts] if "_x" in together else texts
        if not self._special(style) and together.count("\n") == len(texts) - 1:
            if _INTEGERS.fullmatch(together):
                return list(map(int, texts))
            if _NUMBERS.fullmatch(together):
                return [
                    self._number_of(text, style) if (number := float(text)).is_integer() else Decimal(repr(number))
                    for text in texts
                ]
        return [self._number_of(text, style) for text in texts]
