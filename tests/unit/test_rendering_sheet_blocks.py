"""Sheets whose cells are said one by one, in every target."""

import io
from typing import Any

import openpyxl
import pytest
from python_calamine import CalamineWorkbook

from bounded_contexts.documents.adapters.engines.rendering import check
from bounded_contexts.documents.domain.errors import TooLarge, Unwritable
from bounded_contexts.documents.domain.rendering.fidelity import TARGETS, Target
from bounded_contexts.documents.domain.rendering.problems import Invalid
from tests.unit.rendered import book, pdf_text, rendered, source, word

CELLS: dict[str, Any] = {
    "D9": {"formula": "=SUM(D3:D5)*(1+Rate!A1)", "value": 54},
    "A1": {"value": "Offer {{n}}", "style": {"bold": True, "size": 14}},
    "A2": "Item",
    "A3": "=1+1",
    "B3": {"value": {"path": "price"}, "style": {"numberFormat": {"type": "number", "digits": 2}}},
    "C3": 2,
    "D3": {"formula": "=B3*C3"},
    "D4": {"formula": "=D3/0.5"},
    "D5": {"formula": '=IF(D4>D$3,"more","less")'},
    "D6": {"formula": "=SUM(D3:D5,$B$3:C3)"},
    "E3": True,
}
SHEET: dict[str, Any] = {
    "type": "sheet",
    "name": "Offer",
    "cells": CELLS,
    "merges": ["A1:D1"],
    "widths": {"A": "40mm"},
    "names": {"total": "D6", "prices": "B3:B5"},
    "freeze": "B3",
    "rules": [{"cells": "D3:D6", "kind": "cell", "operator": ">", "value": 5, "style": {"bold": True}}],
    "validations": [{"cells": "C3", "kind": "integer", "min": 0, "max": 9}],
    "print": {"area": True, "fitWidth": 1},
}
DATA: dict[str, Any] = {"n": 7, "price": {"$decimal": "19.90"}}


def made(*before: Any, **more: Any) -> bytes:
    return source(*before, {**SHEET, **more}, data=DATA)


def test_a_workbook_has_the_cells_where_they_are_said_to_be() -> None:
    sheet = book(made()).worksheets[0]

    assert {cell.coordinate: cell.value for row in sheet for cell in row if cell.value is not None} == {
        "A1": "Offer 7",
        "A2": "Item",
        "A3": "=1+1",
        "B3": 19.9,
        "C3": 2,
        "D3": "=B3*C3",
        "E3": True,
        "D4": "=D3/0.5",
        "D5": '=IF(D4>D$3,"more","less")',
        "D6": "=SUM(D3:D5,$B$3:C3)",
        "D9": "=SUM(D3:D5)*(1+Rate!A1)",
    }
    assert (sheet["A3"].data_type, sheet["D3"].data_type) == ("s", "f")
    assert (sheet["A1"].font.b, sheet["B3"].number_format) == (True, "#,##0.00")


def test_formulas_have_what_they_give_beside_them() -> None:
    read = (
        CalamineWorkbook.from_filelike(io.BytesIO(rendered(made(), "xlsx")[0])).get_sheet_by_name("Offer").to_python()
    )

    assert [row[3] for row in read[2:6]] == [39.8, 79.6, "more", 141.3]
    assert read[8][3] == 54


def test_a_sheet_has_merges_names_panes_rules_and_validations() -> None:
    read = book(made())
    sheet = read.worksheets[0]

    assert [str(each) for each in sheet.merged_cells.ranges] == ["A1:D1"]
    assert {name: each.attr_text for name, each in read.defined_names.items()} == {
        "total": "Offer!$D$6",
        "prices": "Offer!$B$3:$B$5",
    }
    assert (sheet.freeze_panes, sheet.print_area) == ("B3", "'Offer'!$A$1:$E$9")
    assert [str(area.sqref) for area in sheet.conditional_formatting] == ["D3:D6"]
    assert [str(each.sqref) for each in sheet.data_validations.dataValidation] == ["C3"]
    assert sheet.column_dimensions["A"].width == pytest.approx(22.3, abs=1)


def test_what_follows_begins_a_sheet_of_its_own_and_hidden_ones_are() -> None:
    text = {"type": "paragraph", "text": "x"}
    read = book(source(text, {**SHEET, "hidden": True}, text, {**SHEET, "hidden": True}, data=DATA))

    assert [(sheet.title, sheet.sheet_state) for sheet in read] == [
        ("Sheet1", "visible"),
        ("Offer", "hidden"),
        ("Sheet3", "visible"),
        ("Offer (2)", "hidden"),
    ]
    assert book(made(hidden=True)).worksheets[0].sheet_state == "visible"


