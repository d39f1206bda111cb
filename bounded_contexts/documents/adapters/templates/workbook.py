"""XLSX templates: sheets with markers are written anew, row by row; what refers to their cells follows; all else stays."""

import io
import re
import zipfile
import zlib
from collections.abc import Callable, Iterator
from copy import deepcopy
from typing import Any, Final
from xml.parsers import expat

from lxml import etree

from bounded_contexts.documents.adapters.formats.xlsx_cells import area_of
from bounded_contexts.documents.adapters.formats.xlsx_package import SheetPart
from bounded_contexts.documents.adapters.formats.xlsx_package import Workbook as Book
from bounded_contexts.documents.adapters.templates import references, sheet_parts
from bounded_contexts.documents.adapters.templates.package import CONTENT_TYPES, INFLATED, Package
from bounded_contexts.documents.adapters.templates.program import DECLARED, Filling, Marks, Program, bad, gather, run
from bounded_contexts.documents.adapters.templates.references import Here, Shapes
from bounded_contexts.documents.adapters.templates.runs import DRAWN, SHEET, Isolating, whole
from bounded_contexts.documents.adapters.templates.sheet import Sheet, SheetWriter, read_sheet
from bounded_contexts.documents.adapters.templates.sheet_cells import DatedStyles, runs_of
from bounded_contexts.documents.domain.errors import Unreadable
from bounded_contexts.documents.domain.limits import Limits
from bounded_contexts.documents.domain.rendering.variables import Variables

_FORMULA: Final = re.compile(rb"<(?:\w+:)?(?:f|formula[12]?)[ />]")
_CHART: Final = "application/vnd.openxmlformats-officedocument.drawingml.chart+xml"
_DRAWING: Final = "application/vnd.openxmlformats-officedocument.drawing+xml"


