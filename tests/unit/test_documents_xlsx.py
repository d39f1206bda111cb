"""What of a workbook can be asked for, and what a workbook of several sheets is written like."""

import io
from datetime import date, datetime, timedelta
from decimal import Decimal
from typing import Any

import msgspec
import openpyxl
import pytest
from openpyxl.styles import Font
from openpyxl.utils.escape import unescape
from openpyxl.worksheet.formula import ArrayFormula
from openpyxl.worksheet.hyperlink import Hyperlink

from bounded_contexts.documents.adapters.catalogue import FORMATS
from bounded_contexts.documents.adapters.converting import convert
from bounded_contexts.documents.adapters.formats.conversion import Conversion
from bounded_contexts.documents.adapters.formats.xlsx_formulas import moved
from bounded_contexts.documents.adapters.formats.xlsx_shown import shown
from bounded_contexts.documents.domain.errors import TooLarge, Unreadable
from bounded_contexts.documents.domain.options import Options
from bounded_contexts.documents.domain.values import Single, Tagged, Value


def packed(book: openpyxl.Workbook) -> bytes:
    out = io.BytesIO()
    book.save(out)
    return out.getvalue()


def sheet_of(*rows: list[Any]) -> tuple[openpyxl.Workbook, Any]:
    book = openpyxl.Workbook()
    sheet: Any = book.active
    for row in rows:
        sheet.append(row)
    return book, sheet


def value_of(data: bytes, **options: Any) -> Value:
    document = FORMATS["xlsx"].read(io.BytesIO(data), Conversion(Options(**options)))
    if isinstance(document, Single):
        return document.value
    return [value for batch in document.batches for value in batch]


def converted(data: bytes, read: str, write: str, **options: Any) -> tuple[bytes, Conversion]:
    conversion = Conversion(Options(**options))
    return b"".join(convert(io.BytesIO(data), FORMATS[read], FORMATS[write], conversion)), conversion


class TestSheets:
    def book(self) -> bytes:
        book, first = sheet_of(["a"], [1])
        first.title = "One"
        second = book.create_sheet("Two")
        second.append(["b"])
        second.append(["x"])
        book.create_sheet("Empty").sheet_state = "hidden"
        return packed(book)

    def test_are_read_by_name_and_by_index(self) -> None:
        assert value_of(self.book()) == [{"a": 1}]
        assert value_of(self.book(), sheet="Two") == value_of(self.book(), sheet="1") == [{"b": "x"}]

    @pytest.mark.parametrize("sheet", ["3", "Three", "-1"])
    def test_that_there_are_none_of_are_refused(self, sheet: str) -> None:
        with pytest.raises(Unreadable) as caught:
            value_of(self.book(), sheet=sheet)
        assert caught.value.code == "no_sheet"

    def test_are_all_read_as_a_map_of_lists(self) -> None:
        assert value_of(self.book(), sheet="all") == {"One": [{"a": 1}], "Two": [{"b": "x"}], "Empty": []}

    def test_that_are_hidden_are_left_out_if_asked_for(self) -> None:
        assert list(value_of(self.book(), sheet="all", hidden="skip")) == ["One", "Two"]

    def test_are_written_from_a_map_of_lists_and_come_back(self) -> None:
        out, conversion = converted(b'{"A":[{"a":1,"b":"x"}],"B/C":[{"c":true}],"b_c":[]}', "json", "xlsx", sheet="all")

        assert [sheet.title for sheet in openpyxl.load_workbook(io.BytesIO(out))] == ["A", "B_C", "b_c (2)"]
        assert value_of(out, sheet="all") == {"A": [{"a": 1, "b": "x"}], "B_C": [{"c": True}], "b_c (2)": []}
        assert dict(conversion.losses.counts) == {"sheet_renamed": 2}
        assert [loss.pointer for loss in conversion.losses.first] == ["/B~1C", "/b_c"]

    def test_losses_say_in_which_of_them(self) -> None:
        _, conversion = converted(b'{"A":[{"a":1}],"B":[{"b":1234567890123456}]}', "json", "xlsx", sheet="all")

        assert "/B/0/b" in {loss.pointer for loss in conversion.losses.first}

    def test_come_back_equal_with_lossless(self) -> None:
        text = b'{"A":[{"a":{"b":[1.10,null]},"c":""}],"B":[{"c":[]}]}'
        out, _ = converted(text, "json", "xlsx", sheet="all", lossless=True)

        assert converted(out, "xlsx", "json", sheet="all", restored=True)[0] == text

    def test_columns_are_as_wide_as_their_first_cells(self) -> None:
        out, _ = converted(b'[{"a":"' + b"x" * 30 + b'","b":1}]', "json", "xlsx")
        widths = openpyxl.load_workbook(io.BytesIO(out))["Sheet1"].column_dimensions

        assert (widths["A"].width, widths["B"].width) == (32, 10)


