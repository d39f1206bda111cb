"""References in formulas, and areas, once rows and columns have moved (ECMA-376 part 1, 18.17.2.3)."""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Final

from bounded_contexts.documents.adapters.formats.xlsx_cells import COLUMNS, ROWS, Area, area_of, letters
from bounded_contexts.documents.adapters.formats.xlsx_formulas import LOST
from bounded_contexts.documents.adapters.formats.xlsx_formulas import moved as moved_formula
from bounded_contexts.documents.adapters.templates.axis import Axis, Placed, Steps, copies, first_from, last_up_to, only
from bounded_contexts.documents.domain.errors import Unreadable

AREAS: Final = 1_000  # that one area may fall into; beyond, it is what goes round all of them
_CELL: Final = r"\$?[A-Z]{1,3}\$?[0-9]{1,7}"
_PARTS = re.compile(
    r'"(?:[^"]|"")*"|\[[^\]]*\]'
    r"|(?<![\w.$\]!:'])(?P<sheet>(?:'(?:[^']|'')+'|[\w.]+)!)?"
    rf"(?P<area>{_CELL}(?::{_CELL})?|\$?[A-Z]{{1,3}}:\$?[A-Z]{{1,3}}|\$?[0-9]{{1,7}}:\$?[0-9]{{1,7}})(?![\w.(!])"
    r"|'(?:[^']|'')*'"
)
# What these are given is all copies of a cell: nothing else would mean anything.
_ALL = re.compile(r"(?:\b(?:SUM|AVERAGE|COUNT|COUNTA|COUNTBLANK|MAX|MIN|MEDIAN|PRODUCT)\(|\bSUBTOTAL\([0-9]+,)\Z")
_ACTIVE = re.compile(
    r"\||\b(?:WEBSERVICE|RTD|CALL|REGISTER|REGISTER\.ID|EXEC|IMAGE|DDE|EVALUATE|PY|STOCKHISTORY|SQL\.REQUEST|CUBE\w+)\s*\(",
    re.IGNORECASE,
)
# Whatever data says, the link stays one of these: its scheme is written in the formula, or all of a place in the workbook is.
_LINK = re.compile(r'\bHYPERLINK\s*\((?!\s*"(?:(?:https?://|mailto:|tel:)|#[^"\[]*"\s*[,)]))', re.IGNORECASE)
_ELSEWHERE = re.compile(r"\][\w.]*!")
_QUOTED = re.compile(r'"(?:[^"]|"")*"|\'(?:[^\']|\'\')*\'')


@dataclass(frozen=True, slots=True)
class Shape:
    """Both axes of a sheet, laid out."""

    rows: Placed
    columns: Placed


Shapes = Mapping[str, Shape]  # by the names of sheets, in small letters


@dataclass(frozen=True, slots=True)
class Here:
    """Where a formula stands: the sheet, and the times round its loops."""

    sheet: str
    rows: Steps
    columns: Steps


def check(formula: str, place: str) -> None:
    """Raise `Unreadable` for a formula that runs or fetches something, or that has markers."""
    if "{{" in formula:
        raise Unreadable(
            "bad_template", f"{place}: markers stand in cells of their own, not in formulas", pointer=place
        )
    if _ACTIVE.search(_QUOTED.sub("", formula)):
        raise Unreadable("not_allowed_part", f"{place}: a formula that runs or fetches something")
    names = [each for each in _QUOTED.findall(formula) if each.startswith("'")]
    if _LINK.search(formula) or _ELSEWHERE.search(_QUOTED.sub("", formula)) or any("[" in each for each in names):
        raise Unreadable("not_allowed_part", f"{place}: a formula that leads to files or other workbooks")


def moved_by(formula: str, down: int, right: int) -> str:
    """Return a formula that cells share, for one of them so far from the first."""
    return formula if not down and not right else moved_formula(formula, down, right)


def areas_in(formula: str) -> Iterator[tuple[str, Area, bool]]:
    """Yield each area that a formula refers to: the sheet's name in small letters, or none, and whether it means all copies."""
    for match in _PARTS.finditer(formula):
        if match["area"]:
            is_range = ":" in match["area"] or _means_all(formula, match)
            yield _name(match["sheet"]), area_of(match["area"].replace("$", "")), is_range


def moved(formula: str, shapes: Shapes, here: Here, *, every: bool = False) -> str:
    """Return the formula as it is where it stands now. What it refers to that is no more becomes #REF!. With `every`, a single
    cell means all of its copies."""

    def reference(match: "re.Match[str]") -> str:
        if not match["area"]:
            return match[0]
        sheet = _name(match["sheet"]) or here.sheet
        if (shape := shapes.get(sheet)) is None:
            return match[0]
        steps = (here.rows, here.columns) if sheet == here.sheet else ({}, {})
        text = match["area"]
        is_all = every or ":" in text or _means_all(formula, match)
        found = _range(text, shape, *steps) if is_all else _cell(text, shape, *steps)
        return (match["sheet"] or "") + found if found else LOST

    return _PARTS.sub(reference, formula)


