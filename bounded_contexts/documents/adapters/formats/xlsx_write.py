"""Workbooks (ECMA-376), written row by row into the packed file: memory does not grow with rows.

Texts are texts and never formulas. A cell holds 15 digits of a number; numbers with more are texts, and reported.
"""

import re
import zipfile
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import replace
from datetime import date, datetime, time
from decimal import Decimal
from itertools import chain
from typing import Final

from bounded_contexts.documents.adapters.formats.conversion import Conversion
from bounded_contexts.documents.adapters.formats.spreading import MISSING, Declined
from bounded_contexts.documents.adapters.formats.tables import STRING, Cells, flat_rows
from bounded_contexts.documents.adapters.formats.xlsx_cells import COLUMNS, ROWS, letters
from bounded_contexts.documents.adapters.formats.xml_names import escaped_text
from bounded_contexts.documents.adapters.packed import Sink, entry
from bounded_contexts.documents.domain.errors import TooLarge
from bounded_contexts.documents.domain.fitting import as_text
from bounded_contexts.documents.domain.values import Document, Single, Tagged, Value, escaped

CHARACTERS: Final = 32_767
DIGITS: Final = 15
SHEET: Final = "Sheet1"
ALL: Final = "all"  # sheets
MEASURED: Final = 100  # rows whose cells say how wide columns are
WIDEST: Final = 60  # characters
_UNWRITTEN = re.compile("[\x00-\x08\x0b-\x1f\ud800-\udfff\ufffe\uffff]|_(?=x[0-9A-Fa-f]{4}_)")
_MARKS: Final = ("&", "<", ">", "_x", "~ ", " ~")
_BEGIN: Final = ' t="inlineStr"><is><t>'
_BEGIN_SPACED: Final = ' t="inlineStr"><is><t xml:space="preserve">'  # of texts that programs would trim
_END: Final = "</t></is></c>"
_MAIN: Final = "http://schemas.openxmlformats.org/spreadsheetml/2006/main"
_OFFICE: Final = "http://schemas.openxmlformats.org/officeDocument/2006/relationships"
_PACKAGE: Final = "http://schemas.openxmlformats.org/package/2006"
_TYPE: Final = "application/vnd.openxmlformats-officedocument.spreadsheetml"
_HEAD: Final = '<?xml version="1.0" encoding="UTF-8" standalone="yes"?>\n'
DATE, MOMENT, TIME = 1, 2, 3  # styles
SHOWN: Final = {DATE: 10, MOMENT: 19, TIME: 8}  # characters
ERROR: Final = "xlsx:error"
TOLD: Final = {
    "number_as_text": "more digits than a cell holds",
    "number_rewritten": "a cell keeps no zeros at the end",
    "datetime_as_date": "a cell's midnight is the day",
}
ERRORS: Final = frozenset(
    {"#DIV/0!", "#N/A", "#NAME?", "#NULL!", "#NUM!", "#REF!", "#VALUE!", "#GETTING_DATA", "#SPILL!", "#CALC!"}
)
_UNNAMED = re.compile(r"[\x00-\x1f\[\]:*?/\\\ud800-\udfff\ufffe\uffff]")
_MARKUP = re.compile("<[^>]*>")
_RELATIONS: Final = f'<Relationships xmlns="{_PACKAGE}/relationships">'
_STYLES: Final = (
    f'<styleSheet xmlns="{_MAIN}">'
    '<numFmts count="3"><numFmt numFmtId="164" formatCode="yyyy\\-mm\\-dd"/>'
    '<numFmt numFmtId="165" formatCode="yyyy\\-mm\\-dd\\ hh:mm:ss"/><numFmt numFmtId="166" formatCode="hh:mm:ss"/></numFmts>'
    '<fonts count="1"><font><sz val="11"/><name val="Calibri"/></font></fonts>'
    '<fills count="2"><fill><patternFill patternType="none"/></fill><fill><patternFill patternType="gray125"/></fill></fills>'
    '<borders count="1"><border/></borders><cellStyleXfs count="1"><xf/></cellStyleXfs>'
    '<cellXfs count="4"><xf/>'
    + "".join([f'<xf numFmtId="{number}" applyNumberFormat="1"/>' for number in (164, 165, 166)])
    + '</cellXfs><cellStyles count="1"><cellStyle name="Normal" xfId="0" builtinId="0"/></cellStyles></styleSheet>'
)


