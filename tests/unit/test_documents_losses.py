"""What reads back otherwise than it was is told, leaf by leaf; what does not is not.

Values go through a format and its reader, and are compared here, without asking the writer: a number by its digits, whatever
its kind, a time by its offset, too, a map whatever the order of its keys. Names of flat formats stand for places."""

import io
from collections import Counter
from collections.abc import Callable, Iterator
from datetime import UTC, date, datetime, time, timedelta, timezone
from decimal import Decimal
from typing import Any, Final

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from bounded_contexts.documents.adapters.catalogue import FORMATS
from bounded_contexts.documents.adapters.converting import convert
from bounded_contexts.documents.adapters.formats.conversion import Conversion, Format
from bounded_contexts.documents.domain.errors import TooLarge, Unreadable, Unwritable
from bounded_contexts.documents.domain.fitting import as_text
from bounded_contexts.documents.domain.flattening import Flattener, steps
from bounded_contexts.documents.domain.losses import Losses
from bounded_contexts.documents.domain.options import Options
from bounded_contexts.documents.domain.values import KINDS, Document, Records, Single, Tagged, Value
from tests.unit.test_documents_quick_paths import NUMBERS as PLAIN_NUMBERS

CHECKED: Final = [name for name, each in FORMATS.items() if each.is_read]
FLAT: Final = ("csv", "tsv", "xlsx", "properties")
ROWS: Final = ("csv", "tsv", "xlsx", "ndjson", "avro")  # formats that have records only
# What becomes of the document as a whole, and is told at its root: below it, places stay what they were.
WRAPPED: Final = {"toml": "items", "xml": "root"}

WORDS: Final = [
    *("", "a", "b", "0", "a.b", "a/b", "~", "$a", "[0]", "\\", "\0", "\ufeff", " ", "²", "é", "true"),
    *("@a", "#text", "#content", "_x_", "_x0041_", "x:y", "@xmlns", "@xmlns:x", "@xsi:nil", "@x:y", "a:b:c", "xml:a"),
    *("value", "row", "item", "items", "root"),
]
TEXTS: Final = st.sampled_from(WORDS) | st.text(st.characters(exclude_categories=["Cs"]), max_size=6)
MOMENTS: Final = st.sampled_from(
    [
        datetime.fromisoformat("2026-01-02T00:00:00"),
        datetime.fromisoformat("2026-01-02T03:04:05.000006"),
        datetime.fromisoformat("2026-01-02T03:04:05.006"),
        datetime(1800, 1, 2, 3, tzinfo=UTC),
        datetime(2026, 1, 2, 3, tzinfo=UTC),
        datetime(2026, 1, 2, 3, tzinfo=timezone(timedelta(hours=2))),
    ]
)
TIMES: Final = st.sampled_from([time(), time(1, 2, 3), time(1, 2, 3, 4), time(23, 59, 59, 999_000)])
NUMBERS: Final = (
    PLAIN_NUMBERS
    | st.sampled_from(
        [Decimal(text) for text in ("-0", "-0.0", "1.50", "1.0", "1E+2", "1E+400", "1E-400", "0E+5", "12", "0.1")]
    )
    | st.floats()
)
LEAVES: Final = (
    st.none()
    | st.booleans()
    | NUMBERS
    | TEXTS
    | st.dates()
    | MOMENTS
    | TIMES
    | st.binary(max_size=3)
    | st.builds(Tagged, st.sampled_from(["msgpack:5", "!t", "xlsx:error"]), st.binary(max_size=3))
)
KEYS: Final = TEXTS | st.integers(0, 2) | st.none() | st.dates() | st.binary(max_size=2)


def _values(leaves: st.SearchStrategy[Value], keys: st.SearchStrategy[Value]) -> st.SearchStrategy[Document]:
    value = st.recursive(
        leaves, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(keys, inner, max_size=3), max_leaves=8
    )
    record = st.dictionaries(keys, value, max_size=4)
    return value.map(Single) | st.lists(record | value, max_size=4).map(lambda some: Records(iter([some])))


DOCUMENTS: Final = _values(LEAVES, KEYS)


def value_of(document: Document) -> Value:
    if isinstance(document, Single):
        return document.value
    return [value for batch in document.batches for value in batch]


def given_as(value: Value, *, columns: tuple[str, ...] | None = None, is_single: bool = False) -> Format:
    """Return a format that reads this."""
    kinds = frozenset({*KINDS.values(), "big integer", "unsigned", "not finite", "key"})

    def read(*_: object) -> Document:
        is_list = isinstance(value, list) and not is_single
        return Records(iter([value]), columns) if is_list else Single(value)

    return Format("given", "", "", (), (), kinds, read, FORMATS["json"].write, True, True)


