"""Rows that follow a document: the same bytes as rows in its data, wherever they come from, and nothing of them is held."""

import io
import json
import tracemalloc
from collections.abc import Iterator
from typing import Any

import pytest

from bounded_contexts.documents.adapters.engines.rendering import Rendering, check_lines, render_lines
from bounded_contexts.documents.domain.errors import TooLarge, Unreadable
from bounded_contexts.documents.domain.rendering.fidelity import TARGETS, Target
from bounded_contexts.documents.domain.rendering.limits import RenderLimits
from bounded_contexts.documents.domain.rendering.problems import Invalid
from tests.unit.rendered import rendered, source

ORDERS = [
    {"country": country, "no": number, "sum": {"$decimal": f"{number}.50"}, "on": {"$date": "2026-11-22"}, "$$own": 1}
    for country in ("DE", "FR")
    for number in range(60)
]
LINES = [[f"Item {number}", number, None] for number in range(50)]
BY_COUNTRY = {
    "type": "table",
    "id": "orders",
    "groupBy": [{"value": {"path": "o.country"}, "header": "{{value}}", "subtotal": "Total of {{value}}"}],
    "columns": [
        {"title": "No", "value": "{{loop.index}}: {{o.no}} {{loop.last}}"},
        {"title": "On", "value": {"path": "o.on"}, "style": {"numberFormat": {"type": "date"}}},
        {"title": "Sum", "value": {"path": "o.sum"}, "total": "sum"},
    ],
}
PLAIN = {"type": "table", "zebra": True, "columns": [{"title": "A", "value": {"path": "l[0]"}}, {"value": "{{l[1]}}"}]}
ALL_OF_THEM = {"type": "paragraph", "text": ["On page ", {"ref": "orders"}, " of ", {"field": "pages"}]}


def tables(orders: dict[str, str], lines: dict[str, str]) -> list[Any]:
    """Two lists, of which one is shown twice, once for each of some things."""
    plain = {**PLAIN, "rows": lines}
    again = {"type": "repeat", "each": "times", "as": "t", "body": [plain]}
    return [ALL_OF_THEM, {**BY_COUNTRY, "rows": orders}, {"type": "section", "body": [again]}]


def lines(*values: Any) -> bytes:
    return b"".join([(value if isinstance(value, bytes) else json.dumps(value).encode()) + b"\n" for value in values])


def streamed(content: bytes, target: Target, limits: RenderLimits | None = None) -> bytes:
    return b"".join(render_lines(io.BytesIO(content), target, Rendering(limits or RenderLimits())))


def one_table(**rows: Any) -> bytes:
    """A document whose table takes rows of the stream `r`."""
    given = rows or {"$stream": "r", "as": "r"}
    return source({"type": "table", "columns": [{"value": {"path": "r.a"}}], "rows": given})


@pytest.mark.parametrize("target", TARGETS)
def test_rows_that_follow_give_the_bytes_of_rows_in_the_data(target: Target) -> None:
    inline = source(
        *tables({"each": "orders", "as": "o"}, {"each": "lines", "as": "l"}),
        data={"times": [1, 2], "orders": ORDERS, "lines": LINES},
    )
    head = source(*tables({"$stream": "orders", "as": "o"}, {"$stream": "lines", "as": "l"}), data={"times": [1, 2]})
    rows = [{"$stream": "lines"}, *LINES[:20], {"$stream": "orders"}, *ORDERS, {"$stream": "lines"}, *LINES[20:]]

    made = streamed(lines(head, *rows), target)

    assert made == rendered(inline, target)[0]
    # nor does it matter how the bytes come, how lines end, and whether some of them are empty
    spaced = lines(head, b"", *rows).replace(b"\n", b" \r\n").rstrip()
    assert b"".join(render_lines(Slow(spaced), target, Rendering())) == made


class Slow:
    """A source of which little comes at a time."""

    def __init__(self, content: bytes) -> None:
        self._content = io.BytesIO(content)

    def read(self, size: int, /) -> bytes:
        return self._content.read(min(size, 97))


def test_a_document_may_have_no_rows_behind_it() -> None:
    assert streamed(one_table(), "docx") == streamed(one_table() + b"\n\n", "docx")
    assert streamed(source({"type": "paragraph", "text": "x"}), "pdf").startswith(b"%PDF")


def test_a_character_of_the_last_row_that_another_engine_has_takes_a_walk_more() -> None:
    rows = [{"a": "x"}] * 3 + [{"a": "漢字"}]
    inline = source(
        {"type": "table", "columns": [{"value": {"path": "r.a"}}], "rows": {"each": "rows", "as": "r"}},
        data={"rows": rows},
    )
    rendering = Rendering()

    made = b"".join(render_lines(io.BytesIO(lines(one_table(), *rows)), "pdf", rendering))

    assert rendering.losses.notes["engine"] == "typst"
    assert made == rendered(inline, "pdf")[0]


TWO = source(
    *[{"type": "table", "columns": [{"value": "x"}], "rows": {"$stream": name, "as": "r"}} for name in ("a", "b")]
)


