"""What the quick ways give is what the plain ones give."""

import io
import json
from collections.abc import Callable
from decimal import Decimal
from typing import Any

import msgpack
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from bounded_contexts.documents.adapters.catalogue import FORMATS
from bounded_contexts.documents.adapters.converting import convert
from bounded_contexts.documents.adapters.formats.conversion import CHUNK, Conversion
from bounded_contexts.documents.adapters.formats.delimited import QuotedCells
from bounded_contexts.documents.adapters.formats.json import read_json
from bounded_contexts.documents.adapters.formats.tables import Cells, single
from bounded_contexts.documents.adapters.formats.xlsx_write import TypedCells
from bounded_contexts.documents.adapters.formats.xml import read as read_xml
from bounded_contexts.documents.adapters.formats.xml_write import write as write_xml
from bounded_contexts.documents.adapters.formats.yaml import read as read_yaml
from bounded_contexts.documents.domain.errors import TooLarge, Unreadable
from bounded_contexts.documents.domain.inference import inferred, inferred_column
from bounded_contexts.documents.domain.limits import Limits
from bounded_contexts.documents.domain.losses import TOLD
from bounded_contexts.documents.domain.options import Options
from bounded_contexts.documents.domain.values import Records, Single, Value

TEXTS = st.text(st.characters(exclude_categories=["Cs"]), max_size=6) | st.sampled_from([",", '"', "=1", "a\r", "&<"])
KEYS = st.sampled_from(["a", "b", "a.b", "", "[0]", "1"])
NUMBERS = st.integers(-(10**20), 10**20) | st.decimals(allow_nan=False, allow_infinity=False)
LEAVES = st.none() | st.booleans() | NUMBERS | TEXTS
VALUES = st.recursive(
    LEAVES, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(KEYS, inner, max_size=3), max_leaves=6
)
MAPS = st.dictionaries(KEYS, VALUES, max_size=4)
ALIKE = st.lists(MAPS, min_size=1, max_size=2).map(lambda some: some * TOLD * 2)  # so many that the quick way is taken
LISTS = st.lists(st.lists(VALUES, max_size=3), min_size=1, max_size=4).map(lambda some: some * TOLD)

MAKERS: dict[str, Callable[[Conversion], Cells]] = {
    "cells": Cells,
    "quoted": lambda conversion: QuotedCells(conversion, ","),
    "typed": TypedCells,
}


@pytest.mark.parametrize("lossless", [False, True])
@pytest.mark.parametrize("maker", MAKERS)
def test_columns_are_what_records_are_one_by_one(maker: str, lossless: bool) -> None:
    @settings(max_examples=30, deadline=None)
    @given(ALIKE | LISTS | st.lists(MAPS, min_size=1, max_size=30))
    def are_equal(records: list[Value]) -> None:
        options = Options(lossless=lossless)
        quick, plain = Conversion(options), Conversion(options)
        blocks = list(MAKERS[maker](quick).blocks(Records(iter([records]))))
        one = MAKERS[maker](plain).one_by_one(records, None, are_flat=False)

        names = list(dict.fromkeys(name for block in blocks for name in block.names))
        assert names == list(one.names)
        assert [row for block in blocks for row in block.rows(names)] == one.rows(names)
        assert quick.losses == plain.losses

    are_equal()


def test_columns_that_were_not_asked_for_are_counted_for_each_record() -> None:
    conversion = Conversion()
    records = [{"a": "x", "b": "y"}] * 100

    (block,) = Cells(conversion).blocks(Records(iter([records])), frozenset({"a"}))

    assert (block.rows(["a"])[0], conversion.losses.counts) == (("x",), {"column_left_out": 100})


def test_records_of_many_names_each_take_memory_for_few_at_a_time() -> None:
    records = [{f"{number}.{key}": "" for key in range(40)} for number in range(400)]

    blocks = list(Cells(Conversion()).blocks(Records(iter([records]))))

    assert sum(block.height for block in blocks) == 400
    assert max(block.height * len(block.cells) for block in blocks) <= 16 * 16 * 40


def test_cell_that_is_too_long_is_refused_among_many() -> None:
    conversion = Conversion(limits=Limits(cell_characters=5))

    with pytest.raises(TooLarge):
        list(Cells(conversion).blocks(Records(iter([[{"a": "123456"}, {"a": "1"}] * 100]))))