def through(source: Format, format_: str, told: int = 10**9, **options: Any) -> tuple[bytes, Losses]:
    conversion = Conversion(Options(**options), losses=Losses(told=told))
    return b"".join(convert(io.BytesIO(), source, FORMATS[format_], conversion)), conversion.losses


def read(data: bytes, format_: str) -> Value:
    return value_of(FORMATS[format_].read(io.BytesIO(data), Conversion()))


def digits(number: Value) -> Any:
    exact = Decimal(repr(number)) if type(number) is float else Decimal(number)
    return exact.as_tuple() if exact.is_finite() else str(exact)


def is_same(before: Value, after: Value) -> bool:
    if isinstance(before, int | float | Decimal) and not isinstance(before, bool):
        is_number = isinstance(after, int | float | Decimal) and not isinstance(after, bool)
        return is_number and digits(before) == digits(after)
    if isinstance(before, datetime | date | time):
        return type(before) is type(after) and before.isoformat() == after.isoformat()
    return type(before) is type(after) and bool(before == after)


def token(key: Value) -> str:
    return as_text(key).replace("~", "~0").replace("/", "~1")


def changes(before: Value, after: Value, place: str = "") -> Iterator[str]:
    """Yield where the second value is not what the first was."""
    if isinstance(before, dict) and isinstance(after, dict):
        for key in before.keys() | after.keys():
            here = f"{place}/{token(key)}"
            if key in before and key in after and any(type(key) is type(each) for each in after if each == key):
                yield from changes(before[key], after[key], here)
            else:
                yield here
    elif isinstance(before, list) and isinstance(after, list):
        for index in range(max(len(before), len(after))):
            if index < min(len(before), len(after)):
                yield from changes(before[index], after[index], f"{place}/{index}")
            else:
                yield f"{place}/{index}"
    elif not is_same(before, after):
        yield place


def changes_of_rows(before: list[Value], after: list[Value], prefix: Callable[[int], str]) -> Iterator[str]:
    """Yield what changed where names stand for places."""
    assert len(before) == len(after)
    for index, (record, row) in enumerate(zip(before, after, strict=True)):
        is_named = isinstance(record, dict | list) and record
        yield from (prefix(index) + place for place in other_keys(record))
        flat = Flattener(128).flat(with_text_keys(record)) if is_named else {"value": record}
        for name in flat.keys() | row.keys():
            if name not in flat or name not in row or not is_same(flat[name], row[name]):
                yield prefix(index) + ("".join([f"/{token(step)}" for step in steps(name)]) if is_named else "")
        if not is_named:
            yield prefix(index)  # which is a map now


def other_keys(value: Value, place: str = "") -> Iterator[str]:
    """Yield where keys are that are no texts."""
    inner = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, each in inner:
        if isinstance(value, dict) and not isinstance(key, str):
            yield f"{place}/{token(key)}"
        yield from other_keys(each, f"{place}/{token(key)}")


def with_text_keys(value: Value) -> Value:
    if isinstance(value, dict):
        return {as_text(key): with_text_keys(each) for key, each in value.items()}
    return [with_text_keys(each) for each in value] if isinstance(value, list) else value


def changed(value: Value, back: Value, format_: str, losses: Losses, *, are_flat: bool = False) -> list[str]:
    """Return what changed, but for the shape of the whole, which has to be told. With `are_flat` names are the keys."""
    if format_ in FLAT and not (are_flat and format_ != "properties"):
        if format_ == "properties":
            return list(changes_of_rows([value], [back], lambda _: ""))
        if isinstance(value, list):
            return list(changes_of_rows(value, back, lambda index: f"/{index}"))
        assert losses.counts["value_as_record"] == 1
        return list(changes_of_rows([value], back, lambda _: ""))
    if format_ in ROWS and not isinstance(value, list):
        assert losses.counts["value_as_record"] == 1
        (back,) = back
    elif losses.counts["wrapped"]:
        assert back.keys() == {WRAPPED[format_]}
        back = back[WRAPPED[format_]]
    return list(changes(value, back))


SHAPES: Final = ("value_as_record", "wrapped")


def check(value: Value, back: Value, format_: str, losses: Losses, *, are_flat: bool = False) -> None:
    found = changed(value, back, format_, losses, are_flat=are_flat)
    told = [loss.pointer for loss in losses.first if loss.code not in SHAPES]
    assert losses.counts == Counter(loss.code for loss in losses.first)
    for place in found:
        assert any(place == each or place.startswith(f"{each}/") for each in told), (
            place,
            "is not told",
            value,
            told,
            back,
        )
    for each in told:
        assert any(is_near(each, place) for place in found), (each, "is told, but has not changed", value, back)