@pytest.mark.parametrize(
    ("content", "code", "place"),
    [
        (lines(one_table(), {"a": 1}, b"{"), "bad_json", {"line": 3, "column": 2}),
        (lines(one_table(), {"a": 1}, b"", b'{"a": 1, "a": 2}'), "duplicate_key", {"line": 4}),
        (lines(one_table(), {}, {"a": [1, {"$date": "x"}]}), "bad_mark", {"line": 3, "pointer": "/a/1"}),
        (lines(one_table(), b'{"a": {"\\u0024date": "x"}}'), "bad_mark", {"line": 2, "pointer": "/a"}),
        (lines(one_table(), {}, {"$stream": "other"}), "unknown_stream", {"line": 3}),
        (lines(TWO, {"$stream": "b"}, {}, {"$stream": "a"}, b"1 2"), "bad_json", {"line": 5}),
        (lines(TWO, {}), "unknown_stream", {"line": 2}),
        (lines(source({"type": "pageBreak"}), {}), "unknown_stream", {"line": 2}),
        (lines(one_table(), b'{"a": "\xff"}'), "bad_charset", {}),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_a_row_that_is_wrong_is_told_with_its_line_before_anything_is_written(
    content: bytes, code: str, place: dict[str, str | int]
) -> None:
    with pytest.raises(Unreadable) as caught:
        next(render_lines(io.BytesIO(content), "docx", Rendering()))

    assert caught.value.code == code
    assert caught.value.more.items() >= place.items()
    if code in ("bad_json", "bad_charset"):
        assert content[: int(caught.value.more["offset"])].count(b"\n") == int(place.get("line", 2)) - 1


@pytest.mark.parametrize(
    ("limits", "limit"),
    [
        (RenderLimits(rows=9), "rows"),
        (RenderLimits(streamed_bytes=1000), "streamed_bytes"),
        (RenderLimits(row_bytes=1000), "row_bytes"),
        (RenderLimits(input_bytes=100), "input_bytes"),
        (RenderLimits(blocks=0), "blocks"),
        (RenderLimits(steps=20), "steps"),
        (RenderLimits(output_bytes=1000), "output_bytes"),
    ],
    ids=str,
)
def test_limits_hold_for_rows_that_follow(limits: RenderLimits, limit: str) -> None:
    content = lines(one_table(), *[{"a": "x" * 100}] * 9, {"a": "x" * 200_000})

    with pytest.raises(TooLarge) as caught:
        streamed(content, "docx", limits)

    assert caught.value.more["limit"] == limit


def test_rows_that_are_nested_too_deep_are_refused() -> None:
    with pytest.raises(TooLarge):
        check_lines(io.BytesIO(lines(one_table(), b"[" * 5_000 + b"]" * 5_000)), Rendering())


STREAMED = {"type": "table", "columns": [{"value": "x"}], "rows": {"$stream": "r", "as": "r"}}
CHART = {"type": "chart", "kind": "bar", "alt": "x", "series": [{"value": {"path": "r.a"}}], "category": "x"}
CELL = {"type": "table", "columns": [{"blocks": [STREAMED]}], "rows": {"each": "a", "as": "a"}}


@pytest.mark.parametrize(
    ("content", "told"),
    [
        (one_table(**{"$stream": "r", "as": "r", "each": "a"}), [("/body/0/rows", "not_allowed")]),
        (one_table(**{"as": "r"}), [("/body/0/rows", "missing_property")]),
        (one_table(**{"$stream": "r"}), [("/body/0/rows", "missing_property")]),
        (one_table(**{"$stream": "a b", "as": "r"}), [("/body/0/rows/$stream", "bad_form")]),
        (source({"type": "group", "body": [STREAMED]}), [("/body/0/body/0/rows", "not_allowed")]),
        (source({"type": "columns", "items": [[STREAMED]]}), [("/body/0/items/0/0/rows", "not_allowed")]),
        (source(CELL), [("/body/0/columns/0/blocks/0/rows", "not_allowed")]),
        (
            source({"type": "include", "partial": "p"}, partials={"p": [STREAMED]}),
            [("/partials/p/0/rows", "not_allowed")],
        ),
        (
            source({**CHART, "rows": {"$stream": "r", "as": "r"}}),
            [("/body/0/rows", "missing_property"), ("/body/0/rows/$stream", "unknown_property")],
        ),
    ],
)
def test_streams_are_refused_where_blocks_are_held_as_a_whole(content: bytes, told: list[tuple[str, str]]) -> None:
    with pytest.raises(Invalid) as caught:
        check_lines(io.BytesIO(content), Rendering())

    assert [(each.pointer, each.code) for each in caught.value.problems] == told


def test_a_document_by_itself_has_no_streams() -> None:
    with pytest.raises(Invalid) as caught:
        rendered(one_table(), "pdf")

    assert [(each.pointer, each.code) for each in caught.value.problems] == [("/body/0/rows", "unknown_stream")]


def test_there_are_so_many_streams_at_most() -> None:
    tables = [{**STREAMED, "rows": {"$stream": f"s{number}", "as": "r"}} for number in range(22)]

    with pytest.raises(Invalid) as caught:
        check_lines(io.BytesIO(source(*tables)), Rendering())

    assert [each.pointer for each in caught.value.problems] == ["/body/20/rows", "/body/21/rows"]


class Many:
    """A document and so many rows, none of which is there before it is read."""

    def __init__(self, count: int) -> None:
        self._pieces = self._of(count)
        self._rest = b""

    def read(self, size: int, /) -> bytes:
        self._rest = self._rest or next(self._pieces, b"")
        piece, self._rest = self._rest[:size], self._rest[size:]
        return piece

    def _of(self, count: int) -> Iterator[bytes]:
        yield one_table() + b"\n"
        for number in range(count):
            yield lines({"a": f"{number} " + "x" * 500})


def peak(count: int) -> int:
    tracemalloc.start()
    try:
        for _ in render_lines(Many(count), "docx", Rendering()):
            pass
        return tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()


def test_memory_does_not_grow_with_rows() -> None:
    peak(10)

    assert peak(7_500) < 1.5 * peak(2_500)
