"""What people who work in a workbook have: cells that are locked, comments, rows and columns that are folded."""

import io
import zipfile
from typing import Any

import pytest

from bounded_contexts.documents.adapters.engines.rendering import check
from bounded_contexts.documents.domain.errors import TooLarge, Unwritable
from bounded_contexts.documents.domain.rendering.fidelity import TARGETS, Target
from bounded_contexts.documents.domain.rendering.problems import Invalid
from tests.unit.rendered import book, rendered, source

OPEN = {"style": {"locked": False}}
GROUPS: dict[str, Any] = {
    "type": "table",
    "rows": {"each": "rows", "as": "r"},
    "groupBy": [
        {"value": {"path": "r.a"}, "header": "{{value}}", "subtotal": "Total {{value}}"},
        {"value": {"path": "r.b"}, "subtotal": "of {{value}}"},
    ],
    "columns": [
        {"title": "A", "value": {"path": "r.a"}},
        {"title": "B", "value": {"path": "r.b"}, "xlsx": {"outline": 2}},
        {"title": "N", "value": {"path": "r.n"}, "total": "sum"},
    ],
}
DATA = {"rows": [{"a": "x", "b": 1, "n": 1}, {"a": "x", "b": 2, "n": 2}, {"a": "y", "b": 1, "n": 3}]}


def parts(data: bytes, ending: str) -> list[str]:
    with zipfile.ZipFile(io.BytesIO(rendered(data, "xlsx")[0])) as package:
        return [package.read(name).decode() for name in sorted(package.namelist()) if name.endswith(ending)]


def test_a_protected_sheet_has_locked_cells_but_those_that_are_open() -> None:
    columns = [{"title": "Item"}, {"title": "Count", **OPEN}]
    table = {"type": "table", "rows": [["Pump", 2]], "columns": columns, "xlsx": {"protect": {"allow": ["sort"]}}}
    sheet = book(source(table)).worksheets[0]

    assert sheet.protection.sheet
    assert sheet.protection.password is None
    assert [sheet[name].protection.locked for name in ("A2", "B2")] == [True, False]
    assert not sheet.protection.sort
    assert sheet.protection.autoFilter
    assert not book(source({**table, "xlsx": {}})).worksheets[0].protection.sheet


def test_a_sheet_of_cells_is_protected_too() -> None:
    cells = {"A1": "Rate", "B1": {"value": 0.2, **OPEN}, "C1": {"value": None, **OPEN}}
    sheet = book(source({"type": "sheet", "cells": cells, "protect": True})).worksheets[0]

    assert sheet.protection.sheet
    assert [sheet[name].protection.locked for name in ("A1", "B1", "C1")] == [True, False, False]


def test_a_sheet_of_several_tables_allows_what_all_of_them_do() -> None:
    tables = [
        {"type": "table", "rows": [[1]], "columns": [{}], "xlsx": {"protect": {"allow": allowed}}}
        for allowed in (["sort", "filter"], ["filter", "insertRows"])
    ]
    found = book(source(*tables)).worksheets[0].protection

    assert [found.sort, found.autoFilter, found.insertRows] == [True, False, True]


def test_cells_and_titles_have_comments() -> None:
    cells = {"B2": {"value": 1, "comment": "Since {{year}}"}, "C9": {"comment": "=1+1"}}
    columns = [{"title": "Price", "xlsx": {"comment": "net"}}]
    data = source(
        {"type": "sheet", "cells": cells},
        {"type": "table", "rows": [[1]], "columns": columns, "xlsx": {"sheet": "T"}},
        data={"year": 2026},
    )
    read = book(data)

    assert [read.worksheets[0][name].comment.text for name in ("B2", "C9")] == ["Since 2026", "=1+1"]
    assert read["T"]["A1"].comment.text == "net"
    assert rendered(data, "xlsx")[0] == rendered(data, "xlsx")[0]


@pytest.mark.parametrize("target", ["pdf", "docx"])
def test_where_there_are_no_comments_their_loss_is_told(target: Target) -> None:
    sheet = {"type": "sheet", "cells": {"A1": {"value": 1, "comment": "why"}}}

    assert "comment" in str(rendered(source(sheet), target)[1].losses.first)
    with pytest.raises(Unwritable, match="comment"):
        rendered(source(sheet, strictness="error"), target)