class TestRange:
    @pytest.mark.parametrize(
        ("asked", "records"),
        [
            ("B2:C3", [{"b": 5, "c": 6}]),
            ("B:B", [{"y": "b"}, {"y": 5}, {"y": 8}]),
            ("2:3", [{"a": 4, "b": 5, "c": 6}]),
            ("$A$2:$A$9", [{"a": 4}, {"a": 7}]),
        ],
    )
    def test_of_cells_is_read(self, asked: str, records: Value) -> None:
        book, _ = sheet_of(["x", "y", "z"], ["a", "b", "c"], [4, 5, 6], [7, 8, 9])

        assert value_of(packed(book), range=asked) == records

    @pytest.mark.parametrize("asked", ["A1:B", "C1:A1", "a1", "A0:B2", "A1:B2:C3", ":"])
    def test_that_calls_no_cells_is_refused(self, asked: str) -> None:
        book, _ = sheet_of(["x"])

        with pytest.raises(Unreadable) as caught:
            value_of(packed(book), range=asked)
        assert caught.value.code == "bad_range"

    def test_header_may_stand_in_a_later_row(self) -> None:
        book, _ = sheet_of(["Report"], [], ["a", "b"], [1, 2])

        assert value_of(packed(book), skip_rows=2) == [{"a": 1, "b": 2}]


class TestMergedCells:
    def book(self, area: str) -> bytes:
        book, sheet = sheet_of(["a", "b"], ["x", 1], [None, 2], ["y", 3])
        sheet.merged_cells.add(area)
        return packed(book)

    def test_have_their_value_once_or_in_each(self) -> None:
        assert [row["a"] for row in value_of(self.book("A2:A3"))] == ["x", None, "y"]
        assert [row["a"] for row in value_of(self.book("A2:A3"), merged="fill")] == ["x", "x", "y"]

    def test_below_the_last_row_are_filled_too(self) -> None:
        filled = value_of(self.book("A4:B6"), merged="fill")

        assert filled[2:] == [{"a": "y", "b": "y"}] * 3

    def test_are_filled_within_a_budget(self) -> None:
        with pytest.raises(TooLarge):
            value_of(self.book("A4:XFD9999"), merged="fill")


class TestCells:
    def test_in_hidden_rows_and_columns_are_left_out_if_asked_for(self) -> None:
        book, sheet = sheet_of(["a", "b", "c"], [1, 2, 3], [4, 5, 6])
        sheet.row_dimensions[2].hidden = True
        sheet.column_dimensions["B"].hidden = True

        assert value_of(packed(book)) == [{"a": 1, "b": 2, "c": 3}, {"a": 4, "b": 5, "c": 6}]
        assert value_of(packed(book), hidden="skip") == [{"a": 4, "c": 6}]

    def test_have_formulas_or_the_values_these_had(self) -> None:
        book, sheet = sheet_of(["a"], ["=1+1"])
        assert value_of(packed(book), formulas="text") == [{"a": Tagged("xlsx:formula", "=1+1")}]

        sheet["A2"] = ArrayFormula("A2", "=SUM(B1:B9)")
        assert value_of(packed(book), formulas="text") == [{"a": Tagged("xlsx:formula", "=SUM(B1:B9)")}]
        assert value_of(packed(book)) == [{"a": None}]

    def test_formulas_are_texts_where_they_are_written(self) -> None:
        book, _ = sheet_of(["a"], ["=1+1"])
        out, conversion = converted(packed(book), "xlsx", "xlsx", formulas="text")

        assert openpyxl.load_workbook(io.BytesIO(out))["Sheet1"]["A2"].data_type == "s"
        assert value_of(out) == [{"a": "=1+1"}]
        assert dict(conversion.losses.counts) == {"kind_as_text": 1}

    def test_errors_stay_errors_between_workbooks_and_are_told_elsewhere(self) -> None:
        book, sheet = sheet_of(["a"], ["#N/A"])
        assert sheet["A2"].data_type == "e"

        assert value_of(converted(packed(book), "xlsx", "xlsx")[0]) == [{"a": Tagged("xlsx:error", "#N/A")}]
        out, conversion = converted(packed(book), "xlsx", "csv")
        assert (out, dict(conversion.losses.counts)) == (b"a\r\n#N/A\r\n", {"kind_as_text": 1})

    def test_lead_elsewhere_if_asked_for(self) -> None:
        book, sheet = sheet_of(["a", "b"], ["x", "y"])
        sheet["A2"].hyperlink = "https://example.org/?a=1&b=2"
        sheet["B2"].hyperlink = Hyperlink(ref="B2", location="Sheet!A1")

        assert value_of(packed(book)) == [{"a": "x", "b": "y"}]
        assert value_of(packed(book), hyperlinks=True) == [
            {"a": {"text": "x", "href": "https://example.org/?a=1&b=2"}, "b": {"text": "y", "href": "#Sheet!A1"}}
        ]
        assert converted(packed(book), "xlsx", "csv", hyperlinks=True, newline="lf")[0].startswith(b"a.text,a.href,")

    def test_rich_text_is_text(self) -> None:
        book, sheet = sheet_of(["a"])
        sheet["A2"] = openpyxl.cell.rich_text.CellRichText(
            "plain ", openpyxl.cell.rich_text.TextBlock(openpyxl.cell.text.InlineFont(b=True), "bold")
        )
        sheet["A2"].font = Font(bold=True)

        assert value_of(packed(book)) == [{"a": "plain bold"}]

    def test_are_dates_times_and_durations_by_their_formats(self) -> None:
        book, _ = sheet_of(["d", "t", "e"], [date(2026, 1, 2), datetime(2026, 1, 2, 3, 4, 5), timedelta(hours=36.5)])  # noqa: DTZ001

        assert value_of(packed(book)) == [
            {"d": date(2026, 1, 2), "t": datetime(2026, 1, 2, 3, 4, 5), "e": Tagged("xlsx:duration", "PT36H30M")}  # noqa: DTZ001
        ]

    def test_numbers_are_themselves_or_as_shown(self) -> None:
        book, sheet = sheet_of(["a", "b", "c"], [0.125, 1234.5, 7])
        sheet["A2"].number_format = "0.0%"
        sheet["B2"].number_format = "[$€-407] #,##0.00"

        assert value_of(packed(book)) == [{"a": Decimal("0.125"), "b": Decimal("1234.5"), "c": 7}]
        assert value_of(packed(book), numbers="shown") == [{"a": "12.5%", "b": "€ 1,234.50", "c": 7}]

    def test_rows_longer_than_the_header_are_refused_cut_or_left_out(self) -> None:
        book, _ = sheet_of(["a"], [1, 2], [3])

        with pytest.raises(Unreadable):
            value_of(packed(book))
        assert value_of(packed(book), ragged="truncate") == [{"a": 1}, {"a": 3}]
        assert value_of(packed(book), ragged="skip") == [{"a": 3}]

    def test_of_columns_of_one_name_are_refused_or_kept_as_asked(self) -> None:
        book, _ = sheet_of(["a", "a"], [1, 2])

        with pytest.raises(Unreadable):
            value_of(packed(book))
        assert value_of(packed(book), duplicates="first") == [{"a": 1}]
        assert value_of(packed(book), duplicates="last") == [{"a": 2}]
        assert value_of(packed(book), duplicates="list") == [{"a": [1, 2]}]


