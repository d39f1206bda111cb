"""What can be asked of formats beyond their defaults, each format by its options."""

import io
from datetime import UTC, date, datetime, timedelta, timezone
from decimal import Decimal

import msgpack
import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from bounded_contexts.documents.adapters.catalogue import FORMATS
from bounded_contexts.documents.adapters.formats.charset_labels import CODECS
from bounded_contexts.documents.adapters.formats.conversion import Conversion
from bounded_contexts.documents.domain.errors import Unreadable, Unwritable
from bounded_contexts.documents.domain.options import Options
from bounded_contexts.documents.domain.values import Records, Single, Value
from shared_kernel.errors import Malformed
from tests.unit.document_values import converted, refused, value_of

VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(st.characters(exclude_categories=["Cs"]), max_size=6),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text("ab: #-\n", max_size=4), inner, max_size=3),
    max_leaves=8,
)


def written(value: Value, format_: str, options: Options) -> bytes:
    return b"".join(FORMATS[format_].write(Single(value), Conversion(options)))


class TestCharsets:
    @pytest.mark.parametrize("label", CODECS)
    def test_labels_of_the_encoding_standard_are_names(self, label: str) -> None:
        text = "a\n1\n".encode(CODECS[label])

        assert value_of(text, "csv", charset=label.upper()) == [{"a": "1"}]

    def test_a_label_means_what_browsers_mean_by_it(self) -> None:
        assert value_of("a\n①\n".encode("cp932"), "csv", charset="x-sjis") == [{"a": "①"}]


class TestForExcel:
    def test_cells_do_not_run_and_umlauts_are_no_others(self) -> None:
        source = '[{"ä": "=1+1"}]'.encode()

        assert converted(source, "json", "csv", profile="excel") == "\ufeffä\r\n'=1+1\r\n".encode()

    def test_what_is_said_counts_more(self) -> None:
        found = converted(b'[{"a": "=1"}]', "json", "csv", profile="excel", formula="keep", mark="false")

        assert found == b"a\r\n=1\r\n"


class TestYaml11:
    @pytest.mark.parametrize(
        ("text", "value"),
        [
            ("yes", True),
            ("Off", False),
            ("y", "y"),
            ("~", None),
            ("0777", 511),
            ("-0x1_F", -31),
            ("0b101", 5),
            ("1_000", 1000),
            ("0o17", "0o17"),
            ("089", "089"),
            ("12:30:45", 45045),
            ("-1:30", -90),
            ("1:30.5", Decimal("90.5")),
            ("1.50", Decimal("1.50")),
            ("1e3", "1e3"),
            ("1.0e+3", Decimal("1.0E+3")),
            ("-.inf", float("-inf")),
            ("2026-01-02", date(2026, 1, 2)),
            ("2026-02-30", "2026-02-30"),
            ("2026-01-02T03:04:05Z", datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)),
            ("2026-1-2 3:04:05.5 +01:30", datetime(2026, 1, 2, 3, 4, 5, 500000, timezone(timedelta(minutes=90)))),
            ("'yes'", "yes"),
            ("!!bool yes", True),
            ("!!str 0777", "0777"),
        ],
    )
    def test_plain_scalars_are_what_they_were_then(self, text: str, value: Value) -> None:
        assert value_of(f"a: {text}\n".encode(), "yaml", yaml="1.1") == {"a": value}

    @given(st.text("0123456789_:.-+eExXbaTZ ynoNfi~", min_size=1, max_size=10))
    def test_integers_words_and_dates_are_those_of_pyyaml(self, text: str) -> None:
        try:
            expected = yaml.safe_load(f"a: {text}\n")
        except (yaml.YAMLError, ValueError, OverflowError):
            return
        if isinstance(expected, dict) and isinstance(expected["a"], bool | int | None):
            found = value_of(f"a: {text}\n".encode(), "yaml", yaml="1.1")
            assert found == expected

    def test_times_are_told_where_json_has_none(self) -> None:
        conversion = Conversion(Options(yaml="1.1"))
        document = FORMATS["yaml"].read(io.BytesIO(b"2026-01-02"), conversion)

        assert document.kinds is not None
        assert "date" in document.kinds
        assert converted(b"a: 2026-01-02\n", "yaml", "json", yaml="1.1") == b'{"a":"2026-01-02"}'