SPACED: tuple[dict[str, Any], ...] = ({"separators": (",", ":")}, {}, {"indent": 1}, {"ensure_ascii": True})


@pytest.mark.parametrize("spacing", SPACED, ids=str)
def test_json_is_read_as_the_standard_library_reads_it(spacing: dict[str, Any]) -> None:
    number = st.integers() | st.floats(allow_nan=False, allow_infinity=False)
    inner = st.recursive(
        st.none() | st.booleans() | number | TEXTS,
        lambda each: st.dictionaries(TEXTS, each, max_size=3) | st.lists(each, max_size=3),
        max_leaves=6,
    )

    @settings(max_examples=30, deadline=None)
    @given(st.lists(inner, max_size=4))
    def is_read(values: list[Value]) -> None:
        text = json.dumps(values, **{"ensure_ascii": False, **spacing})
        document = read_json(io.BytesIO(text.encode()), Conversion())
        assert isinstance(document, Records)
        assert [each for batch in document.batches for each in batch] == json.loads(text, parse_float=Decimal)

    is_read()


@settings(max_examples=200, deadline=None)
@given(
    st.sampled_from(
        [r"[0-9]{1,3}", r"[0-9]{1,3}\.[0-9]{0,2}", r"-?[0-9.\n]{0,3}", r"[a-z]{0,5}", r"true|false|1|"]
    ).flatmap(lambda pattern: st.lists(st.from_regex(pattern, fullmatch=True) | st.none(), min_size=1, max_size=6))
)
@example(["1\n"])
@example(["1\n2"])
@example(["0.5", "00.5"])
@example(["1", ""])
@example(["0.5", "1.5", ""])
def test_column_is_inferred_as_its_cells_are(cells: list[Value]) -> None:
    one_by_one = [inferred(cell, "safe") if type(cell) is str else cell for cell in cells]

    assert repr(list(inferred_column(cells, "safe"))) == repr(one_by_one)


NUMBERS_AS_WRITTEN = (
    *(
        "1",
        "-0",
        "1.5",
        "2.50",
        "0.1",
        "-0.0",
        "1e5",
        "1E400",
        "1e-400",
        "123456789012345678901234567890",
        "18446744073709551615",
    ),
    *("55.676100000000005", "3.14159265358979323846", "0.30000000000000004", "1234567890123456.5", "1.0", "5e-324"),
)


@pytest.mark.parametrize("number", NUMBERS_AS_WRITTEN)
@pytest.mark.parametrize("read", ["json", "ndjson"])
def test_number_becomes_the_same_float_and_the_same_loss_by_either_way(read: str, number: str) -> None:
    records = [f'{{"a":{number},"b":"{"x" * CHUNK}"}}'] * 2  # so that they are read before the last piece
    text = "\n".join(records) if read == "ndjson" else f"[{','.join(records)}]"

    found, losses = _packed(text, read)
    whole, lost = _packed(f'{{"x": [{", ".join(records)}]}}', "json")

    assert repr(found) == repr(whole["x"])
    assert losses == lost


def _packed(text: str, read: str) -> tuple[Any, dict[str, int]]:
    conversion = Conversion()
    packed = b"".join(convert(io.BytesIO(text.encode()), FORMATS[read], FORMATS["msgpack"], conversion))
    return msgpack.unpackb(packed), dict(conversion.losses.counts)


# msgpack raises for a float that is too large for a single one; of those in between it makes one or the other
FLOATS = st.floats(width=32) | st.floats(-(2.0**127), 2.0**127)
PACKED = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**63), 2**64 - 1) | FLOATS | TEXTS | st.binary(max_size=3),
    lambda each: st.lists(each, max_size=3) | st.dictionaries(TEXTS | st.integers(0, 300), each, max_size=3),
    max_leaves=8,
)


@settings(max_examples=60, deadline=None)
@given(st.lists(PACKED, max_size=6), st.booleans())
def test_message_pack_is_read_as_its_own_library_reads_it(values: list[Value], is_short: bool) -> None:
    packed = msgpack.packb(values, use_single_float=not is_short, use_bin_type=True)
    document = FORMATS["msgpack"].read(io.BytesIO(packed), Conversion())
    assert isinstance(document, Records)
    found = [each for batch in document.batches for each in batch]
    assert repr(found) == repr(msgpack.unpackb(packed, strict_map_key=False))


