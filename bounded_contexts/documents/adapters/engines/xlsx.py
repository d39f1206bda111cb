"""XLSX: rows go to disk while the blocks come; tables are typed cells, everything else one cell below the other.

Texts are written as texts, whatever they begin with: no formula comes from data.
"""

from collections.abc import Iterator
from contextlib import closing, suppress
from dataclasses import replace
from datetime import UTC, datetime
from io import BytesIO
from itertools import chain, islice
from typing import Any, Final

import xlsxwriter
from xlsxwriter.exceptions import XlsxWriterException
from xlsxwriter.image import Image as Picture

from bounded_contexts.documents.adapters.engines import xlsx_marks
from bounded_contexts.documents.adapters.engines.barcodes import as_image
from bounded_contexts.documents.adapters.engines.locales import BabelFormats
from bounded_contexts.documents.adapters.engines.xlsx_cells import Cells
from bounded_contexts.documents.adapters.engines.xlsx_charts import ChartValues
from bounded_contexts.documents.adapters.engines.xlsx_codes import Codes
from bounded_contexts.documents.adapters.engines.xlsx_features import Features, Place, comment_titles
from bounded_contexts.documents.adapters.engines.xlsx_outline import Outline
from bounded_contexts.documents.adapters.engines.xlsx_sheets import write_sheet
from bounded_contexts.documents.adapters.engines.xlsx_texts import codes, flat
from bounded_contexts.documents.adapters.formats.xlsx_cells import ROWS, letters
from bounded_contexts.documents.domain.errors import TooLarge, Unwritable
from bounded_contexts.documents.domain.rendering.blocks import (
    Anchor,
    Barcode,
    Block,
    Cell,
    Columns,
    Contents,
    Group,
    Heading,
    Image,
    ListItem,
    Note,
    PageBreak,
    Paragraph,
    Resolved,
    Row,
    Rule,
    Run,
    Runs,
    Section,
    Sheet,
    Spacer,
    Style,
    Table,
)
from bounded_contexts.documents.domain.rendering.charts import Chart
from bounded_contexts.documents.domain.rendering.sheets import OnSheet
from bounded_contexts.documents.domain.rendering.telling import Telling
from infra.scratch import Scratch

CHUNK: Final = 256 * 1024
SAMPLE: Final = 200  # rows that say how wide an auto column is
CHARACTER: Final = 5.25  # points of a character, in which columns are measured
ROW: Final = 15.0  # points
WIDEST: Final = 80.0  # characters of an auto column
PAPERS: Final = {(595, 842): 9, (842, 1191): 8, (420, 595): 11, (612, 792): 1, (612, 1008): 5}
LONG_AGO: Final = datetime(2000, 1, 1)  # noqa: DTZ001  what a file without a date of its own says
ZEBRA: Final = "#F5F7F9"


def write_xlsx(resolved: Resolved, telling: Telling, formats: BabelFormats) -> Iterator[bytes]:
    """Yield the file. Raise `TooLarge` for more than a sheet holds, and what the blocks raise."""
    with closing(Scratch("workbook")) as scratch:
        path = scratch.path / "out.xlsx"
        options = {"constant_memory": True, "tmpdir": str(scratch.path), "default_date_format": "yyyy-mm-dd"}
        workbook: Any = xlsxwriter.Workbook(path, options)
        try:
            _Workbook(workbook, resolved, telling, Codes(formats)).write()
        except BaseException:
            for sheet in workbook.worksheets():  # its rows' files; the folder goes with them
                sheet.row_data_fh.close()
            workbook.fileclosed = 1
            raise
        workbook.close()
        with path.open("rb") as file:
            while piece := file.read(CHUNK):
                yield piece