class WorkbookTemplate:
    """A compiled template. Raises `Unreadable` for what is wrong with it, `TooLarge`."""

    def __init__(self, package: Package, data: bytes) -> None:
        self._package = package
        self._book = _book(data)
        self._strings, texts = self._shared()
        self._sheets = [self._read(each, texts) for each in self._book.sheets if package.type_of(each.part)]
        self._main = package.parsed(package.main)
        self._check_names()
        self._is_still = all(each.down.is_still and each.across.is_still for each in self._sheets)
        self._drawn = {
            name: root
            for name in package.names
            if package.type_of(name) in (_CHART, _DRAWING)
            for root in [package.parsed(name)]
        }
        self._texts = {name: self._program(deepcopy(root), name) for name, root in self._drawn.items()}
        self._owners = self._beside()
        self._check_formulas()
        self._keep()

    def gather(self, variables: Variables) -> None:
        """Gather what it needs."""
        for sheet in self._sheets:
            sheet.gather(variables)
        for program in self._texts.values():
            gather(program, variables)

    def parts(self, filling: Filling) -> Iterator[tuple[str, Iterator[bytes]]]:
        """Yield every part by name, with its pieces: styles behind the sheets, which may want further ones."""
        styles = DatedStyles(self._book.styles, filling.zone, self._book.from_1904)
        shapes = {each.key: each.shape(filling) for each in self._sheets}
        written = {each.part: each for each in self._sheets if self._is_written(each)}
        changed = self._changed(shapes, bool(written), filling)
        late = []
        for name in self._package.names:
            if name in written:
                pieces = SheetWriter(written[name], filling, shapes, styles).pieces()
                yield name, (piece.encode() for piece in pieces)
            elif name in changed:
                if (root := changed[name]) is not None:
                    yield name, iter((_text(root),))
            elif self._package.type_of(name).endswith("spreadsheetml.styles+xml"):
                late.append(name)
            else:
                yield name, iter((self._package.read(name),))
        for name in late:
            yield name, iter((self._styled(name, styles),))

    def _shared(self) -> tuple[tuple[str, Any] | None, dict[int, Any]]:
        """Return the shared texts that have markers by their number, and the part, in which these are empty."""
        for name in self._package.names:
            if self._package.type_of(name).endswith("spreadsheetml.sharedStrings+xml"):
                root = self._package.parsed(name)
                marked = {n: each for n, each in enumerate(root) if "{{" in "".join(each.itertext())}
                found = {n: runs_of(deepcopy(each)) for n, each in marked.items()}
                for each in marked.values():
                    each.clear()
                    etree.SubElement(each, f"{SHEET}t")
                return ((name, root) if found else None), found
        return None, {}

    def _read(self, sheet: SheetPart, texts: dict[int, Any]) -> Sheet:
        root = self._package.parsed(sheet.part)
        if root.tag not in (f"{SHEET}worksheet", f"{SHEET}chartsheet"):
            raise bad(sheet.part, "it is no part of an XLSX file as programs write them (ECMA-376, transitional)")
        return read_sheet(root, sheet.name, sheet.part, texts)

    def _check_formulas(self) -> None:
        for sheet in self._sheets:
            sheet_parts.check_formulas(sheet.root, sheet.name)
        for name, root in self._drawn.items():
            sheet_parts.check_formulas(root, name)
        for part in self._owners:
            if self._package.type_of(part).endswith("spreadsheetml.table+xml"):
                sheet_parts.check_formulas(self._package.parsed(part), part)

    def _check_names(self) -> None:
        for each in self._main.iter(f"{SHEET}definedName"):
            references.check(each.text or "", f"name {each.get('name', '')[:40]}")

    def _beside(self) -> dict[str, Sheet]:
        """Return the sheets by the parts that belong to them: tables, drawings, comments and their boxes."""
        found: dict[str, Sheet] = {}
        for sheet in self._sheets:
            for _, kind, target in self._package.relations(sheet.part):
                if kind in ("table", "drawing", "comments", "vmlDrawing"):
                    found[target] = sheet
        return found

    def _keep(self) -> None:
        """Have loops leave an empty row or column for what may not do without any."""
        axes = {each.key: (each.down, each.across) for each in self._sheets}
        for sheet in self._sheets:
            for number, row in sheet.rows.items():
                for cell in row.cells:
                    if cell.formula:
                        references.keep_what_is_referred_to(cell.formula.text, sheet.key, axes, number, cell.column)
        for name in self._main.iter(f"{SHEET}definedName"):
            references.keep_what_is_referred_to(name.text or "", "", axes, 0, 0)
        for part, sheet in self._owners.items():
            if self._package.type_of(part).endswith("spreadsheetml.table+xml"):
                self._keep_table(self._package.parsed(part), part, sheet)

    def _keep_table(self, root: Any, part: str, sheet: Sheet) -> None:
        area = area_of(root.get("ref", "A1"))
        titles, totals = whole(root.get("headerRowCount"), 1), whole(root.get("totalsRowCount"))
        sheet.down.keep(area.top + titles, area.bottom - totals, 0)
        for cell in sheet.rows[area.top].cells if titles and area.top in sheet.rows else ():
            if area.left < cell.column <= area.right + 1 and (cell.value or cell.text):
                raise bad(part, "the titles of a table object are plain texts")
        if any(span.last > area.left and span.first <= area.right + 1 for span in sheet.across.spans):
            raise bad(part, "a loop across repeats no columns of a table object")

    def _is_written(self, sheet: Sheet) -> bool:
        if sheet.furniture or any(cell.is_marked for row in sheet.rows.values() for cell in row.cells):
            return True
        return not self._is_still and bool(_FORMULA.search(self._package.read(sheet.part)))

    def _changed(self, shapes: Shapes, is_written: bool, filling: Filling) -> dict[str, Any]:
        """Return the parts that are other than in the template, but sheets: a tree, a program that has been run, or None for one
        that goes."""
        found: dict[str, Any] = {}
        if self._strings:
            found[self._strings[0]] = self._strings[1]
        for name, root in self._drawn.items():
            found |= self._drawing(name, deepcopy(root), shapes, filling)
        if is_written:
            found |= self._recalculated(shapes)
        if not self._is_still:
            for part, sheet in self._owners.items():
                if follower := self._follower(part):
                    root = self._package.parsed(part)
                    follower(root, sheet, shapes)
                    found[part] = root
        return found

    def _drawing(self, name: str, root: Any, shapes: Shapes, filling: Filling) -> dict[str, Any]:
        if self._is_still and not any(not isinstance(each, str) for each in self._texts[name]):
            return {}
        if not self._is_still:
            if name in self._owners:
                sheet_parts.follow_drawing(root, shapes[self._owners[name].key])
            sheet_parts.follow_chart(root, shapes)
        return {name: "".join(run(self._program(root, name), filling, set()))}

    def _follower(self, part: str) -> Callable[[Any, Sheet, Shapes], None] | None:
        kind = self._package.type_of(part)
        if kind.endswith("spreadsheetml.table+xml"):
            return lambda root, sheet, shapes: sheet_parts.follow_table(root, sheet.key, shapes)
        if kind.endswith(("spreadsheetml.comments+xml", "vmlDrawing")):
            return lambda root, sheet, shapes: sheet_parts.follow_comments(root, shapes[sheet.key])
        return None

    def _program(self, root: Any, place: str) -> Program:
        marks = Marks()
        isolating = Isolating(DRAWN, marks)
        for number, paragraph in enumerate(list(root.iter(DRAWN.paragraph)), 1):
            isolating.paragraph(paragraph, f"{place}, paragraph {number}")
        if isolating.controls:
            raise bad(place, "drawings and charts have fields only")
        return marks.program(root)

    def _recalculated(self, shapes: Shapes) -> dict[str, Any]:
        """Return the parts that have programs calculate all formulas anew, and that know the places of none."""
        main = deepcopy(self._main)
        for each in main.iter(f"{SHEET}definedName"):
            each.text = references.moved(each.text or "", shapes, Here("", {}, {}), every=True)
        calculation = main.find(f"{SHEET}calcPr")
        if calculation is None:
            calculation = etree.Element(f"{SHEET}calcPr")
            behind = [main.find(f"{SHEET}{name}") for name in ("definedNames", "externalReferences", "sheets")]
            if not (before := [each for each in behind if each is not None]):
                raise bad(self._package.main, "the workbook lists no sheets")
            before[0].addnext(calculation)
        calculation.set("fullCalcOnLoad", "1")
        found: dict[str, Any] = {self._package.main: main}
        chain = next((t for _, kind, t in self._package.relations(self._package.main) if kind == "calcChain"), None)
        if chain is not None:
            folder, _, own = self._package.main.rpartition("/")
            found[chain] = None
            found[CONTENT_TYPES] = _without(self._package.parsed(CONTENT_TYPES), "PartName", chain)
            relations = f"{folder}/_rels/{own}.rels".lstrip("/")
            found[relations] = _without(self._package.parsed(relations), "Target", chain)
        return found

    def _styled(self, name: str, styles: DatedStyles) -> bytes:
        root = self._package.parsed(name)
        formats = root.find(f"{SHEET}cellXfs")
        if not styles.made or formats is None:
            return self._package.read(name)
        for style, wanted in styles.made:
            own = deepcopy(formats[min(style, len(formats) - 1)])
            own.set("numFmtId", str(wanted))
            own.set("applyNumberFormat", "1")
            formats.append(own)
        formats.set("count", str(len(formats)))
        return _text(root)


def _book(data: bytes) -> Book:
    try:
        return Book(io.BytesIO(data), Limits(inflated_bytes=INFLATED))
    except (zipfile.BadZipFile, zlib.error, expat.ExpatError, EOFError, ValueError) as error:
        raise Unreadable("bad_template", "the workbook cannot be read") from error


def _without(root: Any, attribute: str, part: str) -> Any:
    for each in list(root):
        if each.get(attribute, "").lstrip("/").rpartition("/")[2] == part.rpartition("/")[2]:
            root.remove(each)
    return root


def _text(root: Any) -> bytes:
    text = root if isinstance(root, str) else etree.tostring(root, encoding="unicode")
    return f"{DECLARED}{text}".encode()
