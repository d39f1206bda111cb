"""Avro containers, compared with fastavro both ways, and tables for people."""

import io
import json
import zlib
from contextlib import suppress
from datetime import UTC, date, datetime, time
from decimal import Decimal
from typing import Any
from uuid import UUID

import fastavro
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bounded_contexts.documents.adapters.catalogue import FORMATS
from bounded_contexts.documents.adapters.converting import convert
from bounded_contexts.documents.adapters.formats.conversion import Conversion
from bounded_contexts.documents.domain.errors import Unreadable, Unwritable
from bounded_contexts.documents.domain.limits import Limits
from bounded_contexts.documents.domain.options import Options
from bounded_contexts.documents.domain.values import Records, Single, Tagged, Value
from tests.unit.document_values import refused, value_of

MARK = b"0123456789abcdef"
AT = datetime(2026, 1, 2, 3, 4, 5, 678901, tzinfo=UTC)


def packed(schema: Any, values: list[Any], codec: str = "null") -> bytes:
    out = io.BytesIO()
    fastavro.writer(out, schema, values, codec=codec, sync_marker=MARK)
    return out.getvalue()


def written(values: list[Any], **options: Any) -> tuple[bytes, Conversion]:
    conversion = Conversion(Options(**options))
    return b"".join(FORMATS["avro"].write(Records(iter([values])), conversion)), conversion


def converted(data: bytes, read: str, write: str, **options: Any) -> str:
    return b"".join(convert(io.BytesIO(data), FORMATS[read], FORMATS[write], Conversion(Options(**options)))).decode()


def long_of(number: int) -> bytes:
    out = b""
    number <<= 1
    while number > 0x7F:
        out += bytes([number & 0x7F | 0x80])
        number >>= 7
    return out + bytes([number])


def container(schema: Any, count: int, block: bytes) -> bytes:
    head = packed(schema, [])
    return head + long_of(count) + long_of(len(block)) + block + head[-16:]