def test_key_that_is_there_twice_is_found_among_many_plain_values() -> None:
    bad = b"\xdc\x00\x33" + msgpack.packb({"a": 1}) * 50 + b"\x82\xa1a\x01\xa1a\x02"
    document = FORMATS["msgpack"].read(io.BytesIO(bad), Conversion())
    assert isinstance(document, Records)

    with pytest.raises(Unreadable, match="twice") as caught:
        list(document.batches)
    assert caught.value.more["offset"] == len(bad) - 7


WORDS = (
    "~ null Null True true inf .inf .Inf -.inf .nan nan infinity "
    "0 -0 01 007 0o17 0x1F 0e0 .5 5. +1 1e3 1.50 1_000 12:30 2026-01-02"
)
PLACES = (
    *(
        "- %s\n",
        "[a,%s ,b]",
        "a: %s\n",
        "%s: a\n",
        "{%s: a}",
        "{%s}",
        '{"a":%s}',
        "%s",
        "- '%s'\n- \"%s\"\n",
        "a: %s # c\n",
        "'%s': a\n",
    ),
    *("- 'x\n  %s\n'\n", "-\t%s\n", "a:\n  %s\r\n", "a: 1\n%s : 2\n", "a: |\n  %s\n", "[ '%s', %s ]"),
)


@pytest.mark.parametrize("place", PLACES)
@pytest.mark.parametrize("quoted", ["", "- '01'\n- 'Null'\n- '.inf'\n- '-0'\n- {'1': ~}\n"])
def test_yaml_means_the_same_by_its_parsers_json_and_by_its_tree(place: str, quoted: str) -> None:
    for word in WORDS.split():
        inner = place.replace("%s", word).replace("\n", "\n    ").rstrip(" ")
        text = f"{quoted}- x:\n    {inner}" if quoted else place.replace("%s", word)
        assert _of_yaml(text) == _of_yaml(f"---\n{text}"), text  # documents that are marked go by the tree


def _of_yaml(text: str) -> str:
    try:
        document = read_yaml(io.BytesIO(text.encode()), Conversion())
        return repr(single(document, 1_000_000))
    except Unreadable:
        return "none"


def test_yaml_of_long_runs_takes_no_longer_by_the_square() -> None:
    for run in (" ", "\n", "1", "0 ", "1 : "):
        _of_yaml('"1": "01"\n"b": "' + run * 1_000_000 + '"')


@pytest.mark.parametrize(
    ("inner", "record"),
    [
        ("<a>1</a><b/>", {"a": "1", "b": ""}),
        ('<a xmlns:p="urn:p"><p:c>1</p:c></a>', {"a": {"@xmlns:p": "urn:p", "p:c": "1"}}),
        ('<o:a xmlns:o="urn:o">1</o:a>', {"o:a": {"@xmlns:o": "urn:o", "#text": "1"}}),
        ('<o:a xmlns:o="urn:other">1</o:a>', {"o:a": {"@xmlns:o": "urn:other", "#text": "1"}}),
        ("<o:a>1</o:a><a>2</a>", {"o:a": "1", "a": "2"}),
        ("<a>1</a> text <a>2</a>", {"#content": [{"a": "1"}, " text ", {"a": "2"}]}),
        ('<a k="v">1</a>', {"a": {"@k": "v", "#text": "1"}}),
    ],
)
def test_xml_record_means_the_same_among_others_and_alone(inner: str, record: Value) -> None:
    root = '<root xmlns:o="urn:o">' if 'xmlns:o="urn:o"' not in inner else "<root>"
    other = "<row><a>x</a></row>"

    alike = read_xml(io.BytesIO(f"{root}{other}<row>{inner}</row>{other}</root>".encode()), Conversion())
    alone = read_xml(io.BytesIO(f"{root}<row>{inner}</row></root>".encode()), Conversion())

    assert isinstance(alike, Records)
    assert isinstance(alone, Single)
    assert [each for batch in alike.batches for each in batch] == [{"a": "x"}, record, {"a": "x"}]
    assert alone.value["root"]["row"] == record


def test_nothing_in_xml_records_is_named_anew_for_each() -> None:
    written = b"".join(write_xml(Records(iter([[{"a": None}, {"a": None}]])), Conversion()))

    assert written.count(b"xmlns:xsi=") == 1
    document = read_xml(io.BytesIO(written), Conversion())
    assert isinstance(document, Records)
    assert [each for batch in document.batches for each in batch] == [{"a": None}, {"a": None}]