class TestYamlStyle:
    def test_is_flow_in_one_line_if_asked_for(self) -> None:
        assert (
            converted(b'{"a":[1,{"b":"x y"}],"c":{}}', "json", "yaml", style="flow") == b"{a: [1, {b: x y}], c: {}}\n"
        )
        assert converted(b'[{"a":1},[]]', "json", "yaml", style="flow") == b"- {a: 1}\n- []\n"

    def test_quotes_all_texts_if_asked_for(self) -> None:
        assert converted(b'{"a":["x",1]}', "json", "yaml", quoting="all") == b'"a":\n- "x"\n- 1\n'

    def test_records_are_documents_if_asked_for(self) -> None:
        out = converted(b'[{"a":1},"x"]', "json", "yaml", framing="stream")

        assert out == b"---\na: 1\n---\nx\n"
        assert value_of(out, "yaml") == [{"a": 1}, "x"]
        assert converted(b"[]", "json", "yaml", framing="stream") == b""

    @given(VALUES, st.sampled_from(["minimal", "all"]))
    def test_of_every_kind_reads_back_equal(self, value: Value, quoting: str) -> None:
        options = Options(style="flow", quoting="all" if quoting == "all" else "minimal")

        assert value_of(written([value], "yaml", options), "yaml") == [value]
        assert yaml.safe_load(written([value], "yaml", options)) == [value]


def test_msgpack_records_stand_one_behind_the_other_if_asked_for() -> None:
    out = converted(b'[{"a":1},[2],"x"]', "json", "msgpack", framing="stream")

    assert out == b"".join(msgpack.packb(value) for value in ({"a": 1}, [2], "x"))
    assert value_of(out, "msgpack") == [{"a": 1}, [2], "x"]


def test_msgpack_is_the_same_bytes_for_equal_maps_if_keys_are_sorted() -> None:
    one, other = b'{"b":1,"a":[{"d":1,"c":2}]}', b'{"a":[{"c":2,"d":1}],"b":1}'

    assert converted(one, "json", "msgpack", sort_keys="true") == converted(other, "json", "msgpack", sort_keys="true")


