"""What each format reads, writes and refuses, in the words of its users."""

import io
import json
import zipfile
from datetime import UTC, date, datetime, time
from decimal import Decimal
from typing import Any

import openpyxl
import pytest

from bounded_contexts.documents.adapters.catalogue import FORMATS, named, of_file
from bounded_contexts.documents.adapters.converting import convert
from bounded_contexts.documents.adapters.formats.conversion import Conversion
from bounded_contexts.documents.domain.errors import TooLarge, Unreadable, Unwritable
from bounded_contexts.documents.domain.limits import Limits
from bounded_contexts.documents.domain.options import Options, options_of
from bounded_contexts.documents.domain.values import Records, Single, Tagged, Value
from shared_kernel.errors import HeadwaterError, Malformed

AT = datetime.fromisoformat("2026-01-02T03:04:05")  # without a zone, as workbooks have it


def value_of(data: bytes, format_: str, limits: Limits | None = None, **options: Any) -> Value:
    document = FORMATS[format_].read(io.BytesIO(data), Conversion(Options(**options), limits or Limits()))
    if isinstance(document, Single):
        return document.value
    return [value for batch in document.batches for value in batch]


def converted(data: bytes, read: str, write: str, **options: Any) -> tuple[bytes, dict[str, int]]:
    conversion = Conversion(Options(**options))
    out = b"".join(convert(io.BytesIO(data), FORMATS[read], FORMATS[write], conversion))
    return out, dict(conversion.losses.counts)


def refused(data: bytes, format_: str, limits: Limits | None = None, **options: Any) -> HeadwaterError:
    with pytest.raises(HeadwaterError) as caught:
        value_of(data, format_, limits, **options)
    return caught.value


class TestJson:
    @pytest.mark.parametrize(
        ("text", "value"),
        [
            (b"12345678901234567890123", 12345678901234567890123),
            (b"1.10", Decimal("1.10")),
            (b"1e400", Decimal("1E+400")),
            (b"[1,\n {}]", [1, {}]),
            (b"\xef\xbb\xbf[true]", [True]),
            ('["é"]'.encode("utf-16"), ["é"]),
            (b'{"a":{"b":[]}}', {"a": {"b": []}}),
            (b" [ ] ", []),
        ],
    )
    def test_is_read_exactly(self, text: bytes, value: Value) -> None:
        assert value_of(text, "json") == value

    def test_keeps_the_sign_of_minus_zero(self) -> None:
        assert converted(b"[-0]", "json", "json")[0] == b"[-0]"

    @pytest.mark.parametrize(
        "text",
        [
            b"[1,2,]",
            b"[1 2]",
            b"[1",
            b"",
            b"[1]x",
            b"{'a':1}",
            b"[NaN]",
            b"[,1]",
            b'["\\ud800"]',
            b"\xff",
            b"[" * 100_000,
        ],
    )
    def test_that_is_none_is_refused(self, text: bytes) -> None:
        assert isinstance(refused(text, "json"), Unreadable | TooLarge)

    def test_error_says_where_it_is(self) -> None:
        error = refused(b'[{"a":1},\n {"a":tru}]', "json")

        assert (error.code, error.more["line"], error.more["offset"]) == ("bad_json", 2, 20)

    def test_error_far_behind_the_first_piece_says_where_it_is(self) -> None:
        lines = b",\n".join(b'{"n":%d}' % number for number in range(100_000))

        assert refused(b"[" + lines + b",\nx]", "json").more["line"] == 100001

    def test_second_key_is_refused_unless_asked_for(self) -> None:
        text = b'[{"a":1,"b":"x:y","a":2}]'

        assert refused(text, "json").code == "duplicate_key"
        assert value_of(text, "json", duplicates="first") == [{"a": 1, "b": "x:y"}]
        assert value_of(text, "json", duplicates="last") == [{"a": 2, "b": "x:y"}]
        assert value_of(text, "json", duplicates="list") == [{"a": [1, 2], "b": "x:y"}]

    def test_element_larger_than_a_piece_is_read_whole(self) -> None:
        text = b'[{"a":"' + b"},{" * 400_000 + b'"},{"b":[[{}]]}]'

        assert [len(value.get("a", "")) for value in value_of(text, "json")] == [1_200_000, 0]

    def test_element_over_the_limit_is_refused(self) -> None:
        text = b'["' + b"x" * 2_000_000 + b'"]'

        assert refused(text, "json", Limits(item_bytes=1_000_000)).more["limit"] == "item_bytes"

    def test_lines_say_which_of_them_is_wrong(self) -> None:
        assert refused(b'{"a":1}\n\n{"a":\n', "ndjson").more["line"] == 3
        assert refused(b"1,2\n", "ndjson").code == "bad_json"
        assert refused(b"[1\n2],3\n", "ndjson").more["line"] == 1  # which would be two values if a line were no border