class TestReading:
    @pytest.mark.parametrize(
        ("schema", "value", "read"),
        [
            ("null", None, None),
            ("boolean", True, True),
            ("int", -(2**31), -(2**31)),
            ("long", 2**63 - 1, 2**63 - 1),
            ("float", 0.5, 0.5),
            ("double", 0.1, 0.1),
            ("bytes", b"\0x", b"\0x"),
            ("string", "é", "é"),
            ({"type": "array", "items": ["null", "long"]}, [1, None], [1, None]),
            ({"type": "map", "values": "long"}, {"a": 1}, {"a": 1}),
            ({"type": "enum", "name": "E", "symbols": ["A", "B"]}, "B", "B"),
            ({"type": "fixed", "name": "F", "size": 2}, b"xy", b"xy"),
            (
                {"type": "bytes", "logicalType": "decimal", "precision": 9, "scale": 2},
                Decimal("-1.10"),
                Decimal("-1.10"),
            ),
            (
                {"type": "fixed", "name": "D", "size": 4, "logicalType": "decimal", "precision": 9, "scale": 2},
                Decimal("1.10"),
                Decimal("1.10"),
            ),
            ({"type": "string", "logicalType": "uuid"}, UUID(int=1), str(UUID(int=1))),
            ({"type": "int", "logicalType": "date"}, date(1969, 1, 2), date(1969, 1, 2)),
            ({"type": "int", "logicalType": "time-millis"}, time(1, 2, 3, 4000), time(1, 2, 3, 4000)),
            ({"type": "long", "logicalType": "time-micros"}, time(1, 2, 3, 4), time(1, 2, 3, 4)),
            ({"type": "long", "logicalType": "timestamp-micros"}, AT, AT),
            (
                {"type": "long", "logicalType": "local-timestamp-micros"},
                AT.replace(tzinfo=None),
                AT.replace(tzinfo=None),
            ),
            ({"type": "long", "logicalType": "timestamp-millis"}, 2**60, Tagged("avro:timestamp-millis", 2**60)),
            (
                {"type": "fixed", "name": "P", "size": 12, "logicalType": "duration"},
                b"\1\0\0\0\2\0\0\0\3\0\0\0",
                Tagged("avro:duration", "P1M2DT0.003S"),
            ),
            ({"type": "int", "logicalType": "of-another-world"}, 1, 1),
        ],
    )
    def test_is_what_the_schema_says(self, schema: Any, value: Any, read: Value) -> None:
        record = {"type": "record", "name": "R", "namespace": "a.b", "fields": [{"name": "f", "type": schema}]}

        assert value_of(packed(record, [{"f": value}]), "avro") == [{"f": read}]
        assert value_of(packed(schema, [value]), "avro") == [read]

    def test_types_are_called_by_name_and_may_have_parts_of_their_own_kind(self) -> None:
        node = {
            "type": "record",
            "name": "Node",
            "namespace": "x",
            "fields": [
                {"name": "next", "type": ["null", "Node"]},
                {"name": "id", "type": {"type": "fixed", "name": "y.Id", "size": 1}},
                {"name": "other", "type": ["null", "y.Id"]},
            ],
        }
        value = {"next": {"next": None, "id": b"b", "other": b"c"}, "id": b"a", "other": None}

        assert value_of(packed(node, [value]), "avro") == [value]

    @pytest.mark.parametrize("codec", ["null", "deflate", "bzip2", "xz"])
    def test_blocks_are_unpacked(self, codec: str) -> None:
        assert value_of(packed("string", ["x" * 1000] * 100, codec), "avro") == ["x" * 1000] * 100

    def test_blocks_of_snappy_are_unpacked(self) -> None:
        text = b"\x3cabcdefgh" * 2
        # 18 bytes: a literal of 9, then a copy of 9 from 9 bytes before
        stream = b"\x12" + bytes([8 << 2]) + text[:9] + bytes([8 << 2 | 2, 9, 0]) + zlib.crc32(text).to_bytes(4, "big")
        plain = container({"type": "fixed", "name": "F", "size": 18}, 1, stream)
        data = plain.replace(b"avro.codec\x08null", b"avro.codec\x0csnappy")

        assert value_of(data, "avro") == [text]
        assert refused(data.replace(b"abcd", b"abce"), "avro").code == "bad_avro"

    @pytest.mark.parametrize(
        "data",
        [
            b"",
            b"Obj\x02",
            b"Obj\x01",
            b"Obj\x01\x00" + b"x" * 16,
            packed("string", ["x"])[:-1],
            packed("string", ["x"])[:-1] + b"!",
            packed("string", ["x"]).replace(b'"string"', b'"strinG"'),
            packed("string", ["x"]).replace(b"null", b"nuII"),
            container("string", 1, b"\x7fx"),
            container("string", 1, b"\x02xx"),
            container("boolean", 1, b"\x02"),
            container("long", 1, b"\xff" * 11),
            container(["null"], 1, b"\x02"),
            container({"type": "enum", "name": "E", "symbols": ["A"]}, 1, b"\x01"),
        ],
        ids=range(14),  # not by the data: its marks are random
    )
    def test_that_is_none_is_refused(self, data: bytes) -> None:
        assert refused(data, "avro").code == "bad_avro"

    def test_more_than_the_input_pays_for_is_refused(self) -> None:
        nulls = {"type": "array", "items": "null"}
        node = {"type": "record", "name": "N", "fields": [{"name": "n", "type": ["null", "N"]}]}

        assert refused(container(nulls, 1, long_of(10**12) + b"\0"), "avro").more["limit"] == "alias_nodes"
        assert refused(container("null", 10**7, b""), "avro").more["limit"] == "alias_nodes"
        assert refused(container(node, 1, b"\2" * 100_000 + b"\0"), "avro").more["limit"] == "depth"
        bomb = packed("string", ["x" * 5_000_000], "deflate")
        assert refused(bomb, "avro", Limits(item_bytes=1_000_000)).more["limit"] == "item_bytes"

    @given(st.binary(max_size=60))
    def test_no_block_does_more_than_be_refused(self, block: bytes) -> None:
        schema = {
            "type": "record",
            "name": "R",
            "fields": [
                {"name": "a", "type": ["null", "string", {"type": "map", "values": "R"}]},
                {"name": "b", "type": {"type": "array", "items": {"type": "long", "logicalType": "timestamp-nanos"}}},
                {"name": "c", "type": {"type": "bytes", "logicalType": "decimal", "precision": 4, "scale": 2}},
            ],
        }
        with suppress(Unreadable):
            value_of(container(schema, 1, block), "avro")


