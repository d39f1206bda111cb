"""What is no document is refused with all that is wrong, and limits hold."""

import json
import time
from typing import Any

import pytest

from bounded_contexts.documents.adapters.engines.rendering import check
from bounded_contexts.documents.domain.errors import TooLarge, Unreadable, Unwritable
from bounded_contexts.documents.domain.rendering.limits import RenderLimits
from bounded_contexts.documents.domain.rendering.problems import Invalid
from tests.unit.rendered import png, rendered, source, uri


def problems(data: bytes) -> dict[str, str]:
    with pytest.raises(Invalid) as refused:
        check(data)
    return {problem.pointer: problem.code for problem in refused.value.problems}


def test_all_problems_are_told_at_once_with_their_places() -> None:
    found = problems(
        source(
            {"type": "heading", "level": 9, "text": "x", "txet": 1},
            {"type": "nope"},
            {"text": "x"},
            {"type": "paragraph", "text": [{"text": "a", "bold": 1}], "x-mine": 1},
            {"type": "if", "test": True, "then": [{"type": "list", "items": [{"items": []}]}]},
            page={"size": "A0"},
            data=[],
        )
    )

    assert found == {
        "/body/0/level": "out_of_range",
        "/body/0/txet": "unknown_property",
        "/body/1/type": "not_allowed",
        "/body/2": "missing_property",
        "/body/3/text/0/bold": "wrong_type",
        "/body/4/then/0/items/0": "missing_property",
        "/page/size": "not_allowed",
        "/data": "wrong_type",
    }


def test_names_and_expressions_are_checked_without_data() -> None:
    image = {"type": "image", "alt": ""}
    found = problems(
        source(
            {"type": "paragraph", "text": "{{a b}}", "style": "none"},
            {"type": "table", "columns": [{"value": {"nope": 1}}], "rows": [[1, 2], [{"path": "a..b"}]]},
            {**image, "asset": "none"},
            {**image, "data": uri(b"GIF89a")},
            image,
            {"type": "paragraph", "text": [{"link": "javascript:alert(1)"}]},
            {"type": "section", "page": {"margins": {"left": "30cm"}}, "body": []},
            {"type": "repeat", "each": "a b", "as": "x", "body": [{"type": "quote", "text": "{{"}]},
            styles={"a": {"extends": "b"}, "b": {"extends": "a"}, "c": {"numberFormat": {"type": "currency"}}},
            locale="xx-nowhere",
            meta={"created": "2026-13-01T00:00:00Z"},
        )
    )

    assert found == {
        "/body/0/text": "bad_expression",
        "/body/0/style": "unknown_style",
        "/body/1/columns/0/value": "bad_expression",
        "/body/1/rows/0": "too_many",
        "/body/1/rows/1/0": "bad_expression",
        "/body/2/asset": "unknown_asset",
        "/body/3/data": "bad_image",
        "/body/4": "bad_image",
        "/body/5/text/0/link": "bad_link",
        "/body/6/page": "no_room",
        "/body/7/each": "bad_expression",
        "/body/7/body/0/text": "bad_expression",
        "/styles/a": "style_circle",
        "/styles/b": "style_circle",
        "/styles/c/numberFormat": "missing_property",
        "": "not_allowed",
        "/meta/created": "bad_form",
    }


@pytest.mark.parametrize(
    "data", [b"", b"[]", b"1", b'{"version":"2.0","body":[]}', b'{"body":[],"body":[]}', b"[" * 500]
)
def test_what_is_no_document_is_refused(data: bytes) -> None:
    with pytest.raises((Invalid, Unreadable, TooLarge)):
        check(data)


def nested(depth: int) -> Any:
    block: Any = {"type": "rule"}
    for _ in range(depth):
        block = {"type": "section", "body": [block]}
    return block


@pytest.mark.parametrize(
    ("data", "limits"),
    [
        (source(*[{"type": "rule"}] * 11), RenderLimits(blocks=10)),
        (source(*[{"type": "pageBreak"}] * 11), RenderLimits(pages=10)),
        (source({"type": "table", "columns": [{}], "rows": [[1]] * 11}), RenderLimits(rows=10)),
        (
            source({"type": "table", "columns": [{}], "rows": {"each": "d", "as": "x"}}, data={"d": [1] * 99}),
            RenderLimits(steps=50),
        ),
        (source(nested(100)), RenderLimits()),
        (source(), RenderLimits(input_bytes=10)),
        (source({"type": "paragraph", "text": "x"}), RenderLimits(output_bytes=10)),
    ],
    ids=["blocks", "pages", "rows", "steps", "depth", "input", "output"],
)
def test_limits_hold(data: bytes, limits: RenderLimits) -> None:
    with pytest.raises((TooLarge, Unreadable)):
        rendered(data, "pdf", limits)


def test_pixels_are_counted_before_an_image_is_decoded() -> None:
    bomb = png(1, 1).replace(b"\0\0\0\x01\0\0\0\x01", b"\0\0\xff\xff\0\0\xff\xff", 1)

    assert problems(source({"type": "image", "alt": "", "data": uri(bomb)})) == {"/body/0/data": "limit_exceeded"}


def test_an_image_that_cannot_be_decoded_is_refused_when_rendered() -> None:
    broken = png(4, 4)[:40]

    with pytest.raises(Unwritable, match="bad_image"):
        rendered(source({"type": "image", "alt": "", "data": uri(broken)}), "pdf")


@pytest.mark.parametrize("target", ["pdf", "docx", "xlsx"])
@pytest.mark.parametrize(
    "block", [{"type": "paragraph", "text": "{{none}}"}, {"type": "repeat", "each": "none", "as": "x", "body": []}]
)
def test_strictness_says_what_missing_data_does(block: Any, target: Any) -> None:
    with pytest.raises(Unwritable, match="missing_value"):
        rendered(source(block, strictness="error"), target)

    assert rendered(source(block), target)[1].losses.counts["missing_value"] == 1
    assert not rendered(source(block, strictness="ignore"), target)[1].losses.counts


def test_one_huge_word_and_a_cell_higher_than_a_page_end_soon() -> None:
    began = time.monotonic()
    data = source(
        {"type": "paragraph", "text": "x" * 60_000},
        {
            "type": "table",
            "columns": [{"width": "20mm"}, {}],
            "rows": [["word " * 5_000, "y" * 20_000]],
            "footer": ["f"],
            "repeatFooter": True,
        },
    )

    rendered(json.dumps(json.loads(data)).encode(), "pdf")

    assert time.monotonic() - began < 60


@pytest.mark.parametrize("kind", ["include", "columns", "chart", "table", "barcode", "sheet", "currency", ["include"]])
def test_objects_that_only_look_like_blocks_are_refused_as_expressions(kind: Any) -> None:
    given = {"type": kind}
    partials = {"p": [{"type": "include", "partial": "q", "with": {"a": given}}], "q": [{"type": "rule"}]}
    found = problems(source({"type": "if", "test": given, "then": []}, partials=partials))

    assert found == {"/partials/p/0/with/a": "bad_expression", "/body/0/test": "bad_expression"}


def test_what_is_the_authors_own_may_look_like_a_block() -> None:
    own = {"type": "paragraph", "text": "a", "x-own": {"type": "include"}}

    check(source(own, partials={"p": [own]}))
