"""What inference has made of texts is told, column by column."""

import io
import json

import pytest

from bounded_contexts.documents.adapters.catalogue import FORMATS
from bounded_contexts.documents.adapters.converting import convert
from bounded_contexts.documents.adapters.formats.conversion import Conversion
from bounded_contexts.documents.domain.inferred_kinds import COLUMNS, NAME_CHARACTERS, TOLD_CHARACTERS
from bounded_contexts.documents.domain.options import options_of

CSV = b"id,when,mixed,name,empty\n1,2026-01-02,1.5,a,\n2,2026-01-03,x,b,\n"
XML = b"<r><i k='7'><p><q>1.5</q><q>x</q></p></i><i><p><q>true</q></p></i></r>"


def told(data: bytes, source: str, **options: str) -> dict[str, dict[str, int]]:
    conversion = Conversion(options_of(options))
    for _ in convert(io.BytesIO(data), FORMATS[source], FORMATS["json"], conversion):
        pass
    return dict(json.loads(conversion.losses.all_notes.get("inferred", "{}")))


@pytest.mark.parametrize(
    ("data", "source", "options", "expected"),
    [
        (CSV, "csv", {"inference": "safe"}, {"id": {"integer": 2}, "mixed": {"decimal": 1, "string": 1}}),
        (
            CSV,
            "csv",
            {"inference": "full"},
            {"id": {"integer": 2}, "when": {"date": 2}, "mixed": {"decimal": 1, "string": 1}, "empty": {"null": 2}},
        ),
        (CSV, "csv", {"inference": "safe", "types": "id:string"}, {"mixed": {"decimal": 1, "string": 1}}),
        (CSV, "csv", {"types": "id:integer"}, {}),
        (CSV, "csv", {}, {}),
        (b"a.b\n1\n2\n", "csv", {"inference": "safe", "nested": "true"}, {"a.b": {"integer": 2}}),
        (b"n\n1,5\n", "tsv", {"inference": "safe", "decimal_mark": ","}, {"n": {"decimal": 1}}),
        (b"n\nNIL\n1\n", "csv", {"inference": "safe", "null_text": "NIL"}, {"n": {"integer": 1}}),
        (
            XML,
            "xml",
            {"inference": "safe"},
            {"@k": {"integer": 1}, "p.q": {"boolean": 1, "decimal": 1, "string": 1}},
        ),
        (b"<r a='1'>x</r>", "xml", {"inference": "safe"}, {"r.@a": {"integer": 1}}),
        (XML, "xml", {}, {}),
        (b"a=1\nb=x\n", "properties", {"inference": "safe"}, {"a": {"integer": 1}}),
    ],
)
def test_kinds_are_counted_where_texts_became_anything_else(
    data: bytes, source: str, options: dict[str, str], expected: dict[str, dict[str, int]]
) -> None:
    assert told(data, source, **options) == expected


def test_all_batches_count() -> None:
    rows = b"".join(b"%d,x\n" % number for number in range(10_000))

    assert told(b"a,b\n" + rows, "csv", inference="safe") == {"a": {"integer": 10_000}}


def test_cells_of_workbooks_that_were_no_texts_do_not() -> None:
    conversion, out = Conversion(), io.BytesIO()
    document = FORMATS["json"].read(io.BytesIO(b'[{"a": 1, "b": "2"}, {"a": "3", "b": "4"}]'), conversion)
    out.writelines(FORMATS["xlsx"].write(document, conversion))

    assert told(out.getvalue(), "xlsx", inference="safe") == {"a": {"integer": 1}, "b": {"integer": 2}}


def test_as_many_columns_are_told_as_a_header_holds() -> None:
    names = [f"column {number}" for number in range(2 * COLUMNS)]
    data = f"{','.join(names)}\n{','.join('1' for _ in names)}\n".encode()

    found = told(data, "csv", inference="safe")

    assert list(found) == names[: len(found)]
    assert TOLD_CHARACTERS / 2 < len(json.dumps(found)) <= TOLD_CHARACTERS


def test_a_name_that_is_long_is_not_counted() -> None:
    long, deep = "a" * (NAME_CHARACTERS + 1), "b" * NAME_CHARACTERS
    element = f"<r><i><{long}>1</{long}><{deep}><c>1</c></{deep}><d>1</d></i></r>"

    assert told(f"{long},d\n1,1\n".encode(), "csv", inference="safe") == {"d": {"integer": 1}}
    assert told(element.encode(), "xml", inference="safe") == {"r.i.d": {"integer": 1}}