class _Workbook:
    def __init__(self, workbook: Any, resolved: Resolved, telling: Telling, codes: Codes) -> None:
        self._book, self._resolved, self._telling = workbook, resolved, telling
        self._cells = Cells(workbook, telling, codes)
        self._section = Section(resolved.page, resolved.header, resolved.footer)
        self._coming: list[Anchor] = []
        self._notes: list[Note] = []
        self._sheet: Any = None
        self._names: set[str] = set()
        self._row = 0
        self._breaks: list[int] = []
        self._has_table = False
        self._charts: ChartValues | None = None
        self._features = Features(workbook)
        self._letters: dict[str, str] = {}  # of the table's columns, by their keys
        self._codes: list[str | None] = []  # formats of its columns

    def write(self) -> None:
        meta = self._resolved.meta
        created = LONG_AGO
        if meta.created:
            with suppress(ValueError):
                created = datetime.fromisoformat(meta.created).replace(tzinfo=None)
        said = {
            "title": meta.title,
            "author": meta.author,
            "subject": meta.subject,
            "keywords": ", ".join(meta.keywords),
        }
        self._book.set_properties({**said, "created": created})
        self._book.set_custom_property("Language", meta.language)
        for name, value in meta.properties:
            if isinstance(value, datetime) and value.tzinfo:
                value = value.astimezone(UTC).replace(tzinfo=None)
            self._book.set_custom_property(name, value)
        for block in self._resolved.body():
            if isinstance(block, Section):
                self._section = block
                if self._resolved.sheets != "single":
                    self._end_sheet()
            else:
                self._block(block)
        if not self._names:
            self._begin_sheet(None)
        self._end_sheet()

    def _end_sheet(self) -> None:
        notes, self._notes = self._notes, []
        for note in notes:
            self._text(note.runs, note.style, f"{note.number} ")
        if self._sheet is not None and self._breaks:
            self._sheet.set_h_pagebreaks(self._breaks[:1023])
        self._sheet = None

    def _begin_sheet(self, name: str | None) -> None:
        self._end_sheet()
        self._sheet = self._book.add_worksheet(self._free(name))
        self._row, self._breaks, self._has_table = 0, [], False
        self._widths: dict[int, float] = {}
        page = self._section.page
        if self._section.first_number is not None:
            self._sheet.set_start_page(self._section.first_number)
            self._section = replace(self._section, first_number=None)
        if page.width > page.height:
            self._sheet.set_landscape()
        short = sorted((round(page.width), round(page.height)))
        self._sheet.set_paper(PAPERS.get((short[0], short[1]), 0))
        self._sheet.set_margins(page.left / 72, page.right / 72, page.top / 72, page.bottom / 72)
        # set_header and set_footer would take the && of an & for a code: R&G is no picture, and none of both is left out
        picture = xlsx_marks.picture(self._resolved, page)
        if picture:
            self._sheet.set_header("&C&G", picture)
        self._sheet.header = codes(self._section.header, pictured=bool(picture))
        self._sheet.footer = codes(self._section.footer)
        self._sheet.header_footer_changed = bool(self._sheet.header or self._sheet.footer)

    def _free(self, name: str | None) -> str:
        wanted = "".join(["_" if each in "[]:*?/\\" or not each.isprintable() else each for each in name or ""]).strip(
            "' "
        )
        wanted = wanted[:31] or f"Sheet{len(self._names) + 1}"
        if wanted.lower() == "history":  # a name that Excel keeps for itself
            wanted = "History_"
        number, found = 1, wanted
        while found.lower() in self._names:
            number += 1
            found = f"{wanted[: 28 - len(str(number))]} ({number})"
        self._names.add(found.lower())
        return found

    def _next(self, height: float | None = None) -> int:
        if self._sheet is None:
            self._begin_sheet(None)
        row = self._row
        if row >= ROWS:
            raise TooLarge("rows", ROWS)
        if height is not None:
            self._sheet.set_row(row, height)
        self._row += 1
        for anchor in self._coming:
            if anchor.name is not None:
                name = self._sheet.get_name().replace("'", "''")
                self._book.define_name(f"ref_{anchor.name}", f"='{name}'!$A${row + 1}")
        self._coming = []
        return row

    def _block(self, block: Block) -> None:
        match block:
            case Heading() | Paragraph():
                self._text(block.runs, block.style)
            case Anchor():
                self._coming.append(block)
            case Group() | Columns() | Table() | Sheet():
                self._holding(block)
            case ListItem():
                self._text(block.runs, block.style, block.mark + " ", block.level + 1)
            case Contents():
                self._contents(block)
            case Barcode() | Chart() | Image():
                self._drawn(block)
            case Rule():
                self._sheet_row_with_border(block)
            case Spacer():
                self._next(min(block.height, 409.0))
            case PageBreak() if self._sheet is not None and self._row:
                self._breaks.append(self._row)

    def _holding(self, block: Group | Columns | Table | Sheet) -> None:
        if isinstance(block, Table):
            self._table(block)
        elif isinstance(block, Sheet):
            self._begin_sheet(block.name or None)
            write_sheet(self._sheet, block, self._cells, self._features, is_first=len(self._names) == 1)
            self._row = max([row for row, _ in block.cells], default=0) + 1
            self._end_sheet()
        else:
            for each in block.blocks if isinstance(block, Group) else chain.from_iterable(block.items):
                self._block(each)

    def _text(self, runs: Runs, style: Style, before: str = "", indent: int = 0) -> None:
        height = style.size * 1.5 if style.size > 11 else None
        row = self._next(height)
        self._notes += [run.note for run in runs if run.note is not None]
        self._cells.text(self._sheet, row, 0, runs, style, before=before, indent=indent)

    def _sheet_row_with_border(self, rule: Rule) -> None:
        row = self._next(6.0)
        self._sheet.write_blank(row, 0, None, self._book.add_format({"bottom": 1, "bottom_color": rule.color}))

    def _contents(self, block: Contents) -> None:
        if block.title is not None:
            self._text(block.title.runs, block.title.style)
        first, last = block.levels
        for entry in self._resolved.entries:
            if entry.kind == block.kind and first <= entry.level <= last:
                self._text((Run(entry.text, block.style),), block.style, indent=entry.level - first)

    def _image(self, image: Image) -> None:
        row = self._next()
        try:
            picture = Picture(BytesIO(image.data))
        except XlsxWriterException:
            raise Unwritable("bad_image", "an image is a PNG or a JPEG") from None
        self._sheet.insert_image(
            row,
            0,
            "image",
            {
                "image_data": BytesIO(image.data),
                "x_scale": image.width / 0.75 / (picture.width * 96 / picture.x_dpi),
                "y_scale": image.height / 0.75 / (picture.height * 96 / picture.y_dpi),
                "description": image.alt,
            },
        )
        self._row = min(self._row + int(image.height / ROW), ROWS)

    def _drawn(self, block: Barcode | Chart | Image) -> None:
        if isinstance(block, Chart):
            self._chart(block)
        else:
            self._image(as_image(block) if isinstance(block, Barcode) else block)

    def _chart(self, chart: Chart) -> None:
        row = self._next()
        if self._charts is None:
            self._charts = ChartValues(self._book, self._free("Chart data"))
        self._charts.insert(self._sheet, row, chart)
        self._row = min(self._row + int(chart.height / ROW), ROWS)

    def _table(self, table: Table) -> None:
        own = table.on_sheet
        if self._sheet is None or self._begins(own):
            self._begin_sheet(own.sheet)
            if own.hidden and len(self._names) > 1:  # a workbook shows one sheet at least
                self._sheet.hide()
        if table.caption is not None:
            self._text(table.caption.runs, table.caption.style)
        top = self._row
        rows = self._sized(table)
        self._codes = [column.on_sheet.code for column in table.columns]
        for row in _as_titles(table, self._features.titled(table.columns)) if own.is_object else table.header:
            self._cells_of(row)
        comment_titles(self._sheet, table, top)
        self._freeze(table, top)
        first = self._row
        last = first - 1
        self._letters = {column.key: letters(at) for at, column in enumerate(table.columns) if column.key}
        outline = Outline(self._sheet, table)
        for number, row in enumerate(rows):
            outline.row(self._row, row)
            self._cells_of(row, table.zebra and number % 2 == 1 and row.kind == "body")
            last = self._row - 1 if row.kind == "body" else last
        if table.footer:
            self._cells_of(table.footer)
        if own.autofilter and not own.is_object and not self._has_table:
            titles = top + max(len(table.header) - 1, 0)
            self._sheet.autofilter(titles, 0, max(last, titles), len(table.columns) - 1)
        self._features.add(self._sheet, table, Place(first - 1 if table.header else None, first, last))
        self._has_table = True
        if not self._begins(own):
            self._row = min(self._row + 1, ROWS)

    def _freeze(self, table: Table, top: int) -> None:
        if self._has_table or not table.header:
            return
        own = table.on_sheet
        last = top + len(table.header) - 1
        if table.repeat_header:
            self._sheet.repeat_rows(top, last)
        if own.freeze_header or own.freeze_columns:
            self._sheet.freeze_panes(last + 1 if own.freeze_header else 0, own.freeze_columns)

    def _begins(self, own: OnSheet) -> bool:
        match self._resolved.sheets:
            case "per-table":
                return True
            case "named":
                return own.sheet is not None
        return False

    def _cells_of(self, row: Row, zebra: bool = False) -> None:
        number = self._next()
        background = ZEBRA if zebra else None
        for column, cell in enumerate(row.cells):
            if cell is None:
                continue
            shown = replace(cell, runs=flat(cell.blocks, cell.style), blocks=()) if cell.blocks else cell
            self._notes += [run.note for run in shown.runs if run.note is not None]
            if cell.formula:
                text = cell.formula.text(lambda key: f"{self._letters[key]}{number + 1}")
                self._cells.formula(self._sheet, number, column, cell, text, background, self._codes[column])
            else:
                self._cells.cell(self._sheet, number, column, shown, background, self._codes[column])
            if cell.across > 1 or cell.down > 1:
                last = min(number + cell.down, ROWS) - 1, column + cell.across - 1
                self._sheet.merge.append([number, column, *last])  # merge_range would write rows that are not yet due

    def _sized(self, table: Table) -> Iterator[Row]:
        """Set the columns' widths, of which the first rows say some, and yield all rows."""
        sample: list[Row] = []
        rows = iter(table.rows)
        if any(column.width.kind == "auto" for column in table.columns):
            sample = list(islice(rows, SAMPLE))
        shares = sum(column.width.amount for column in table.columns if column.width.kind == "share")
        fixed = sum(column.width.amount for column in table.columns if column.width.kind == "points")
        page = self._section.page
        left = max(page.width - page.left - page.right - fixed, 100.0)
        for number, column in enumerate(table.columns):
            match column.width.kind:
                case "points":
                    width = column.width.amount / CHARACTER
                case "share":
                    width = left * column.width.amount / shares / CHARACTER
                case _:
                    width = _longest([row.cells[number] for row in chain(table.header, sample)])
            width = min(max(width, self._widths.get(number, 1.0)), 255.0)
            self._widths[number] = width
            options = {"hidden": column.on_sheet.hidden, "level": column.on_sheet.outline}
            self._sheet.set_column(number, number, width, None, options)
        yield from sample
        yield from rows


def _as_titles(table: Table, names: list[str]) -> Iterator[Row]:
    """The header of a table that is an object: its titles are the names of its columns."""
    yield from table.header[:-1]
    if table.header:
        titles = [(column.title, name) for column, name in zip(table.columns, names, strict=True)]
        yield Row(tuple([replace(cell, runs=(Run(name, cell.style),), value=name) for cell, name in titles]))


def _longest(cells: list[Cell | None]) -> float:
    shown = [cell for cell in cells if cell is not None and cell.across == 1]
    longest = max([len(line) for cell in shown for line in cell.text.split("\n")], default=0)
    return min(longest + 2.0, WIDEST)