def write(document: Document, conversion: Conversion) -> Iterator[bytes]:
    """Write a workbook of one sheet; of one for each key of a map, if all sheets were asked for."""
    sheets = _sheets(document, conversion)
    sink = Sink()
    with zipfile.ZipFile(sink, "w", zipfile.ZIP_DEFLATED) as package:  # type: ignore[call-overload]
        for name, text in _parts([name for name, _, _ in sheets]).items():
            package.writestr(entry(name), _HEAD + text)
        for number, (_, each, part) in enumerate(sheets, start=1):
            with package.open(entry(f"xl/worksheets/sheet{number}.xml"), "w", force_zip64=True) as sheet:
                for piece in _sheet(each, part):
                    sheet.write(piece)
                    yield sink.taken()
    yield sink.taken()


def _sheets(document: Document, conversion: Conversion) -> list[tuple[str, Document, Conversion]]:
    asked = conversion.options.sheet
    if asked != ALL or not isinstance(document, Single) or not isinstance(document.value, dict) or not document.value:
        return [(_named(SHEET if asked in (None, ALL) else str(asked), {}, conversion), document, conversion)]
    if len(document.value) > conversion.limits.sheets:
        raise TooLarge("sheets", conversion.limits.sheets)
    taken: dict[str, None] = {}
    found: list[tuple[str, Document, Conversion]] = []
    for key, value in document.value.items():
        text = as_text(key)
        within = replace(conversion, losses=conversion.losses.within(f"/{escaped(text)}"))
        found.append((_named(text, taken, within), Single(value), within))
    return found


def _named(text: str, taken: dict[str, None], conversion: Conversion) -> str:
    """Return the text as a sheet may be called: 31 characters, some of them not, no two alike but for their case."""
    name = begin = _UNNAMED.sub("_", text)[:31].strip("'") or SHEET
    number = 1
    while name.lower() in taken:
        number += 1
        name = f"{begin[: 28 - len(str(number))]} ({number})"
    taken[name.lower()] = None
    if name != text:
        conversion.losses.add("sheet_renamed", "", f"a sheet cannot be called so: it is {name!r}")
    return name


def _sheet(document: Document, conversion: Conversion) -> Iterator[bytes]:
    table = flat_rows(document, conversion, TypedCells(conversion))
    if len(table.columns) > COLUMNS:
        raise TooLarge("columns", COLUMNS)
    names = [_text(name) for name in table.columns] if conversion.options.header == "yes" else []
    references = [letters(number) for number in range(len(table.columns))]
    batches = iter(table.batches)
    first = next(batches, ())
    yield f'{_HEAD}<worksheet xmlns="{_MAIN}">{_widths(names, first)}<sheetData>'.encode()
    number = 0
    if conversion.options.header == "yes":
        number = 1
        yield _rows(references, [names], 1)
    for rows in chain((first,), batches):
        written = _rows(references, rows, number + 1)
        number += len(rows)
        if number > ROWS:
            raise TooLarge("rows", ROWS)
        yield written
    yield b"</sheetData></worksheet>"


def _widths(names: list[str], rows: Sequence[Sequence[str]]) -> str:
    """Return how wide columns are shown, by their names and first cells: numbers of characters."""
    columns = zip(*([names] if names else []), *rows[:MEASURED], strict=True)
    widths = [min(WIDEST, max(8, *(_width(cell) for cell in cells)) + 2) for cells in columns]
    found = [f'<col min="{n}" max="{n}" width="{width}" customWidth="1"/>' for n, width in enumerate(widths, start=1)]
    return f"<cols>{''.join(found)}</cols>" if found else ""