class TestCsv:
    @pytest.mark.parametrize(
        ("text", "options", "records"),
        [
            (b"a,b\n1,x\n", {}, [{"a": "1", "b": "x"}]),
            (b'a\n"x\n""y"""\r\n', {}, [{"a": 'x\n"y"'}]),
            (b"a;b\n1;2", {"delimiter": ";"}, [{"a": "1", "b": "2"}]),
            (b"1,2\n", {"header": "no"}, [{"column1": "1", "column2": "2"}]),
            (b"# hi\na\n1\n", {"comment": "#"}, [{"a": "1"}]),
            (b"x\ny\na\n1\n", {"skip_rows": 2}, [{"a": "1"}]),
            (b"a,b\n1\n", {"ragged": "pad"}, [{"a": "1", "b": ""}]),
            (b"a,b\n 1 ,NA\n", {"trim": True, "null_text": "NA"}, [{"a": "1", "b": None}]),
            (b"a.b,a.c[0]\n1,2\n", {"nested": True}, [{"a": {"b": "1", "c": ["2"]}}]),
            (
                b"a,b,c,d\n1,1.50,007,true\n",
                {"inference": "safe"},
                [{"a": 1, "b": Decimal("1.50"), "c": "007", "d": True}],
            ),
            (b"a,b\n1e3,No\n", {"inference": "full"}, [{"a": Decimal(1000), "b": False}]),
            (b"a,b\n2026-01-02,5\n", {"types": (("a", "date"),)}, [{"a": date(2026, 1, 2), "b": "5"}]),
            ("a\né\n".encode("latin-1"), {"charset": "latin-1"}, [{"a": "é"}]),
        ],
    )
    def test_is_read_as_asked(self, text: bytes, options: dict[str, Any], records: Value) -> None:
        assert value_of(text, "csv", **options) == records

    @pytest.mark.parametrize(
        ("text", "code"),
        [
            (b"a,b\n1\n", "ragged_row"),
            (b"a,a\n1,2\n", "duplicate_key"),
            (b'a\n"x\n', "bad_csv"),
            (b"a\n\0\n", "bad_csv"),
        ],
    )
    def test_that_would_lose_something_is_refused(self, text: bytes, code: str) -> None:
        assert refused(text, "csv").code == code

    def test_header_has_every_name_in_the_order_they_come_up(self) -> None:
        out, _ = converted(b'[{"b":"1"},{"a":"2","b":"3"}]', "json", "csv", newline="lf")

        assert out == b"b,a\n1,\n3,2\n"

    def test_names_are_those_of_a_flat_source(self) -> None:
        assert converted(b"a.b,c\n1,2\n", "csv", "tsv", newline="lf")[0] == b"a.b\tc\n1\t2\n"

    def test_cells_that_spreadsheets_would_run_are_escaped_or_refused(self) -> None:
        assert converted(b'[{"a":"=1+1"}]', "json", "csv", formula="escape")[0] == b"a\r\n'=1+1\r\n"
        with pytest.raises(Unwritable):
            converted(b'[{"a":"=1+1"}]', "json", "csv", formula="reject")

    def test_each_leaf_that_changes_is_counted(self) -> None:
        _, losses = converted(b'[{"a":1,"b":null,"c":[],"d":"x"}]', "json", "csv")

        assert losses == {"kind_as_text": 1, "null_as_text": 1, "empty_as_text": 1}