class TestCsvDialect:
    @pytest.mark.parametrize(
        ("text", "found"),
        [
            ("a,b\n1,2\n", {"delimiter": ",", "quote": '"'}),
            ("a;b\n1,5;2,5\n", {"delimiter": ";", "quote": '"'}),
            ("a\tb c\nx, y\tz\n", {"delimiter": "\t", "quote": '"'}),
            ("a|b\n1|2\n", {"delimiter": "|", "quote": '"'}),
            ('a,b\n"x;y;z",2\n"u;v;w",3\n', {"delimiter": ",", "quote": '"'}),
            ("a;b\n'x;y';2\n'u;v';3\n", {"delimiter": ";", "quote": "'"}),
            ('a,b\n"x\\"y",2\n', {"delimiter": ",", "quote": '"', "escape": "\\"}),
            ("a\nx\n", {"delimiter": ",", "quote": '"'}),
        ],
    )
    def test_is_guessed_and_told_if_asked_for(self, text: str, found: dict[str, str]) -> None:
        conversion = Conversion(Options(dialect="auto"))
        document = FORMATS["csv"].read(io.BytesIO(text.encode()), conversion)

        assert isinstance(document, Records)
        assert {name: value for name, value in conversion.losses.notes.items() if name != "charset"} == found
        width = text.partition("\n")[0].count(found["delimiter"]) + 1
        assert {len(row) for batch in document.batches for row in batch} == {width}

    def test_delimiter_that_is_given_is_no_guess(self) -> None:
        assert value_of(b"a,b;c\n1,2;3\n", "csv", dialect="auto", delimiter=";") == [{"a,b": "1,2", "c": "3"}]

    def test_cells_stand_for_null_and_truth_values_both_ways(self) -> None:
        tokens = {"null_text": "NA", "true_text": "Y", "false_text": "N", "newline": "lf"}
        text = b"a,b,c,d\nNA,Y,N,x\n"

        assert value_of(text, "csv", None, **tokens) == [{"a": None, "b": True, "c": False, "d": "x"}]
        assert converted(text, "csv", "csv", None, **tokens) == text
        conversion = Conversion(Options(null_text="NA", true_text="Y", false_text="N"))
        b"".join(FORMATS["csv"].write(Records(iter([[{"a": None, "b": True}] * 50])), conversion))
        assert conversion.losses.total == 0

    @pytest.mark.parametrize(
        ("cell", "value"),
        [
            ("1.234,50", Decimal("1234.50")),
            ("-1,5", Decimal("-1.5")),
            ("1.234", 1234),
            ("12.34", "12.34"),
            ("1.5", "1.5"),
            ("007,50", "007,50"),
            ("x", "x"),
            ("true", True),
        ],
    )
    def test_numbers_have_the_marks_that_are_given(self, cell: str, value: Value) -> None:
        marks = {"decimal_mark": ",", "thousands_mark": ".", "inference": "safe"}

        assert value_of(f"a;b\n{cell};\n".encode(), "csv", None, delimiter=";", **marks) == [{"a": value, "b": ""}]

    def test_numbers_are_written_with_the_mark_that_is_given(self) -> None:
        assert (
            converted(b'[{"a":1.50,"b":"1.5"}]', "json", "csv", decimal_mark=",", delimiter=";")
            == b"a;b\r\n1,50;1.5\r\n"
        )

    def test_marks_are_one_character(self) -> None:
        with pytest.raises(Malformed):
            value_of(b"a\n1\n", "csv", decimal_mark="..")

    @pytest.mark.parametrize(
        "options",
        [{"delimiter": "\n"}, {"delimiter": '"'}, {"quote": "\r"}, {"delimiter": "a", "escape": "a"}, {"quote": ","}],
    )
    def test_delimiter_quote_and_ends_of_lines_are_apart(self, options: dict[str, str]) -> None:
        with pytest.raises(Malformed) as raised:
            converted(b'[{"a":1,"b":2}]', "json", "csv", None, **options)
        assert raised.value.code == "bad_option"

    def test_rows_of_another_length_are_filled_cut_or_left_out(self) -> None:
        text = b"a,b\n1\n1,2,3\n4,5\n"

        assert value_of(text, "csv", ragged="truncate") == [
            {"a": "1", "b": ""},
            {"a": "1", "b": "2"},
            {"a": "4", "b": "5"},
        ]
        assert value_of(text, "csv", ragged="skip") == [{"a": "4", "b": "5"}]
        assert refused(text, "csv", ragged="pad").code == "ragged_row"

    def test_columns_of_one_name_are_kept_as_asked(self) -> None:
        assert value_of(b"a,a\n1,2\n", "csv", duplicates="first") == [{"a": "1"}]
        assert value_of(b"a,a\n1,2\n", "csv", duplicates="list") == [{"a": ["1", "2"]}]

    def test_cells_that_stand_for_null_are_texts_with_lossless(self) -> None:
        there = converted(b'[{"a":"NA","b":null}]', "json", "csv", lossless="true", null_text="NA")

        assert converted(there, "csv", "json", restored="true", null_text="NA") == b'[{"a":"NA","b":null}]'