def _width(cell: str) -> int:
    if cell.startswith(' s="'):
        return SHOWN[int(cell[4])]
    return len(_MARKUP.sub("", cell.partition(">")[2]))


def _rows(letters: Sequence[str], rows: Sequence[Sequence[str]], first: int) -> bytes:
    """Return the rows, of which the first has this number. What all have in common is said once, and the interpreter's own loops
    fill it in: for each column the rows' numbers and their cells."""
    numbers = [str(number) for number in range(first, first + len(rows))]
    shape = ['<row r="%s">']
    given: list[Sequence[str]] = [numbers]
    for letter, cells in zip(letters, zip(*rows, strict=True), strict=bool(rows)):
        if all(cells):
            shape.append(f'<c r="{letter}%s"%s')
            given += [numbers, cells]
        else:
            shape.append("%s")
            given.append([cell and f'<c r="{letter}{n}"{cell}' for n, cell in zip(numbers, cells, strict=True)])
    return "".join(map(f"{''.join(shape)}</row>".__mod__, zip(*given, strict=True))).encode()


class TypedCells(Cells):
    """Cells as they stand in a sheet, behind their reference."""

    lacking = "missing_as_null"
    has_tokens = False

    def _written(self, flat: dict[str, Value], number: int) -> dict[str, str]:
        if self._conversion.options.lossless:
            return {name: _text(text) for name, text in super()._written(flat, number).items()}
        for name, value in flat.items():
            flat[name] = _text(value) if type(value) is str else self._found(value, number, name)
        return flat

    def texts(self, values: Sequence[Value], kinds: frozenset[type], lost: Counter[str]) -> Sequence[str]:
        if self._conversion.options.lossless:
            return [_text(text) if text else "" for text in super().texts(values, kinds, lost)]
        return _texts(values) if kinds == STRING else [self._counted(each, lost) for each in values]

    def _counted(self, value: Value, lost: Counter[str]) -> str:
        if value is MISSING or value is None:
            return ""
        if type(value) is str:
            return _text(value)
        cell, code = _typed(value)
        if code:
            lost[code] += 1
        if cell:
            return cell
        if not code:
            raise Declined
        return _text(as_text(value))

    def _found(self, value: Value, number: int, name: str) -> str:
        if value is None:
            return ""
        cell, code = _typed(value)
        if code:
            self.lose(code, number, name, TOLD[code])
            return cell or _text(as_text(value))
        return cell or _text(self._lossy(value, number, name))


def _typed(value: Value) -> tuple[str, str]:
    """Return the cell of a value, nothing for one that a sheet does not hold, and the code of what is lost by it if it is none
    of those that all cells lose."""
    if isinstance(value, bool):
        return f' t="b"><v>{int(value)}</v></c>', ""
    if isinstance(value, int | float | Decimal):
        digits, code = _number(value)
        return f"><v>{digits}</v></c>" if digits else "", code
    if isinstance(value, Tagged) and value.tag == ERROR and value.value in ERRORS:
        return f' t="e"><v>{value.value}</v></c>', ""
    if not isinstance(value, date | time):
        return "", ""
    cell = _moment(value)
    is_midnight = cell and isinstance(value, datetime) and value.time() == time()
    return cell, "datetime_as_date" if is_midnight else ""


def _number(value: int | float | Decimal) -> tuple[str, str]:
    if isinstance(value, int):
        return (str(value), "") if abs(value) < 10**DIGITS else ("", "number_as_text")
    exact = Decimal(repr(value)) if isinstance(value, float) else value
    if not exact.is_finite():
        return "", "number_as_text"
    text = str(exact)
    is_short = len(text) <= DIGITS + 1 and "E" not in text  # the point, and no more digits than there may be
    if is_short and text[-1] != "0":
        return text, ""
    significant = text.partition("E")[0].replace(".", "").strip("-0")
    if not is_short and (len(significant) > DIGITS or abs(exact.adjusted()) > 300):
        return "", "number_as_text"
    return text, "" if _again(text).as_tuple() == exact.as_tuple() else "number_rewritten"