def test_a_comment_is_no_longer_than_a_workbook_holds() -> None:
    with pytest.raises(TooLarge) as caught:
        rendered(source({"type": "sheet", "cells": {"A1": {"value": 1, "comment": "x" * 40_000}}}), "xlsx")

    assert caught.value.more["limit"] == "comment_characters"


def test_groups_of_a_table_are_folded() -> None:
    for how, hidden in (("open", False), ("collapsed", True)):
        sheet = book(source({**GROUPS, "xlsx": {"outline": how}}, data=DATA)).worksheets[0]
        rows = {cell.value: sheet.row_dimensions[cell.row] for cell in sheet["A"]}
        body = [sheet.row_dimensions[row] for row in range(1, sheet.max_row + 1) if sheet.cell(row, 2).value == 1]

        assert [rows[name].outlineLevel for name in ("A", "Total x", "of 1")] == [0, 0, 1]
        assert [each.outlineLevel for each in body] == [2, 2]
        assert {each.hidden for each in body} == {hidden}
        assert rows["Total x"].hidden is False
        assert bool(rows["Total x"].collapsed) is hidden
        assert sheet.sheet_properties.outlinePr.summaryBelow is not False
        assert sheet.column_dimensions["B"].outlineLevel == 2


def test_groups_without_subtotals_are_folded_below_their_headers() -> None:
    groups = [{"value": {"path": "r.a"}, "header": "{{value}}"}]
    sheet = book(source({**GROUPS, "groupBy": groups, "xlsx": {"outline": "collapsed"}}, data=DATA)).worksheets[0]

    assert sheet.sheet_properties.outlinePr.summaryBelow is False
    assert [bool(sheet.row_dimensions[row].collapsed) for row in range(2, 7)] == [True, False, False, True, False]


def test_rows_and_columns_of_a_sheet_are_folded() -> None:
    outline = [{"lines": "2:5"}, {"lines": "3:4", "collapsed": True}, {"lines": "B:C", "collapsed": True}]
    block = {"type": "sheet", "cells": {"A1": 1, "A4": 2, "D1": 3}, "widths": {"B": "30mm"}, "outline": outline}
    sheet = book(source(block)).worksheets[0]
    rows = [sheet.row_dimensions[number] for number in range(1, 7)]

    assert [row.outlineLevel for row in rows] == [0, 1, 2, 2, 1, 0]
    assert [row.hidden for row in rows] == [False, False, True, True, False, False]
    assert bool(rows[4].collapsed)
    assert sheet["A4"].value == 2
    assert sheet.column_dimensions["B"].outlineLevel == 1
    assert sheet.column_dimensions["B"].hidden


@pytest.mark.parametrize(
    ("block", "pointer", "code"),
    [
        ({"type": "sheet", "cells": {}, "outline": [{"lines": "5:2"}]}, "/body/0/outline/0/lines", "out_of_range"),
        ({"type": "sheet", "cells": {}, "outline": [{"lines": "A:ZZ"}]}, "/body/0/outline/0/lines", "out_of_range"),
        ({"type": "sheet", "cells": {}, "outline": [{"lines": "2:B"}]}, "/body/0/outline/0/lines", "bad_form"),
        ({"type": "sheet", "cells": {}, "outline": [{"lines": "2:3"}] * 8}, "/body/0/outline", "too_many"),
        (
            {"type": "sheet", "cells": {}, "outline": [{"lines": "1:99999"}] * 2},
            "/body/0/outline/1/lines",
            "too_many",
        ),
        ({"type": "sheet", "cells": {}, "protect": {"allow": ["all"]}}, "/body/0/protect/allow/0", "not_allowed"),
        (
            {"type": "table", "rows": [], "columns": [{}], "xlsx": {"outline": "open"}},
            "/body/0/xlsx/outline",
            "not_allowed",
        ),
    ],
)
def test_what_cannot_be_is_refused_with_its_place(block: Any, pointer: str, code: str) -> None:
    with pytest.raises(Invalid) as caught:
        check(source(block))

    assert [(each.pointer, each.code) for each in caught.value.problems] == [(pointer, code)]


@pytest.mark.parametrize("target", TARGETS)
def test_other_targets_pass_over_what_is_for_workbooks(target: Target) -> None:
    data = source({**GROUPS, "xlsx": {"outline": "open", "protect": True}}, data=DATA)

    assert rendered(data, target)[1].losses.counts.keys() <= {"approximated"}
