"""How lists count, as independent readers see it."""

import io
import re
import zipfile
from typing import Any

import pytest

from bounded_contexts.documents.adapters.engines.rendering import check
from bounded_contexts.documents.domain.rendering.numbering import FORMATS, NumberFormat, counted
from bounded_contexts.documents.domain.rendering.problems import Invalid
from tests.unit.rendered import column, pdf_text, rendered, source

BETWEEN = {"type": "paragraph", "text": "between"}
TAGGED = {"pdf": {"tagged": True}}
FIVE = [
    {"type": "list", "ordered": True, "format": form, "start": 3, "items": [f"one {form}", f"two {form}"]}
    for form in FORMATS
]
MARKS = [["3.", "4."], ["c.", "d."], ["C.", "D."], ["iii.", "iv."], ["III.", "IV."]]
CONTINUED: list[dict[str, Any]] = [
    {
        "type": "list",
        "ordered": True,
        "format": "upperRoman",
        "start": 2,
        "items": ["a", {"text": "b", "ordered": True, "format": "lowerLetter", "items": ["inner"]}],
    },
    BETWEEN,
    {"type": "list", "items": ["bullet"]},
    {"type": "list", "continue": True, "items": ["c"]},
    BETWEEN,
    {"type": "list", "continue": True, "items": ["d"]},
]


@pytest.mark.parametrize(
    ("form", "numbers", "marks"),
    [
        ("decimal", [0, 1, 27], ["0", "1", "27"]),
        ("lowerLetter", [0, 1, 26, 27, 53, 521], ["0", "a", "z", "aa", "aaa", "521"]),
        ("upperLetter", [2, 28], ["B", "BB"]),
        ("lowerRoman", [1, 4, 9, 1994, 3999, 4000], ["i", "iv", "ix", "mcmxciv", "mmmcmxcix", "4000"]),
        ("upperRoman", [0, 42], ["0", "XLII"]),
    ],
)
def test_numbers_are_counted_as_word_processors_count(form: NumberFormat, numbers: list[int], marks: list[str]) -> None:
    assert [counted(number, form) for number in numbers] == marks


@pytest.mark.parametrize("more", [{}, {"output": TAGGED}], ids=["quick", "tagged"])
def test_pdf_counts_in_every_format_and_goes_on(more: Any) -> None:
    text = re.sub(r"\s+", " ", pdf_text(source(*FIVE, **more)))
    continued = re.sub(r"\s+", " ", pdf_text(source(*CONTINUED, **more)))

    for (first, second), form in zip(MARKS, FORMATS, strict=True):
        assert f"{first} one {form}" in text
        assert f"{second} two {form}" in text
    assert continued == "II. a III. b a. inner between • bullet IV. c between V. d"


def test_xlsx_has_the_marks_as_texts() -> None:
    assert column(source(*FIVE))[2:4] == ["c. one lowerLetter", "d. two lowerLetter"]
    assert column(source(*CONTINUED)) == [
        "II. a",
        "III. b",
        "a. inner",
        "between",
        "• bullet",
        "IV. c",
        "between",
        "V. d",
    ]


def test_docx_counts_by_definitions_of_its_own() -> None:
    with zipfile.ZipFile(io.BytesIO(rendered(source(*CONTINUED), "docx")[0])) as package:
        body, numbering = [package.read(f"word/{name}.xml").decode() for name in ("document", "numbering")]
    lists = re.findall(r'<w:numId w:val="(\d+)"/>', body)

    assert lists == ["1", "1", "2", "3", "1", "1"]  # what goes on is the same list
    kinds = dict(re.findall(r'<w:num w:numId="(\d+)"><w:abstractNumId w:val="(\d+)"/>', numbering))
    formats = {
        number: re.findall(r'<w:numFmt w:val="(\w+)"/>', text)[0]
        for number, text in re.findall(r'<w:abstractNum w:abstractNumId="(\d+)">(.*?)</w:abstractNum>', numbering)
    }
    assert {number: formats[kind] for number, kind in kinds.items()} == {
        "1": "upperRoman",
        "2": "lowerLetter",
        "3": "bullet",
    }
    assert '<w:startOverride w:val="2"/>' in numbering


def test_a_list_that_goes_on_from_none_begins_with_one() -> None:
    assert column(source({"type": "list", "continue": True, "items": ["a"]})) == ["1. a"]


def test_what_cannot_be_is_refused_with_its_place() -> None:
    block = {"type": "list", "continue": True, "ordered": False, "start": 3, "format": "decimal", "items": []}
    with pytest.raises(Invalid) as caught:
        check(source(block, {"type": "list", "format": "greek", "items": []}))
    assert [each.pointer for each in caught.value.problems] == ["/body/1/format"]
    with pytest.raises(Invalid) as caught:
        check(source(block))

    assert [(each.pointer, each.code) for each in caught.value.problems] == [
        ("/body/0/format", "not_allowed"),
        ("/body/0/ordered", "not_allowed"),
        ("/body/0/start", "not_allowed"),
    ]