def _again(text: str) -> Decimal:
    """Return the number as it is read back."""
    if text.lstrip("-").isdecimal():
        return Decimal(int(text))
    number = Decimal(repr(float(text)))
    return Decimal(int(number)) if number == number.to_integral_value() and abs(number) < 10**DIGITS else number


def _moment(value: date | time) -> str:
    if isinstance(value, time):
        if value.microsecond % 1000 or value == time():  # a day's beginning is no time in a cell, but the day
            return ""
        days = (value.hour * 3600 + value.minute * 60 + value.second + value.microsecond / 1e6) / 86_400
        return f' s="{TIME}"><v>{days!r}</v></c>'
    day = value.toordinal() - 693_594
    if day < 61:
        return ""  # before March 1900, where workbooks count a day that never was
    if not isinstance(value, datetime):
        return f' s="{DATE}"><v>{day}</v></c>'
    if value.tzinfo is not None or value.microsecond % 1000:
        return ""
    seconds = value.hour * 3600 + value.minute * 60 + value.second + value.microsecond / 1e6
    return f' s="{MOMENT}"><v>{day + seconds / 86_400!r}</v></c>'


def _text(text: str) -> str:
    if len(text) > CHARACTERS:
        raise TooLarge("cell_characters", CHARACTERS)
    safe = _UNWRITTEN.sub(lambda match: f"_x{ord(match[0]):04X}_", text)
    return f"{_BEGIN if text == text.strip() else _BEGIN_SPACED}{escaped_text(safe)}{_END}"


def _texts(texts: Sequence[str]) -> list[str]:
    if max(map(len, texts)) > CHARACTERS:
        raise TooLarge("cell_characters", CHARACTERS)
    if _are_plain("~".join(["", *texts, ""])):
        return [f"{_BEGIN}{text}{_END}" for text in texts]
    return [_text(text) for text in texts]


def _are_plain(joined: str) -> bool:
    """Return whether the texts with tildes around them stand in XML as they are. In doubt not: it is only quicker. A letter is
    searched for at a quarter of what an expression takes, and there is no other space than the usual one in what is printable."""
    return joined.isprintable() and not any(mark in joined for mark in _MARKS)


def _parts(sheets: list[str]) -> dict[str, str]:
    """Return what a package has beside its sheets."""
    numbered = list(enumerate(sheets, start=1))
    types = "".join(
        [f'<Override PartName="/xl/worksheets/sheet{n}.xml" ContentType="{_TYPE}.worksheet+xml"/>' for n, _ in numbered]
    )
    listed = "".join(
        [f'<sheet name="{escaped_text(name, quoted=True)}" sheetId="{n}" r:id="rId{n}"/>' for n, name in numbered]
    )
    related = "".join(
        [
            f'<Relationship Id="rId{n}" Type="{_OFFICE}/worksheet" Target="worksheets/sheet{n}.xml"/>'
            for n, _ in numbered
        ]
    )
    styles = f'<Relationship Id="rId{len(sheets) + 1}" Type="{_OFFICE}/styles" Target="styles.xml"/>'
    return {
        "[Content_Types].xml": f'<Types xmlns="{_PACKAGE}/content-types">'
        '<Default Extension="rels" ContentType="application/vnd.openxmlformats-package.relationships+xml"/>'
        '<Default Extension="xml" ContentType="application/xml"/>'
        f'<Override PartName="/xl/workbook.xml" ContentType="{_TYPE}.sheet.main+xml"/>{types}'
        f'<Override PartName="/xl/styles.xml" ContentType="{_TYPE}.styles+xml"/></Types>',
        "_rels/.rels": f'{_RELATIONS}<Relationship Id="rId1" Type="{_OFFICE}/officeDocument" Target="xl/workbook.xml"/>'
        "</Relationships>",
        "xl/_rels/workbook.xml.rels": f"{_RELATIONS}{related}{styles}</Relationships>",
        "xl/styles.xml": _STYLES,
        "xl/workbook.xml": f'<workbook xmlns="{_MAIN}" xmlns:r="{_OFFICE}"><sheets>{listed}</sheets></workbook>',
    }