class TestToml:
    @given(
        st.dictionaries(
            st.text(st.characters(exclude_categories=["Cs"]), max_size=4),
            st.recursive(
                st.booleans()
                | st.integers(-(2**63), 2**63 - 1)
                | st.text(st.characters(exclude_categories=["Cs"]), max_size=5),
                lambda inner: (
                    st.lists(inner, max_size=3) | st.dictionaries(st.text('ab. "#', max_size=3), inner, max_size=3)
                ),
                max_leaves=8,
            ),
            max_size=4,
        )
    )
    def test_lists_of_maps_are_values_if_asked_for_and_come_back(self, value: Value) -> None:
        out = written(value, "toml", Options(arrays="inline"))

        assert value_of(out, "toml") == value

    def test_lists_of_maps_are_tables_or_values(self) -> None:
        text = b'{"a":[{"b":1},{"b":[{"c":2}]}],"d":{"e":1.50}}'

        assert converted(text, "json", "toml", arrays="inline") == (
            b"a = [{ b = 1 }, { b = [{ c = 2 }] }]\n\n[d]\ne = 1.50\n"
        )

    def test_nulls_are_left_out_refused_or_empty_texts(self) -> None:
        text = b'{"a":null,"b":[null]}'

        assert value_of(converted(text, "json", "toml"), "toml") == {"b": [""]}
        assert value_of(converted(text, "json", "toml", nulls="text"), "toml") == {"a": "", "b": [""]}
        for refused_ in (b'{"a":null}', b'{"a":[null]}'):
            with pytest.raises(Unwritable):
                converted(refused_, "json", "toml", nulls="error")


class TestXmlComments:
    TEXT = b"<r><!-- one --><a>1</a><b>x<!--two-->y</b><!--three--></r>"

    def test_are_left_out_unless_asked_for(self) -> None:
        assert value_of(self.TEXT, "xml") == {"r": {"a": "1", "b": "xy"}}

    def test_are_kept_in_their_place_and_come_back(self) -> None:
        value = {"r": {"#comment": [" one ", "three"], "a": "1", "b": {"#content": ["x", {"#comment": "two"}, "y"]}}}

        assert value_of(self.TEXT, "xml", comments="true") == value
        again = converted(self.TEXT, "xml", "xml", comments="true")
        assert value_of(again, "xml", comments="true") == value

    def test_of_records_make_the_root_one_value(self) -> None:
        assert value_of(b"<r><!--c--><a/><a/></r>", "xml", comments="true") == {"r": {"#comment": "c", "a": ["", ""]}}

    def test_outside_the_root_are_told(self) -> None:
        conversion = Conversion(Options(comments=True))
        FORMATS["xml"].read(io.BytesIO(b"<!--x--><r><a/></r><!--y-->"), conversion)

        assert dict(conversion.losses.counts) == {"comment_dropped": 2}

    def test_that_would_end_too_early_are_refused(self) -> None:
        with pytest.raises(Unwritable):
            converted(b'{"r":{"#comment":"--><a/>"}}', "json", "xml", comments="true")


class TestParts:
    TEXT = b'{"a/b":[{"n":0},{"n":1},{"n":2}],"c":{"d":1}}'

    def test_are_what_a_pointer_points_at(self) -> None:
        assert converted(self.TEXT, "json", "csv", path="/a~1b", newline="lf") == b"n\n0\n1\n2\n"
        assert converted(self.TEXT, "json", "json", path="/a~1b/1/n") == b"1"
        assert converted(b"[[1],[2]]", "json", "yaml", path="/1") == b"- 2\n"

    @pytest.mark.parametrize("path", ["/x", "/a~1b/3", "/c/d/e", "/a~1b/-1"])
    def test_that_there_are_none_of_are_refused(self, path: str) -> None:
        with pytest.raises(Unreadable) as caught:
            converted(self.TEXT, "json", "json", path=path)
        assert caught.value.code == "no_value"

    def test_are_some_of_the_records(self) -> None:
        lines = b"".join(b"%d\n" % number for number in range(5_000))

        assert converted(lines, "ndjson", "json", offset="4998") == b"[4998,4999]"
        assert converted(lines, "ndjson", "json", offset="1500", limit="2") == b"[1500,1501]"
        assert converted(b"[0,1,2]", "yaml", "json", offset="1", limit="1") == b"[1]"
        assert converted(self.TEXT, "json", "json", path="/a~1b", limit="1") == b'[{"n":0}]'
        assert converted(b"1\n", "ndjson", "json", offset="9") == b"[]"