class TestWriting:
    def test_schema_is_what_all_values_have_in_common(self) -> None:
        out, conversion = written([{"a": 1, "b": [{"c": "x"}]}, {"a": None, "b": [], "d e": True}, {"a": 0.5, "b": []}])

        assert [type(each) for each in fastavro.reader(io.BytesIO(out))] == [dict] * 3
        out, conversion = written([{"a": 1, "b": [{"c": "x"}]}, {"a": None, "b": [], "d": True}])
        reader = fastavro.reader(io.BytesIO(out))
        assert json.loads(reader.metadata["avro.schema"]) == {
            "type": "record",
            "name": "Record",
            "fields": [
                {"name": "a", "type": ["long", "null"]},
                {
                    "name": "b",
                    "type": {
                        "type": "array",
                        "items": {
                            "type": "record",
                            "name": "Record_b_item",
                            "fields": [{"name": "c", "type": "string"}],
                        },
                    },
                },
                {"name": "d", "type": ["boolean", "null"]},
            ],
        }
        assert list(reader) == [{"a": 1, "b": [{"c": "x"}], "d": None}, {"a": None, "b": [], "d": True}]
        assert dict(conversion.losses.counts) == {"null_added": 1}

    def test_exact_kinds_are_logical_types(self) -> None:
        records = [{"n": Decimal("1.10"), "m": Decimal(-100), "d": AT.date(), "t": AT.time(), "at": AT, "x": b"\0"}]
        out, conversion = written(records)

        assert list(fastavro.reader(io.BytesIO(out))) == records == value_of(out, "avro")
        assert conversion.losses.total == 0

    def test_kinds_that_no_union_holds_together_are_texts_and_told(self) -> None:
        out, conversion = written([{"a": 1}, {"a": AT}, {"a": "x"}, {"a": Decimal("1E+400")}])

        assert [each["a"] for each in value_of(out, "avro")] == [1, "2026-01-02T03:04:05.678901Z", "x", "1E+400"]
        assert [(loss.code, loss.pointer) for loss in conversion.losses.first] == [
            ("kind_as_text", "/1/a"),
            ("kind_as_text", "/3/a"),
        ]

    def test_is_the_same_bytes_for_the_same_document(self) -> None:
        assert written([{"a": 1}])[0] == written([{"a": 1}])[0]

    def test_blocks_of_zstandard_are_packed_and_unpacked(self) -> None:
        values = ["x" * 1000] * 1_500
        out, _ = written(values, codec="zstandard")

        assert value_of(out, "avro") == values
        assert refused(out, "avro", Limits(item_bytes=10_000)).more["limit"] == "item_bytes"

    @pytest.mark.parametrize("codec", ["null", "deflate", "bzip2", "xz"])
    def test_blocks_are_packed_as_asked(self, codec: str) -> None:
        values = ["x" * 1000] * 1_500

        reader = fastavro.reader(io.BytesIO(written(values, codec=codec)[0]))
        assert (reader.metadata["avro.codec"], list(reader)) == (codec, values)

    def test_one_value_is_the_only_record(self) -> None:
        conversion = Conversion()
        out = b"".join(FORMATS["avro"].write(Single({"a": 1}), conversion))

        assert (value_of(out, "avro"), dict(conversion.losses.counts)) == ([{"a": 1}], {"value_as_record": 1})

    def test_no_record_is_an_empty_container(self) -> None:
        assert value_of(written([])[0], "avro") == list(fastavro.reader(io.BytesIO(written([])[0]))) == []

    @given(
        st.lists(
            st.recursive(
                st.none()
                | st.booleans()
                | st.integers(-(2**63), 2**63 - 1)
                | st.floats(allow_nan=False)
                | st.text(st.characters(exclude_categories=["Cs"]), max_size=5)
                | st.binary(max_size=5),
                lambda inner: (
                    st.lists(inner, max_size=3)
                    | st.dictionaries(st.sampled_from(["a", "b", "c d", "e"]), inner, max_size=3)
                ),
                max_leaves=8,
            ),
            max_size=5,
        )
    )
    def test_comes_back_equal_but_for_nulls_that_were_added(self, values: list[Any]) -> None:
        out, conversion = written(values)

        list(fastavro.reader(io.BytesIO(out)))
        if not conversion.losses.total:
            assert value_of(out, "avro") == values
        assert conversion.losses.counts.keys() <= {"null_added"}


class TestTables:
    def test_are_markdown_without_markup_in_their_cells(self) -> None:
        text = converted(b'[{"a|b":"x\\ny","c":"<b>*1*</b>"},{"c":" `d` [e](f)\\\\"}]', "json", "markdown")

        assert text == (
            "| a\\|b | c |\n| --- | --- |\n| x<br>y | \\<b\\>\\*1\\*\\</b\\> |\n|  | &#32;\\`d\\` \\[e\\](f)\\\\ |\n"
        )

    def test_are_html_without_markup_in_their_cells(self) -> None:
        text = converted(b'[{"<a>":"<script>x</script>&amp;","b":"\\"y\'"}]', "json", "html")

        assert "<th>&lt;a&gt;</th><th>b</th>" in text
        assert "<td>&lt;script&gt;x&lt;/script&gt;&amp;amp;</td><td>&quot;y&#x27;</td>" in text

    @pytest.mark.parametrize("format_", ["markdown", "html"])
    def test_are_not_read_and_have_no_control_characters(self, format_: str) -> None:
        assert refused(b"| a |", format_).code == "written_only"
        with pytest.raises(Unwritable):
            converted(b'[{"a":"\\u0000"}]', "json", format_)