class TestYaml:
    @pytest.mark.parametrize(
        ("text", "value"),
        [
            (b"- yes\n- 0777\n- 0o17\n- 0x1F\n- ~\n- 12:30\n- 1_000\n", ["yes", 777, 15, 31, None, "12:30", "1_000"]),
            (b"a: 'no'\nb: \"1\"\nc: 1.50\nd: .inf\n", {"a": "no", "b": "1", "c": Decimal("1.50"), "d": float("inf")}),
            (b"a: &x [1]\nb: *x\n", {"a": [1], "b": [1]}),
            (b"a: {<<: {b: 1, c: 2}, b: 3}\n", {"a": {"b": 3, "c": 2}}),
            (b"--- 1\n--- 2\n", [1, 2]),
            (b"a: !!str 1\nb: !!int '2'\n", {"a": "1", "b": 2}),
            (b"2: a\ntrue: b\n", {2: "a", True: "b"}),
            (b"", None),
        ],
    )
    def test_is_read_by_the_core_schema(self, text: bytes, value: Value) -> None:
        assert value_of(text, "yaml") == value

    @pytest.mark.parametrize(
        ("text", "code"),
        [
            (b"a: 1\na: 2\n", "duplicate_key"),
            (b"a: &a [*a]\n", "bad_alias"),
            (b"a: *b\n", "bad_alias"),
            (b"!!python/object:x y", "tag_refused"),
            (b"a: b: c", "bad_yaml"),
        ],
    )
    def test_that_cannot_be_meant_is_refused(self, text: bytes, code: str) -> None:
        assert refused(text, "yaml").code == code

    def test_aliases_expand_within_a_budget(self) -> None:
        lines = ["a0: &a0 [x, x, x, x, x, x, x, x, x, x]"]
        lines += [f"a{level}: &a{level} [{', '.join([f'*a{level - 1}'] * 10)}]" for level in range(1, 10)]

        assert refused("\n".join(lines).encode(), "yaml").more["limit"] == "alias_nodes"

    @pytest.mark.parametrize(
        "text", ["yes", "null", "1", "0x1", "a: b", "# x", "- a", "", " a", "é", "x\ny", "'", "1e3", "~"]
    )
    def test_writes_texts_so_that_they_stay_texts(self, text: str) -> None:
        out = b"".join(FORMATS["yaml"].write(Single({text: [text, {"k": text}]}), Conversion()))

        assert value_of(out, "yaml") == {text: [text, {"k": text}]}


