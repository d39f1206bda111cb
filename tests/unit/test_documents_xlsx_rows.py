"""Rows of sheets that are written as usual are read as the parser reads them."""

import io
import zipfile
from typing import Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from bounded_contexts.documents.adapters.formats import xlsx_read
from bounded_contexts.documents.adapters.formats.xlsx_rows import QuickRows
from bounded_contexts.documents.domain.errors import TooLarge, Unreadable
from bounded_contexts.documents.domain.limits import Limits
from tests.unit.document_values import converted, value_of

STYLED = converted(b"a,b\n2026-01-02,10:11:12\n", "csv", "xlsx", inference="full")  # style 1 is a date, 3 a time
HEAD = '<worksheet xmlns="http://schemas.openxmlformats.org/spreadsheetml/2006/main" xmlns:x14ac="urn:x"><sheetData>'
SHARED = '<sst xmlns="http://schemas.openxmlformats.org/spreadsheetml/2006/main"><si><t>zero</t></si><si><t>one</t></si></sst>'
CELLS = (
    *('<c r="{}"><v>1</v></c>', '<c r="{}"><v>-0</v></c>', '<c r="{}"><v>1.50</v></c>', '<c r="{}"><v>1.0</v></c>'),
    *(
        '<c r="{}"><v>55.676100000000005</v></c>',
        '<c r="{}"><v>1E-5</v></c>',
        '<c r="{}"><v>nan</v></c>',
        '<c r="{}"><v> 5\n</v></c>',
    ),
    *(
        '<c r="{}"><v>123456789012345678901</v></c>',
        '<c r="{}"><v>0.1</v></c>',
        '<c r="{}"><v>1e20</v></c>',
        '<c r="{}"><v>1e400</v></c>',
    ),
    *(
        '<c r="{}" s="1"><v>46024</v></c>',
        '<c r="{}" s="1"/>',
        '<c r="{}"/>',
        '<c r="{}"></c>',
        '<c r="{}"><v/></c>',
        '<c r="{}"><v></v></c>',
    ),
    *(
        '<c r="{}" t="s"><v>1</v></c>',
        '<c r="{}" t="s"><v>7</v></c>',
        '<c r="{}" t="s"><v>-1</v></c>',
        '<c r="{}" t="b"><v>1</v></c>',
        '<c r="{}" t="b"><v>0</v></c>',
    ),
    *(
        '<c r="{}" t="inlineStr"><is><t>a &amp; é &#65;_x0041_</t></is></c>',
        '<c r="{}" t="inlineStr"><is><t/></is></c>',
    ),
    *(
        '<c r="{}" t="inlineStr"><is><t xml:space="preserve"> x </t></is></c>',
        '<c r="{}" t="inlineStr"><is><t></t></is></c>',
    ),
    *('<c r="{}" t="inlineStr"><is><r><t>rich</t></r><r><t> text</t></r></is></c>', '<c r="{}" t="e"><v>#N/A</v></c>'),
    *(
        '<c r="{}" t="str"><f>A1&amp;"x"</f><v>shown</v></c>',
        '<c r="{}"><f>1+1</f><v>2</v></c>',
        '<c r="{}"><f t="shared" si="0"/><v>2</v></c>',
    ),
    *(
        '<c r="{}" t="d"><v>2026-01-02</v></c>',
        '<c r="{}" t="str"><v>a</v></c>',
        '<c t="str"><v>a</v></c>',
        '<c r="{}"><v>1</v>',
    ),
    *(
        '<c r="{}"><v>\r\n</v></c>',
        '<c r="{}" t="str"><v><![CDATA[</row>]]></v></c>',
        "<!-- </row> -->",
        "\n",
        "text",
        "</row>",
        "<v>1</v>",
    ),
)
ROWS = (
    '<row r="{}">',
    '<row r="{}" spans="1:3" x14ac:dyDescent="0.25">',
    '<row r="{}" hidden="1">',
    "<row>",
    '\n<row r="{}" ht="1" ht="2">',
)


class Trickling(io.BytesIO):
    """Gives some hundred bytes at a time."""

    def read(self, size: int | None = -1, /) -> bytes:
        return super().read(min(size or 0, 300))