def test_pdf_and_docx_show_a_table_of_values() -> None:
    table = word(made()).tables[0]

    assert [[cell.text for cell in row.cells] for row in table.rows][:4] == [
        ["Offer 7"] * 4 + [""],
        ["Item", "", "", "", ""],
        ["=1+1", "19.90", "2", "39.8", "true"],
        ["", "", "", "79.6", ""],
    ]
    assert "=1+1 19.90 2 39.8" in pdf_text(made())
    assert rendered(made(), "pdf")[1].losses.counts["approximated"] >= 1


def test_an_error_is_told_or_refused() -> None:
    data = source({"type": "sheet", "cells": {"A1": {"formula": "=1/A2"}, "A3": {"formula": "=A1+1"}}})

    assert rendered(data, "xlsx")[1].losses.counts["formula_error"] == 2
    cached = openpyxl.load_workbook(io.BytesIO(rendered(data, "xlsx")[0]), data_only=True).worksheets[0]
    assert (cached["A1"].value, cached["A1"].data_type) == ("#DIV/0!", "e")
    with pytest.raises(Unwritable, match="formula_error"):
        rendered(data.replace(b'"version"', b'"strictness": "error", "version"'), "pdf")


def test_a_long_chain_of_formulas_and_a_far_corner_end_soon() -> None:
    chain: dict[str, Any] = {f"A{row}": {"formula": f"=A{row - 1}+1"} for row in range(2, 2_000)}
    data = source({"type": "sheet", "cells": {"A1": 1, **chain, "B1": {"formula": "=SUM(A1:A100000)"}}})

    assert book(data).worksheets[0]["A1999"].value == "=A1998+1"
    assert CalamineWorkbook.from_filelike(io.BytesIO(rendered(data, "xlsx")[0])).get_sheet_by_index(0).to_python()[
        0
    ] == [
        1,
        1999 * 2000 / 2,
    ]
    with pytest.raises(TooLarge, match="sheet cells"):
        rendered(source({"type": "sheet", "cells": {"A1": 1, "GR99999": 1}}), "pdf")


@pytest.mark.parametrize(
    ("more", "wrong"),
    [
        ({"cells": {"A1": {"formula": "=A2"}, "A2": {"formula": "=SUM(A1:B3)"}}}, "/cells"),
        ({"cells": {"A1": {"formula": "=A1"}}}, "/cells"),
        ({"cells": {"A1": {"formula": "=[@x]"}}}, "/cells/A1/formula"),
        ({"cells": {"A1": {"formula": "=TODAY()"}}}, "/cells/A1/formula"),
        ({"cells": {"A1": {"formula": "=rate*2"}}}, "/cells/A1/formula"),
        ({"cells": {"A1": {"value": {"nope": 1}}}}, "/cells/A1/value"),
        ({"cells": {"A1": {"value": 1, "style": "none"}}}, "/cells/A1/style"),
        ({"cells": {"XFD1": 1}}, "/cells/XFD1"),
        ({"cells": {"A100001": 1}}, "/cells/A100001"),
        ({"cells": {"a1": 1}}, "/cells"),
        ({"merges": ["A1"]}, "/merges/0"),
        ({"merges": ["A1:B2", "B2:C3"]}, "/merges/1"),
        ({"merges": ["A1:GR90000"]}, "/merges/0"),
        ({"names": {"A1": "A1"}}, "/names/A1"),
        ({"names": {"ref_x": "A1"}}, "/names/ref_x"),
        ({"rules": [{"cells": "A1", "kind": "duplicate"}]}, "/rules/0"),
        ({"validations": [{"cells": "A1", "kind": "integer"}]}, "/validations/0"),
    ],
)
def test_what_is_no_sheet_is_refused_with_its_place(more: dict[str, Any], wrong: str) -> None:
    with pytest.raises(Invalid) as refused:
        check(source({"type": "sheet", "cells": {}, **more}))

    assert [problem.pointer for problem in refused.value.problems] == [f"/body/0{wrong}"]


@pytest.mark.parametrize("target", TARGETS)
def test_a_sheet_is_the_same_bytes_each_time_and_may_be_empty(target: Target) -> None:
    assert rendered(made(), target)[0] == rendered(made(), target)[0]
    assert rendered(source({"type": "sheet", "cells": {}}), target)[0]


def test_texts_that_double_from_cell_to_cell_end_in_an_error() -> None:
    cells = {"A1": "0123456789"} | {f"A{row}": {"formula": f"=A{row - 1}&A{row - 1}"} for row in range(2, 60)}

    text = pdf_text(
        source({"type": "sheet", "name": "Grown", "cells": cells, "widths": {"A": "80mm"}}, strictness="ignore")
    )

    assert "#VALUE!" in text