class TestXml:
    @pytest.mark.parametrize("count", [1, 40])  # read one by one, and as columns
    def test_tells_of_names_that_take_turns_or_keeps_their_order(self, count: int) -> None:
        row = "<row><a>1</a><b>2</b><a>3</a><c/><c/></row>"
        text = f"<root>{row * count}<row><a>1</a><a>2</a><b/></row>{' ' * 2_000}</root>".encode()
        turns = [{"a": "1"}, {"b": "2"}, {"a": "3"}, {"c": ""}, {"c": ""}]

        merged, losses = converted(text, "xml", "json")
        kept, none = converted(text, "xml", "json", lossless=True)

        assert losses == {"order_changed": count}
        assert json.loads(merged)[0] == {"a": ["1", "3"], "b": "2", "c": ["", ""]}
        assert none == {}
        assert json.loads(kept) == [{"#content": turns}] * count + [{"a": ["1", "2"], "b": ""}]
        again, _ = converted(kept, "json", "xml", restored=True)
        assert row.replace("<c/>", "<c></c>") in again.decode().replace("<c/>", "<c></c>")

    @pytest.mark.parametrize(
        ("text", "value"),
        [
            (b"<a>x</a>", {"a": "x"}),
            (b"<r><a>1</a><a>2</a></r>", ["1", "2"]),
            (b"<r><a k='1'>2</a><b/></r>", {"r": {"a": {"@k": "1", "#text": "2"}, "b": ""}}),
            (b"<p>a <b>c</b> d</p>", {"p": {"#content": ["a ", {"b": "c"}, " d"]}}),
            (b"<r><a/><b>1</b><b>2</b></r>", {"r": {"a": "", "b": ["1", "2"]}}),
            (b"<x:a xmlns:x='u' x:k='1'/>", {"x:a": {"@xmlns:x": "u", "@x:k": "1"}}),
            (b"<a><![CDATA[<]]>&amp;</a>", {"a": "<&"}),
            (b"<a _x0031_k=''/>", {"a": {"@1k": ""}}),
        ],
    )
    def test_is_read_with_all_that_it_says(self, text: bytes, value: Value) -> None:
        assert value_of(text, "xml") == value

    def test_namespaces_are_expanded_or_left_out_as_asked(self) -> None:
        text = b"<x:a xmlns:x='u'><x:b>1</x:b></x:a>"

        assert value_of(text, "xml", namespaces="expand") == {"{u}a": {"{u}b": "1"}}
        assert value_of(text, "xml", namespaces="strip") == {"a": {"b": "1"}}

    @pytest.mark.parametrize(
        "text",
        [
            b"<!DOCTYPE a [<!ENTITY x SYSTEM 'file:///etc/passwd'>]><a>&x;</a>",
            b"<!DOCTYPE a SYSTEM 'http://127.0.0.1:9/x.dtd'><a/>",
            b"<!DOCTYPE a [<!ENTITY x 'y'><!ENTITY z '&x;&x;&x;'>]><a>&z;</a>",
        ],
    )
    def test_document_types_are_refused(self, text: bytes) -> None:
        assert refused(text, "xml").code == "dtd_not_allowed"

    @pytest.mark.parametrize("text", [b"<a>", b"<a>&nope;</a>", b"", b"<a/><b/>", b"<a b=1/>", b"x"])
    def test_that_is_none_is_refused(self, text: bytes) -> None:
        assert refused(text, "xml").code == "bad_xml"

    def test_depth_is_limited(self) -> None:
        assert refused(b"<a>" * 1_000 + b"</a>" * 1_000, "xml").more["limit"] == "depth"

    def test_other_elements_among_records_are_an_error_and_no_loss(self) -> None:
        assert refused(b"<r><a/><a/><b/></r>", "xml").code == "mixed_records"
        assert refused(b"<r>" + b"<a/>" * 200_000 + b"text</r>", "xml").code == "mixed_records"

    @pytest.mark.parametrize(
        "value",
        [
            {"x:y": "1", "z": {"x:y": "2", "@x:k": "3"}},
            {"r": {"@xmlns:x": "u", "x:y": "1", "x:z": {"@x:k": "2", "q:w": "3"}}, "x:after": "4"},
            {"r": {"@xmlns:x": "", "x:y": "1"}, "s": {"@xmlns:xml": "u", "xmlns:t": "2", "xml:u": "3"}},
        ],
    )
    def test_a_prefix_that_nobody_declares_is_no_prefix(self, value: dict[str, Any]) -> None:
        text, _ = converted(json.dumps({"root": value}).encode(), "json", "xml")

        assert value_of(text, "xml") == {"root": value}

    def test_characters_that_xml_lacks_are_refused(self) -> None:
        with pytest.raises(Unwritable):
            converted(b'[{"a":"\\u0000"}]', "json", "xml")


class TestToml:
    def test_is_read_with_its_times_and_exact_numbers(self) -> None:
        text = b"a = 1.10\nb = 2026-01-02\nc = 10:00:00\nd = 2026-01-02T03:04:05Z\n[e]\nf = [1, {g = true}]\n"

        assert value_of(text, "toml") == {
            "a": Decimal("1.10"),
            "b": date(2026, 1, 2),
            "c": time(10),
            "d": datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC),
            "e": {"f": [1, {"g": True}]},
        }

    def test_error_says_where_it_is(self) -> None:
        assert refused(b"a = 1\na = 2\n", "toml").code == "bad_toml"
        assert refused(b"a = 1\nb =\n", "toml").more["line"] == 2

    def test_what_it_has_no_way_to_say_is_reported(self) -> None:
        out, losses = converted(b'{"a":null,"b":12345678901234567890}', "json", "toml")

        assert out == b'b = "12345678901234567890"\n'
        assert losses == {"null_dropped": 1, "integer_as_text": 1}


