"""What stands in a sheet, or belongs to one, beside its rows: merged cells, formats, validations, tables, drawings and comments
follow the rows and columns that they are about."""

from copy import deepcopy
from typing import Any, Final

from bounded_contexts.documents.adapters.formats.xlsx_cells import ROWS, area_of, letters
from bounded_contexts.documents.adapters.templates import references
from bounded_contexts.documents.adapters.templates.axis import first_from, last_up_to
from bounded_contexts.documents.adapters.templates.references import Here, Shape, Shapes
from bounded_contexts.documents.adapters.templates.runs import SHEET, whole

_EXCEL: Final = "{http://schemas.microsoft.com/office/excel/2006/main}"
_PLACED: Final = "{http://schemas.openxmlformats.org/drawingml/2006/spreadsheetDrawing}"
_CHART: Final = "{http://schemas.openxmlformats.org/drawingml/2006/chart}"
_OFFICE: Final = "{urn:schemas-microsoft-com:office:excel}"
_FORMULAS: Final = tuple(f"{SHEET}{name}" for name in ("formula", "formula1", "formula2", "calculatedColumnFormula"))
_LISTS: Final = ("conditionalFormatting", "dataValidation", "protectedRange", "ignoredError")  # whose areas are a list


def check_formulas(root: Any, place: str) -> None:
    """Raise `Unreadable` for a formula that is in no cell and that none may be: of formats, validations, tables, charts."""
    for each in root.iter(*_FORMULAS, f"{SHEET}totalsRowFormula", f"{_EXCEL}f", f"{_CHART}f"):
        references.check(each.text or "", place)


def follow(root: Any, sheet: str, shapes: Shapes) -> None:
    """Have everything in a sheet but its rows follow them."""
    shape = shapes[sheet]
    for each in [*root.findall(f"{SHEET}dimension"), *root.iter(f"{SHEET}selection")]:
        each.getparent().remove(each)
    for name in ("mergeCell", "hyperlink"):
        for each in list(root.iter(f"{SHEET}{name}")):
            _repeat(each, shape, sheet, shapes)
    for name in _LISTS:
        for each in list(root.iter(f"{SHEET}{name}")):
            _spread(each, shape)
    for name in ("autoFilter", "sortState", "sortCondition"):
        for each in list(root.iter(f"{SHEET}{name}")):
            _surround(each, shape)
    for each in list(root.iter(f"{_EXCEL}sqref")):
        areas = [area for given in (each.text or "").split() for area in references.spread(given, shape, joined=True)]
        each.text = " ".join(areas) or each.text
    _formulas(root, sheet, shapes)
    for each in root.iter(f"{_EXCEL}f"):
        each.text = references.moved(each.text or "", shapes, Here(sheet, {}, {}))
    _breaks(root, shape)
    _drop_empty(root)


def follow_table(root: Any, sheet: str, shapes: Shapes) -> None:
    """Have a table object follow the rows of its sheet."""
    for each in root.iter(f"{SHEET}table", f"{SHEET}autoFilter", f"{SHEET}sortState", f"{SHEET}sortCondition"):
        each.set("ref", references.around(each.get("ref", "A1"), shapes[sheet]) or each.get("ref"))
    _formulas(root, sheet, shapes)


def follow_chart(root: Any, shapes: Shapes) -> None:
    """Have a chart follow the cells that it shows. What it remembers of them goes: programs read them again."""
    for each in list(root.iter(f"{_CHART}f")):
        each.text = references.moved(each.text or "", shapes, Here("", {}, {}), every=True)
        for kept in ("numCache", "strCache", "multiLvlStrCache"):
            for cache in each.getparent().findall(f"{_CHART}{kept}"):
                each.getparent().remove(cache)


def follow_drawing(root: Any, shape: Shape) -> None:
    """Have shapes, images and charts stand where their first cell has gone."""
    for begin in list(root.iter(f"{_PLACED}from")):
        end = begin.getparent().find(f"{_PLACED}to")
        for name, placed in (("row", shape.rows), ("col", shape.columns)):
            if (given := begin.find(f"{_PLACED}{name}")) is None:
                continue
            at = whole(given.text)
            moved = (first_from(placed, at + 1, {}) or at + 1) - 1
            given.text = str(moved)
            if end is not None and (last := end.find(f"{_PLACED}{name}")) is not None:
                last.text = str(whole(last.text) + moved - at)


def follow_comments(root: Any, shape: Shape) -> None:
    """Have comments stand at the first copies of their cells, in the list of their texts and in the drawing of their boxes."""
    for each in root.iter(f"{SHEET}comment"):
        area = area_of(each.get("ref", "A1"))
        row, column = first_from(shape.rows, area.top, {}), first_from(shape.columns, area.left + 1, {})
        each.set("ref", f"{letters((column or 1) - 1)}{row or 1}")
    for name, placed in (("Row", shape.rows), ("Column", shape.columns)):
        for each in root.iter(f"{_OFFICE}{name}"):
            at = whole(each.text)
            each.text = str((first_from(placed, at + 1, {}) or at + 1) - 1)


def _repeat(element: Any, shape: Shape, sheet: str, shapes: Shapes) -> None:
    found = references.spread(element.get("ref", "A1"), shape, joined=False)
    is_merge = element.tag == f"{SHEET}mergeCell"
    for ref in found:
        if not is_merge or len(set(ref.split(":"))) > 1:
            own = deepcopy(element)
            own.set("ref", ref)
            if "location" in own.attrib:
                own.set("location", references.moved(own.get("location"), shapes, Here(sheet, {}, {})))
            element.addprevious(own)
    element.getparent().remove(element)


def _spread(element: Any, shape: Shape) -> None:
    given = element.get("sqref", "").split()
    areas = [area for each in given for area in references.spread(each, shape, joined=True)]
    if areas:
        element.set("sqref", " ".join(areas))
    else:
        element.getparent().remove(element)


def _surround(element: Any, shape: Shape) -> None:
    if ref := references.around(element.get("ref", "A1"), shape):
        element.set("ref", ref)
    else:
        element.getparent().remove(element)


def _formulas(root: Any, sheet: str, shapes: Shapes) -> None:
    # Such a formula is meant for the first of its cells; programs move it for the others.
    first = _Zeros()
    for each in root.iter(*_FORMULAS):
        if each.text:
            each.text = references.moved(each.text, shapes, Here(sheet, first, first))


class _Zeros(dict[int, int]):
    """The first time round every loop."""

    def __contains__(self, key: object) -> bool:
        return True

    def __missing__(self, key: int) -> int:
        return 0


def _breaks(root: Any, shape: Shape) -> None:
    for name, placed in (("rowBreaks", shape.rows), ("colBreaks", shape.columns)):
        for breaks in root.findall(f"{SHEET}{name}"):
            for each in breaks.findall(f"{SHEET}brk"):
                if at := last_up_to(placed, whole(each.get("id")), {}):
                    each.set("id", str(min(at, ROWS)))


def _drop_empty(root: Any) -> None:
    for name in ("mergeCells", "hyperlinks", "dataValidations"):
        for each in root.findall(f"{SHEET}{name}"):
            if not len(each):
                root.remove(each)
            elif "count" in each.attrib:
                each.set("count", str(len(each)))