@pytest.mark.parametrize(
    ("formula", "text"),
    [
        ("A1+$A1+A$1+$A$1", "B3+$A3+B$1+$A$1"),
        ("SUM(A1:B2)", "SUM(B3:C4)"),
        ('"A1"&A1', '"A1"&B3'),
        ("'A1'!A1+LOG10(2)+A1B2+Table[A1]", "'A1'!B3+LOG10(2)+A1B2+Table[A1]"),
        ("XFD1", "#REF!"),
    ],
)
def test_shared_formula_is_moved(formula: str, text: str) -> None:
    assert moved(formula, 2, 1) == text


@pytest.mark.parametrize(
    ("number", "code", "text"),
    [
        ("0.5", "0%", "50%"),
        ("-1234.567", "#,##0.00", "-1,234.57"),
        ("-5", "#,##0;(#,##0)", "(5)"),
        ("0", '0.00;-0.00;"-"0', "-0"),
        ("0.5", "#,##0.0#", "0.5"),
        ("1234567", '0.0,,"M"', "1.2M"),
        ("2.5", '"$"0.00', "$2.50"),
        ("2.005", "0.00", "2.01"),
        ("-0.001", "0.00", "0.00"),
        ("3", "General", None),
        ("3", "0", None),
        ("3", "# ?/?", None),
        ("3", "0.00E+00", None),
        ("3", "[>100]0.0", None),
        ("3", "", None),
    ],
)
def test_number_is_shown_by_its_format(number: str, code: str, text: str | None) -> None:
    assert shown(Decimal(number), code) == text


@pytest.mark.parametrize(
    "texts",
    [
        ["plain", "~", "a ~ b", "_", "x0041_"],
        ["plain", " before", "behind ", "\n", "in\nside", "\u00a0", ""],
        ["plain", "<a>&amp;", "_x0041_", "\x01", "\ufffe", "é中🎉"],
    ],
)
def test_texts_are_read_back_as_they_are_by_others_too(texts: list[str]) -> None:
    source = msgspec.json.encode([{"number": number, "text": text} for number, text in enumerate(texts)])

    workbook, _ = converted(source, "json", "xlsx")

    sheet: Any = openpyxl.load_workbook(io.BytesIO(workbook)).active
    found = [row[1].value or "" for row in sheet.iter_rows(min_row=2)]
    assert [unescape(each) for each in found] == texts
    assert [each["text"] for each in value_of(workbook)] == texts


def test_cells_of_rows_with_gaps_stand_where_they_belong() -> None:
    workbook, _ = converted(b"a,b,c\n1,,3\n,,\n,5,6\n", "csv", "xlsx", null_text="")

    sheet: Any = openpyxl.load_workbook(io.BytesIO(workbook)).active
    cells = {cell.coordinate: cell.value for row in sheet.iter_rows() for cell in row if cell.value is not None}
    assert cells == {"A1": "a", "B1": "b", "C1": "c", "A2": "1", "C2": "3", "B4": "5", "C4": "6"}