class TestMsgPack:
    @pytest.mark.parametrize("lossless", [False, True])
    def test_keeps_extensions_of_every_code(self, lossless: bool) -> None:
        data = bytes.fromhex("94c70380616263c703c7616263c70305616263c7037f616263")

        text, _ = converted(data, "msgpack", "json", lossless=True)
        direct, losses = converted(data, "msgpack", "msgpack", lossless=lossless)

        assert converted(text, "json", "msgpack", restored=True) == (data, {})
        assert (direct, losses) == (data, {})

    @pytest.mark.parametrize("code", ["128", "-129", "x", "0x5", " 5", "05", "-0", "\u0663"])
    def test_refuses_a_mark_that_is_no_extension(self, code: str) -> None:
        marked = json.dumps([{"$tag": f"msgpack:{code}", "$value": {"$bytes": "YQ=="}}]).encode()

        with pytest.raises(Unreadable, match="bad_mark"):
            converted(marked, "json", "msgpack", restored=True)

    def test_refuses_an_extension_of_text(self) -> None:
        with pytest.raises(Unreadable, match="bad_mark"):
            converted(b'[{"$tag":"msgpack:5","$value":"text"}]', "json", "msgpack", restored=True)

    def test_holds_bytes_times_and_keys_of_every_kind(self) -> None:
        value = {1: b"x", None: [datetime(2026, 1, 2, tzinfo=UTC), 1.5], "t": Tagged("msgpack:5", b"y")}
        out = b"".join(FORMATS["msgpack"].write(Single(value), Conversion()))

        assert value_of(out, "msgpack") == value

    @pytest.mark.parametrize(
        "data", [b"", b"\x93\x01", b"\x92\x01\x02\x03", b"\xa5ab", b"\xc1", b"\x81\xc0", b"\x91" * 5_000]
    )
    def test_that_is_none_is_refused(self, data: bytes) -> None:
        assert isinstance(refused(data, "msgpack"), Unreadable | TooLarge)

    def test_several_values_are_records(self) -> None:
        assert value_of(b"\x01\xa1a\xc0", "msgpack") == [1, "a", None]

    def test_digits_that_a_binary_number_lacks_are_reported(self) -> None:
        assert converted(b"[1.5,0.1]", "json", "msgpack")[1] == {}
        assert converted(b"[1.00000000000000000001]", "json", "msgpack")[1] == {"decimal_rounded": 1}


class TestProperties:
    def test_are_read_as_java_reads_them(self) -> None:
        text = b"# c\n! c\na=1\nb : x\\\n   y\nc\\ d  e\\u00e9\\tf\n\ng=\n"

        assert value_of(text, "properties") == {"a": "1", "b": "xy", "c d": "eé\tf", "g": ""}

    def test_bad_escapes_and_second_names_are_refused(self) -> None:
        assert refused(b"a=\\u12\n", "properties").more["line"] == 1
        twice = refused(b"a=1\n# two\nb=1\na=2\n", "properties")
        assert (twice.code, twice.more["line"]) == ("duplicate_key", 4)