def workbook(sheet: str) -> bytes:
    target = io.BytesIO()
    with zipfile.ZipFile(io.BytesIO(STYLED)) as given_, zipfile.ZipFile(target, "w") as package:
        for name in given_.namelist():
            data: Any = given_.read(name)
            if name.endswith("sheet1.xml"):
                data = sheet
            elif name == "xl/_rels/workbook.xml.rels":
                office = "http://schemas.openxmlformats.org/officeDocument/2006/relationships"
                shared = f'<Relationship Id="rId9" Type="{office}/sharedStrings" Target="sharedStrings.xml"/></Relationships>'
                data = data.decode().replace("</Relationships>", shared)
            package.writestr(name, data)
        package.writestr("xl/sharedStrings.xml", SHARED)
    return target.getvalue()


def outcome(data: bytes, **options: Any) -> Any:
    try:
        return repr(value_of(data, "xlsx", **options))
    except Unreadable as error:
        return error.code, error.detail, dict(error.more)
    except TooLarge as error:
        return str(error)


def is_read_as_by_the_parser(sheet: str, **options: Any) -> bool:
    data = workbook(sheet)
    quick = outcome(data, **options)
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(QuickRows, "begins_in", lambda *_: -1)
        return bool(quick == outcome(data, **options))


def sheet_of(rows: list[tuple[str, list[str]]]) -> str:
    written = []
    for number, (begin, cells) in enumerate(rows, start=1):
        inner = "".join(cell.replace("{}", f"{'ABC'[at % 3]}{number}") for at, cell in enumerate(cells))
        written.append(f"{begin.replace('{}', str(number))}{inner}</row>")
    return f"{HEAD}{''.join(written)}</sheetData></worksheet>"


@settings(max_examples=150, deadline=None)
@given(
    st.lists(
        st.tuples(st.sampled_from(ROWS[:2]), st.lists(st.sampled_from(CELLS[:20]), max_size=3)), min_size=1, max_size=5
    ),
    st.sampled_from(ROWS),
    st.lists(st.sampled_from(CELLS), max_size=4),
)
@example([(ROWS[0], [CELLS[0], CELLS[13]])], ROWS[0], [CELLS[13], CELLS[0]])
@example([(ROWS[1], [CELLS[0]])], ROWS[4], [CELLS[0]])
@example([(ROWS[1], [CELLS[0]])], ROWS[0], ["</row>"])
@example([(ROWS[1], [CELLS[0]])], ROWS[0], ["<!-- </row> -->"])
def test_rows_are_read_as_by_the_parser(rows: list[tuple[str, list[str]]], begin: str, cells: list[str]) -> None:
    plain = (ROWS[0], [CELLS[18]] * 3)
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(xlsx_read, "BATCH", 3)
        assert is_read_as_by_the_parser(sheet_of([plain, *rows * 4, (begin, cells), *rows * 4]), header="no")


@pytest.mark.parametrize(
    "options",
    [
        {"formulas": "text"},
        {"numbers": "shown"},
        {"merged": "fill"},
        {"hidden": "skip"},
        {"range": "B2:C9"},
        {"limits": Limits(columns=2)},
    ],
    ids=str,
)
def test_options_mean_the_same_by_either_way(options: dict[str, Any]) -> None:
    for cell in CELLS:
        assert is_read_as_by_the_parser(sheet_of([(ROWS[1], [CELLS[0], cell])] * 5), header="no", **options), cell


@pytest.mark.parametrize("numbers", [(1, 3, 9), (1, 3, 3), (5, 4), (1, 2_000_000), (0,)], ids=str)
def test_rows_that_are_left_out_or_stand_in_no_order(numbers: tuple[int, ...]) -> None:
    rows = "".join(f'<row r="{number}"><c r="B{number}"><v>{number}</v></c></row>' for number in numbers)

    assert is_read_as_by_the_parser(f"{HEAD}{rows}</sheetData></worksheet>", header="no")
    assert is_read_as_by_the_parser(f"{HEAD}{rows.replace('B3', 'B4')}</sheetData></worksheet>", header="no")