def is_near(one: str, other: str) -> bool:
    return one == other or one.startswith(f"{other}/") or other.startswith(f"{one}/")


REFUSED: Final = ("bad_character", "duplicate_key", "name_clash", "limit_exceeded")


@pytest.mark.parametrize("format_", CHECKED)
def test_each_leaf_that_changed_is_told_and_no_other(format_: str) -> None:
    @settings(max_examples=100, deadline=None, report_multiple_bugs=False)
    @given(DOCUMENTS)
    def is_told(document: Document) -> None:
        value, is_single = value_of(document), isinstance(document, Single)
        try:
            out, losses = through(given_as(value, is_single=is_single), format_)
        except (Unreadable, Unwritable) as error:
            assume(error.code not in REFUSED)
            raise
        check(value, read(out, format_), format_, losses)

    is_told()


@pytest.mark.parametrize("framing", ["list", "stream"])
@pytest.mark.parametrize("format_", ["yaml", "msgpack"])
@pytest.mark.parametrize("records", [[], [1], [1, 2]])
def test_records_in_a_row_that_read_back_as_a_value_are_told(format_: str, framing: str, records: list[Value]) -> None:
    _, losses = through(given_as(records), format_, framing=framing)

    assert losses.counts == ({"record_as_value": 1} if framing == "stream" and len(records) < 2 else {})


@pytest.mark.parametrize("format_", CHECKED)
def test_each_leaf_that_changed_on_its_way_from_one_format_to_any_is_told(format_: str) -> None:
    @settings(max_examples=10, deadline=None)
    @given(DOCUMENTS)
    def is_told(document: Document) -> None:
        try:
            source, _ = through(given_as(value_of(document), is_single=isinstance(document, Single)), format_)
        except (Unreadable, Unwritable) as error:
            assume(error.code not in REFUSED)
            raise
        for target in CHECKED:
            given_ = FORMATS[format_].read(io.BytesIO(source), Conversion())
            are_flat = isinstance(given_, Records) and given_.columns is not None
            conversion = Conversion(losses=Losses(told=10**9))
            try:
                out = b"".join(convert(io.BytesIO(source), FORMATS[format_], FORMATS[target], conversion))
            except (Unreadable, Unwritable) as error:
                if error.code not in REFUSED:
                    raise
                continue
            check(value_of(given_), read(out, target), target, conversion.losses, are_flat=are_flat)

    is_told()


RECORDS: Final = st.lists(
    st.dictionaries(st.sampled_from(["a", "b", "c.d", "e"]), LEAVES | st.lists(LEAVES, max_size=2), max_size=4),
    min_size=1,
)


@pytest.mark.parametrize("format_", CHECKED)
def test_changes_are_counted_the_same_whether_their_places_are_told_or_not(format_: str) -> None:
    @settings(max_examples=30, deadline=None)
    @given(RECORDS)
    def are_equal(records: list[Value]) -> None:
        given_ = given_as(records * 20)
        try:
            counts = {told: +through(given_, format_, told)[1].counts for told in (0, 5, 10**9)}
        except Unwritable as error:
            assume(error.code not in REFUSED)
            raise
        assert counts[0] == counts[5] == counts[10**9]

    are_equal()


def test_gaps_are_told_in_the_order_of_records_as_far_as_places_are() -> None:
    records = [{"a": "x"}, *[{"a": "x", "b": "y"}] * 3, *[{"a": "x", "c": "z"}] * 4]

    _, losses = through(given_as(records), "csv", 3)

    assert losses.counts == {"missing_as_empty": 5 + 4}
    assert [loss.pointer for loss in losses.first] == ["/0/b", "/4/b", "/5/b"]


@pytest.mark.parametrize(
    ("options", "changed"),
    [
        ({"header": "no"}, {"name_dropped": 2}),
        ({"columns": ("a",)}, {"column_left_out": 1}),
        ({"columns": ("a", "=b", "c")}, {"missing_as_empty": 1}),
        ({"formula": "escape"}, {"formula_escaped": 2}),
        ({"null_text": "-1"}, {"text_as_token": 1}),
    ],
)
@pytest.mark.parametrize("told", [0, 20])
def test_what_options_change_is_counted(options: dict[str, Any], changed: dict[str, int], told: int) -> None:
    _, losses = through(given_as([{"a": "1", "=b": "-1"}]), "csv", told, **options)

    assert +losses.counts == changed


def test_names_that_look_like_byte_order_marks_stay() -> None:
    for format_ in ("csv", "tsv", "properties"):
        out, losses = through(given_as({"\ufeffa": "1"}), format_)
        assert "\ufeffa" in (read(out, format_) if format_ == "properties" else read(out, format_)[0])
        assert set(losses.counts) <= {"value_as_record"}