def spread(reference: str, shape: Shape, *, joined: bool) -> list[str]:
    """Return the areas that an area has become, one for each time round the loops that it is in. With `joined`, those that
    touch become one, and too many the one that goes round them."""
    area = area_of(reference)
    rows = list(_runs(copies(shape.rows, area.top, area.bottom), joined=joined, most=ROWS))
    columns = [
        (left - 1, right - 1)
        for left, right in _runs(copies(shape.columns, area.left + 1, area.right + 1), joined=joined, most=COLUMNS)
    ]
    if joined and len(rows) * len(columns) > AREAS:
        rows, columns = [(rows[0][0], rows[-1][1])], [(columns[0][0], columns[-1][1])]
    return [
        _written(Area(top, left, min(bottom, ROWS), min(right, COLUMNS - 1)), is_cell=":" not in reference)
        for top, bottom in rows
        for left, right in columns
    ]


def around(reference: str, shape: Shape) -> str | None:
    """Return the area round all that an area has become, None for nothing."""
    return _range(reference, shape, {}, {})


def keep_what_is_referred_to(
    formula: str, sheet: str, axes: Mapping[str, tuple[Axis, Axis]], row: int, column: int
) -> None:
    """Have loops leave an empty row or column for what a formula refers to as a range. Rows from 1, columns from 1, 0 for a
    formula that stands in no cell."""
    for name, area, is_range in areas_in(formula):
        own = name or sheet
        if is_range and own in axes:
            rows, columns = axes[own]
            is_same = own == sheet
            rows.keep(area.top, area.bottom, row if is_same else 0)
            columns.keep(area.left + 1, area.right + 1, column if is_same else 0)


def _means_all(formula: str, match: "re.Match[str]") -> bool:
    return formula[match.end() : match.end() + 1] == ")" and bool(_ALL.search(formula, 0, match.start()))


def _name(given: str | None) -> str:
    if not given:
        return ""
    name = given[:-1]
    return (name[1:-1].replace("''", "'") if name.startswith("'") else name).lower()


def _runs(found: Iterator[tuple[int, int]], *, joined: bool, most: int) -> Iterator[tuple[int, int]]:
    before: tuple[int, int] | None = None
    for first, last in found:
        if first > most:
            break
        if before and joined and first <= before[1] + 1:
            before = (before[0], last)
            continue
        if before:
            yield before
        before = (first, last)
    if before:
        yield before


def _cell(text: str, shape: Shape, rows: Steps, columns: Steps) -> str | None:
    area = area_of(text.replace("$", ""))
    row, column = only(shape.rows, area.top, rows), only(shape.columns, area.left + 1, columns)
    if row is None or column is None or row > ROWS or column > COLUMNS:
        return None
    match = re.fullmatch(r"(\$?)[A-Z]+(\$?)[0-9]+", text)
    fixed = match.groups() if match else ("", "")
    return f"{fixed[0]}{letters(column - 1)}{fixed[1]}{row}"


def _range(text: str, shape: Shape, rows: Steps, columns: Steps) -> str | None:
    first, _, last = text.partition(":")
    area = area_of(text.replace("$", ""))
    top, bottom = first_from(shape.rows, area.top, rows), last_up_to(shape.rows, area.bottom, rows)
    left, right = first_from(shape.columns, area.left + 1, columns), last_up_to(shape.columns, area.right + 1, columns)
    if top is None or bottom is None or left is None or right is None or top > bottom or left > right:
        return None
    corners = (_corner(first, left, top), _corner(last or first, right, min(bottom, ROWS)))
    return corners[0] if corners[0] == corners[1] and not last else ":".join(corners)


def _corner(text: str, column: int, row: int) -> str:
    match = re.fullmatch(r"(\$?)([A-Z]*)(\$?)([0-9]*)", text)
    one, name, two, number = match.groups() if match else ("", "A", "", "1")
    if not name:  # a row: its mark stands before the number
        return f"{one}{two}{row}"
    return f"{one}{letters(min(column, COLUMNS) - 1)}" + (f"{two}{row}" if number else "")


def _written(area: Area, *, is_cell: bool) -> str:
    begin, end = f"{letters(area.left)}{area.top}", f"{letters(area.right)}{area.bottom}"
    return begin if is_cell and begin == end else f"{begin}:{end}"