class TestXlsx:
    def test_numbers_dates_and_texts_come_back(self) -> None:
        records = [
            {
                "t": "=1+1",
                "n": 12,
                "d": Decimal("1.5"),
                "b": True,
                "at": AT,
                "on": date(2026, 1, 2),
            },
            {"t": " x\n_x0041_\x01", "n": None, "d": None, "b": False, "at": None, "on": None},
        ]
        out = b"".join(FORMATS["xlsx"].write(Records(iter([records])), Conversion()))

        assert value_of(out, "xlsx") == records

    def test_is_the_same_bytes_for_the_same_document(self) -> None:
        assert converted(b'[{"a":1}]', "json", "xlsx")[0] == converted(b'[{"a":1}]', "json", "xlsx")[0]

    def test_other_libraries_read_it(self) -> None:
        out, _ = converted(b'[{"a":1,"b":"x"},{"a":2.5,"b":null}]', "json", "xlsx")
        rows = openpyxl.load_workbook(io.BytesIO(out))["Sheet1"].iter_rows(values_only=True)

        assert list(rows) == [("a", "b"), (1, "x"), (2.5, None)]

    def test_numbers_of_more_digits_than_a_cell_holds_are_texts_and_reported(self) -> None:
        out, losses = converted(b'[{"a":1234567890123456}]', "json", "xlsx")

        assert value_of(out, "xlsx") == [{"a": "1234567890123456"}]
        assert losses["number_as_text"] == 1

    @pytest.mark.parametrize("data", [b"", b"PK\x03\x04", b"x" * 100])
    def test_that_is_none_is_refused(self, data: bytes) -> None:
        assert refused(data, "xlsx").code == "bad_xlsx"

    def test_bombs_are_refused_before_they_are_inflated(self) -> None:
        packed = io.BytesIO()
        with zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED) as package:
            package.writestr("xl/workbook.xml", b" " * 50_000_000)

        assert refused(packed.getvalue(), "xlsx").more["limit"] == "inflation_ratio"

    def test_doctypes_and_far_corners_are_refused(self) -> None:
        out, _ = converted(b'[{"a":1}]', "json", "xlsx")

        def changed(old: bytes, new: bytes) -> bytes:
            packed = io.BytesIO()
            with zipfile.ZipFile(io.BytesIO(out)) as given, zipfile.ZipFile(packed, "w") as package:
                for name in given.namelist():
                    package.writestr(name, given.read(name).replace(old, new))
            return packed.getvalue()

        assert refused(changed(b"<worksheet ", b"<!DOCTYPE x><worksheet "), "xlsx").code == "dtd_not_allowed"
        assert refused(changed(b'r="A2"', b'r="XFE2"'), "xlsx").more["limit"] == "columns"
        assert refused(changed(b'<row r="2"', b'<row r="99999999"'), "xlsx").code == "bad_xlsx"


def test_formats_are_found_by_name_and_file() -> None:
    assert named("JSON") is FORMATS["json"]
    assert of_file("a/b.YML") is FORMATS["yaml"]
    for wrong in ("x", "x.docx"):
        with pytest.raises(Unreadable):
            of_file(wrong)


@pytest.mark.parametrize(
    "given", [{"nope": "1"}, {"pretty": "yes"}, {"skip_rows": "-1"}, {"header": "x"}, {"delimiter": "ab"}]
)
def test_options_that_are_none_are_refused(given: dict[str, str]) -> None:
    with pytest.raises(Malformed):
        options_of(given)


def test_output_is_limited() -> None:
    with pytest.raises(TooLarge):
        b"".join(
            convert(io.BytesIO(b"[1,2,3]"), FORMATS["json"], FORMATS["json"], Conversion(limits=Limits(output_bytes=3)))
        )


@pytest.mark.parametrize("marks", [{}, {"decimal_mark": ","}])
def test_a_cell_of_another_kind_is_refused_with_its_place(marks: dict[str, Any]) -> None:
    rows = b"a,b/c\n" + b"x,1\n" * 20_000 + b"x,one\n"
    error = refused(rows, "csv", types=(("b/c", "integer"),), **marks)

    assert (error.code, dict(error.more)) == ("wrong_type", {"cell": "b/c", "pointer": "/20000/b~1c"})


@pytest.mark.parametrize(
    ("text", "options", "code"), [("a\0b", {}, "bad_character"), ("=1", {"formula": "reject"}, "formula")]
)
def test_what_csv_cannot_hold_is_refused_with_its_place(text: str, options: dict[str, str], code: str) -> None:
    data = json.dumps([*[{"a": "x"}] * 3_000, {"a": "x", "b": {"c": text}}]).encode()

    with pytest.raises(Unwritable) as error:
        converted(data, "json", "csv", **options)

    assert (error.value.code, error.value.more) == (code, {"pointer": "/3000/b/c"})


def test_a_text_that_is_longer_than_an_element_may_be_is_gone_through_once() -> None:
    assert refused(b'["' + b'x\\"' * (8 << 20), "json", Limits(item_bytes=20 << 20)).more["limit"] == "item_bytes"