@pytest.mark.parametrize(
    "value",
    [[], [{"a": "x"}], ["x"], [[]], [[1, 2], [3]], {"r": {"a": ["x", "y"]}}, {"r": {"a": ["x", "y"], "b": "z"}}],
)
def test_xml_says_where_records_look_like_a_value_or_a_value_like_records(value: Value) -> None:
    out, losses = through(given_as(value), "xml")

    assert b"<?headwater " in out or len(value) > 1
    assert isinstance(read(out, "xml"), type(value))
    check(value, read(out, "xml"), "xml", losses)


@pytest.mark.parametrize(
    ("value", "told"),
    [
        ({"a": {"#text": "x"}}, [("map_as_text", "/a")]),
        ({"a": {"@b": "1", "#text": ""}}, [("text_dropped", "/a/#text")]),
        ({"a": {"@xsi:nil": "true"}}, []),
        ({"a": {"@xmlns:n": "http://www.w3.org/2001/XMLSchema-instance", "@n:nil": "1"}}, [("map_as_null", "/a")]),
        ({"a": {"b": "1", "#text": "x"}}, [("content_rearranged", "/a")]),
        ({"a": {"#content": ["x", "y", {"b": "1"}]}}, [("content_rearranged", "/a")]),
        ({"a": {"#content": ["x", {"b": "1"}, " "]}}, []),
        ({"a": {"@xmlns": "u", "b": {"@xmlns": "u", "@c": "1"}}}, [("declaration_dropped", "/a/b/@xmlns")]),
        ({"a": {"@xmlns:x": "u", "@xmlns:y": "u", "@y:b": "1"}}, []),
        ({"a": {"": "1", "_x_": "2", "²": "3"}}, []),
        ({"a/b": {"c": ["1"]}}, [("list_of_one", "/a~1b/c")]),
    ],
)
def test_what_xml_says_otherwise_is_told(value: Value, told: list[tuple[str, str]]) -> None:
    out, losses = through(given_as(value), "xml")

    assert [(loss.code, loss.pointer) for loss in losses.first] == told
    check(value, read(out, "xml"), "xml", losses)


def test_records_of_xml_may_declare_a_namespace_each() -> None:
    records = [{"a": "1"}, {"@xmlns": "u", "a": "2"}, {"@xmlns": "v", "a": "3"}]

    out, losses = through(given_as(records), "xml")

    assert (read(out, "xml"), losses.counts) == (records, {})


def test_kinds_that_were_inferred_are_told_where_the_other_format_lacks_them() -> None:
    rows = b"a,b\n2026-01-02,1\n"
    conversion = Conversion(Options(inference="full"))

    out = b"".join(convert(io.BytesIO(rows), FORMATS["csv"], FORMATS["json"], conversion))

    assert (out, conversion.losses.counts) == (b'[{"a":"2026-01-02","b":1}]', {"date_as_text": 1})


def test_what_was_restored_is_fitted_again() -> None:
    conversion = Conversion(Options(restored=True))

    out = b"".join(convert(io.BytesIO(b'{"a":{"$float":"NaN"}}'), FORMATS["json"], FORMATS["json"], conversion))

    assert (out, conversion.losses.counts) == (b'{"a":"NaN"}', {"float_as_text": 1})


@pytest.mark.parametrize("format_", ["json", "yaml", "msgpack", "toml"])
def test_messagepack_is_as_deep_as_other_formats(format_: str) -> None:
    deepest: Value = 1
    for _ in range(128):
        deepest = {"a": deepest}
    data = b"".join(FORMATS[format_].write(Single(deepest), Conversion()))

    out, _ = through(given_as(read(data, format_)), "msgpack")
    assert read(out, "msgpack") == deepest
    with pytest.raises(TooLarge, match="depth"):
        through(given_as({"a": deepest}), "msgpack")


@pytest.mark.parametrize("format_", CHECKED)
@pytest.mark.parametrize(
    "value",
    ["x", "", None, 1, {}, [], {b"\xff": 1}, {"a": [{None: 1, 2: {True: "x"}}]}, [{1: "a"}, {"1": "b"}]],
    ids=repr,
)
def test_lossless_holds_for_any_keys_and_any_root(format_: str, value: Value) -> None:
    out, losses = through(given_as(value), format_, lossless=True)
    restored = value_of(FORMATS["msgpack"].read(io.BytesIO(_restored(out, format_)), Conversion()))

    assert restored in (value, [value])
    assert losses.counts.keys() <= {"value_as_record"}


def _restored(data: bytes, format_: str) -> bytes:
    conversion = Conversion(Options(restored=True))
    return b"".join(convert(io.BytesIO(data), FORMATS[format_], FORMATS["msgpack"], conversion))
