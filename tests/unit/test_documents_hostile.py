"""What is sent to take the converter down, or to make it tell or do what it should not: each is refused, or harmless, soon and in
little memory. Times here are what a slow machine needs to tell a refusal from a bomb that goes off, no claim of speed."""

import io
import json
import resource
import socket
import time
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from decimal import Decimal
from pathlib import Path

import pytest

from bounded_contexts.documents.domain.errors import TooLarge, Unreadable, Unwritable
from bounded_contexts.documents.domain.limits import Limits
from shared_kernel.errors import HeadwaterError
from tests.unit.document_values import converted, refused, value_of

WRITTEN = ("json", "ndjson", "yaml", "msgpack", "xml", "csv", "tsv", "xlsx", "toml", "properties")
SECONDS = 20
MEGABYTES = 1_500  # of addresses beside those that the process has: what a bomb would take is many times that


@contextmanager
def bounded() -> Iterator[None]:
    """Let what is within take so much time and memory."""
    pages = int(Path("/proc/self/statm").read_text().split()[0])
    before = resource.getrlimit(resource.RLIMIT_AS)
    resource.setrlimit(resource.RLIMIT_AS, (pages * resource.getpagesize() + (MEGABYTES << 20), before[1]))
    begin = time.monotonic()
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_AS, before)
    assert time.monotonic() - begin < SECONDS


def code_of(data: bytes, format_: str, limits: Limits | None = None, **options: str) -> str:
    """Return why the document is refused: the limit, or the code."""
    with bounded():
        error = refused(data, format_, limits, **options)
    return str(error.more.get("limit", error.code))


def workbook(**parts: bytes) -> bytes:
    """Return a workbook with one cell, some of its parts replaced or added."""
    return repacked(converted(b'[{"a":"x"}]', "json", "xlsx"), parts)


def repacked(data: bytes, parts: dict[str, bytes]) -> bytes:
    target = io.BytesIO()
    with zipfile.ZipFile(io.BytesIO(data)) as given, zipfile.ZipFile(target, "w", zipfile.ZIP_DEFLATED) as package:
        for name in {**dict.fromkeys(given.namelist()), **parts}:
            package.writestr(name, parts[name] if name in parts else given.read(name))
    return target.getvalue()


def sheet(rows: str, before: str = "", after: str = "") -> dict[str, bytes]:
    head = '<worksheet xmlns="http://schemas.openxmlformats.org/spreadsheetml/2006/main">'
    return {"xl/worksheets/sheet1.xml": f"{before}{head}<sheetData>{rows}</sheetData>{after}</worksheet>".encode()}


class TestXml:
    @pytest.mark.parametrize(
        "begin",
        [
            '<!DOCTYPE a [<!ENTITY x SYSTEM "{file}">]><a>&x;</a>',
            '<!DOCTYPE a [<!ENTITY x SYSTEM "{url}">]><a>&x;</a>',
            '<!DOCTYPE a SYSTEM "{url}"><a/>',
            '<!DOCTYPE a PUBLIC "-//x//y" "{url}"><a/>',
            '<!DOCTYPE a [<!ENTITY % p SYSTEM "{url}">%p;]><a/>',
            '<!DOCTYPE a [<!ENTITY % p SYSTEM "{file}"><!ENTITY % q "<!ENTITY r SYSTEM \'{url}?%p;\'>">%q;]><a>&r;</a>',
            "<!DOCTYPE a><a/>",
        ],
    )
    def test_document_types_are_refused_and_nothing_is_fetched(self, begin: str, tmp_path: Path) -> None:
        (tmp_path / "secret").write_text("top secret")
        with socket.create_server(("127.0.0.1", 0)) as server:
            server.setblocking(False)
            url = f"http://127.0.0.1:{server.getsockname()[1]}/x"
            text = begin.replace("{file}", (tmp_path / "secret").as_uri()).replace("{url}", url)

            assert code_of(text.encode(), "xml") in ("dtd_not_allowed", "bad_xml")
            with pytest.raises(BlockingIOError):
                server.accept()

    def test_inclusions_stylesheets_and_schema_places_are_only_texts(self, tmp_path: Path) -> None:
        (tmp_path / "secret").write_text("top secret")
        place = (tmp_path / "secret").as_uri()
        text = f"""<?xml-stylesheet href="{place}"?><a xmlns:xi="http://www.w3.org/2001/XInclude" xml:base="{place}"
            xmlns:i="http://www.w3.org/2001/XMLSchema-instance" i:schemaLocation="u {place}"><xi:include href="{place}"/></a>"""

        assert "top secret" not in str(value_of(text.encode(), "xml"))

    @pytest.mark.parametrize("use", ["<a>{}</a>", '<a b="{}"/>'])
    def test_entities_do_not_explode(self, use: str) -> None:
        nested = "".join(f'<!ENTITY e{n} "{f"&e{n - 1};" * 10}">' for n in range(1, 15))
        flat = f'<!ENTITY e0 "{"x" * 100_000}">'

        for entities, text in ((f'<!ENTITY e0 "x">{nested}', "&e14;"), (flat, "&e0;" * 50_000)):
            assert code_of(f"<!DOCTYPE a [{entities}]>{use.format(text)}".encode(), "xml") in (
                "dtd_not_allowed",
                "bad_xml",
            )

    def test_attributes_and_namespaces_are_counted(self) -> None:
        many = " ".join(f'a{number}=""' for number in range(100_000))
        known = " ".join(f'xmlns:a{number}="u{number}"' for number in range(10_000))

        assert code_of(f"<a {many}/>".encode(), "xml") == "attributes"
        uses = "<b a0:x=''/>" * 50_000
        assert code_of(f"<a {known}>{uses}</a>".encode(), "xml") == "namespaces"

    def test_what_cannot_be_streamed_is_limited_and_what_can_is_not(self) -> None:
        limits = Limits(item_bytes=300_000)
        record = f"<b>{'<c>x</c>' * 100}</b>"

        assert code_of(
            f"<a>{record * 3_000}<d/></a>".replace("<b>", "<z><b>", 1).replace("<d/>", "</z>").encode(), "xml", limits
        )
        assert len(value_of(f"<a>{record * 3_000}</a>".encode(), "xml", limits)) == 3_000


class TestDepth:
    @pytest.mark.parametrize(
        ("format_", "begin", "end"),
        [
            ("json", b"[", b"]"),
            ("json", b'{"a":', b"}"),
            ("ndjson", b"[", b"]"),
            ("yaml", b"[", b"]"),
            ("yaml", b"{a: ", b"}"),
            ("yaml", b"- ", b""),
            ("yaml", b"&a [", b"]"),
            ("xml", b"<a>", b"</a>"),
            ("msgpack", b"\x91", b""),
            ("msgpack", b"\x81\x01", b""),
            ("toml", b"a=", b""),
        ],
    )
    @pytest.mark.parametrize("times", [200, 600, 990, 100_000])
    def test_is_limited_however_deep_it_is(self, format_: str, begin: bytes, end: bytes, times: int) -> None:
        data = begin * times + b"1" + end * times
        if format_ == "toml":
            data = b"a=" + b"[" * times + b"]" * times
        for target in WRITTEN:
            if target == "msgpack" and format_ in ("msgpack", "toml") and times < 1_024:
                continue  # neither side looks deeper than their parsers do, and those have limits of their own
            with bounded(), pytest.raises(TooLarge) as caught:
                converted(data, format_, target)
            assert caught.value.more["limit"] == "depth"

    @pytest.mark.parametrize("step", [".a", "[0]"])
    def test_is_limited_in_names(self, step: str) -> None:
        name = "a" + step * 5_000

        assert code_of(f"{name}=1".encode(), "properties", nested="true") == "depth"
        assert code_of(f"{name}\n1\n".encode(), "csv", nested="true") == "depth"

    def test_is_limited_in_keys_of_toml(self) -> None:
        for text in (f"{'a.' * 100_000}a = 1", f"[{'a.' * 100_000}a]", f"a = {{{'a.' * 100_000}a = 1}}"):
            for version in ("1.0", "1.1"):
                with bounded(), pytest.raises(TooLarge):
                    converted(text.encode(), "toml", "json", toml=version)


class TestYaml:
    @pytest.mark.parametrize("target", WRITTEN)
    def test_aliases_do_not_explode_in_any_format(self, target: str) -> None:
        lines = ["a0: &a0 [x, x, x, x, x, x, x, x, x, x]"]
        lines += [f"a{level}: &a{level} [{', '.join([f'*a{level - 1}'] * 10)}]" for level in range(1, 12)]
        merges = ["a0: &a0 {x: 1}"]
        merges += [f"a{level}: &a{level} {{<<: [{', '.join([f'*a{level - 1}'] * 100)}]}}" for level in range(1, 12)]

        for text in (lines, merges):
            with bounded(), pytest.raises(TooLarge) as caught:
                converted("\n".join(text).encode(), "yaml", target)
            assert caught.value.more["limit"] == "alias_nodes"

    @pytest.mark.parametrize("text", ["&a [*a]", "a: &a {b: *a}", "&a {? *a : b}", "- &a [{b: [*a]}]"])
    def test_no_value_is_part_of_itself(self, text: str) -> None:
        assert code_of(text.encode(), "yaml") in ("bad_alias", "bad_yaml")

    @pytest.mark.parametrize(
        "tag",
        [
            "!!python/object/apply:os.system",
            "!!python/name:os.system",
            "!!java.util.Date",
            "!<!evil>",
            "!ruby/object:X",
        ],
    )
    def test_tags_make_no_objects(self, tag: str) -> None:
        assert code_of(f"{tag} [ls]".encode(), "yaml") == "tag_refused"
        assert type(value_of(f"{tag} [ls]".encode(), "yaml", tags="keep").value) is list


class TestNumbers:
    @pytest.mark.parametrize("target", WRITTEN)
    def test_exponents_are_not_written_out(self, target: str) -> None:
        for format_, text in (
            ("json", b'[{"a":1e999999999,"b":-1.5e-999999999,"c":0e999999999}]'),
            ("yaml", b"- {a: 1e999999999, b: -1.5e-999999999}"),
            ("toml", b"a = 1e999999999"),
        ):
            for lossless in ("true", "false"):
                with bounded():
                    assert len(converted(text, format_, target, lossless=lossless)) < 20_000

    @pytest.mark.parametrize(
        ("format_", "text"),
        [
            ("json", "[{}]"),
            ("ndjson", "{}"),
            ("yaml", "- {}"),
            ("toml", "a = {}"),
            ("xml", "<a>{}</a>"),
            ("csv", "a\n{}\n"),
        ],
    )
    def test_digits_are_kept_or_refused(self, format_: str, text: str) -> None:
        for digits, whole in ((4_000, True), (5_000, False), (1_000_000, False)):
            number = "7" * digits
            with bounded():
                try:
                    out = converted(text.replace("{}", number).encode(), format_, "json", inference="full")
                except (Unreadable, TooLarge):
                    assert not whole
                else:
                    assert number.encode() in out

    @pytest.mark.parametrize(
        ("format_", "text"), [("yaml", "- 0x{}"), ("yaml", "- 0o{}"), ("toml", "a = [0x{}]"), ("toml", "a.b = 0b{}")]
    )
    def test_digits_of_other_bases_are_kept_or_refused(self, format_: str, text: str) -> None:
        assert code_of(text.replace("{}", "1" * 20_000).encode(), format_) == "number_too_long"
        assert b"1" in converted(text.replace("{}", "1" * 3_000).encode(), format_, "json")

    def test_hexadecimal_digits_of_yaml_1_1_are_refused_as_well(self) -> None:
        assert code_of(b"- 0x" + b"f" * 10_000, "yaml", yaml="1.1") == "number_too_long"

    @pytest.mark.parametrize("word", ["NaN", "Infinity", "-Infinity", "nan", "inf"])
    def test_no_json_has_or_gets_words_for_numbers(self, word: str) -> None:
        assert code_of(f"[{word}]".encode(), "json") == "bad_json"
        for format_, text in (
            ("yaml", b"[.nan, .inf, -.inf]"),
            ("toml", b"a = [nan, inf]"),
            ("msgpack", b"\xcb\x7f\xf8" + b"\0" * 6),
        ):
            assert b":nan" not in converted(text, format_, "json").lower().replace(b'"nan"', b"")
            value_of(converted(text, format_, "json"), "json")

    def test_no_cell_is_a_number_that_is_none(self) -> None:
        for text in ("NaN", "inf", "1_0", "0x1", "١"):
            assert (
                code_of(workbook(**sheet(f'<row r="1"><c r="A1"><v>{text}</v></c></row>')), "xlsx", header="no")
                == "bad_xlsx"
            )


@pytest.mark.parametrize(
    ("format_", "data"),
    [
        ("json", b'{"k":1,"k":2}'),
        ("ndjson", b'{"k":{"k":1,"k":2}}\n'),
        ("yaml", b"k: 1\nk: 2"),
        ("toml", b"k = 1\nk = 2"),
        ("msgpack", b"\x82\xa1k\x01\xa1k\x02"),
        ("csv", b"k,k\n1,2\n"),
        ("properties", b"k=1\nk=2"),
        ("xml", b"<a k='1' k='2'/>"),
    ],
)
def test_nobody_hides_a_value_behind_a_second_key(format_: str, data: bytes) -> None:
    assert code_of(data, format_) in ("duplicate_key", "bad_toml", "bad_xml")


class TestCharsets:
    @pytest.mark.parametrize(
        "name", ["idna", "punycode", "unicode_escape", "rot13", "hex", "undefined", "x", "a\0b", "ü"]
    )
    def test_names_of_other_things_are_refused(self, name: str) -> None:
        for format_, data in (("json", b"[1]"), ("csv", b"a\n1\n"), ("xml", b"<a/>"), ("yaml", b"a")):
            assert code_of(data, format_, charset=name) == "unknown_charset"
        with pytest.raises(Unreadable):
            converted(b'["a"]', "json", "yaml", output_charset=name)

    def test_nothing_but_a_charset_gets_into_the_declaration(self) -> None:
        assert b'encoding="ISO8859-1"?>\n<' in converted(b'["a"]', "json", "xml", output_charset='latin-1">')

    @pytest.mark.parametrize(
        ("format_", "text"),
        [("csv", b"a\nx\xff\n"), ("yaml", b"a: \xff"), ("toml", b"a='\xff'"), ("properties", b"a=\xff")],
    )
    def test_bytes_that_are_none_are_refused_with_their_place(self, format_: str, text: bytes) -> None:
        assert refused(text, format_).more["offset"] == text.index(b"\xff")

    def test_half_of_a_pair_comes_in_nowhere(self) -> None:
        for format_, text in (
            ("json", rb'["\ud800"]'),
            ("yaml", rb'["\ud800"]'),
            ("properties", rb"a=\ud800"),
            ("toml", rb'a="\ud800"'),
        ):
            assert code_of(text, format_) in ("bad_json", "bad_charset", "bad_escape", "bad_toml")
        assert converted(b"<a _xD800_='' b='_x110000_'/>", "xml", "json") == b'{"a":{"@_xD800_":"","@b":"_x110000_"}}'


class TestSpreadsheets:
    RUN = (
        "=1+1",
        "+1",
        "-1+cmd|'/c calc'!A0",
        "@SUM(A1)",
        "\t=1",
        "\r=1",
        '=HYPERLINK("http://x")',
        "=cmd|' /C calc'!A0",
    )

    def test_no_text_becomes_a_formula_in_a_workbook(self) -> None:
        data = "".join(f'"{text.replace(chr(34), chr(34) * 2)}"\n' for text in self.RUN)
        out = converted(f"a\n{data}".encode(), "csv", "xlsx")
        with zipfile.ZipFile(io.BytesIO(out)) as package:
            sheets = [package.read(name) for name in package.namelist() if "sheet" in name]

        assert all(
            b"<f" not in part and b"hyperlink" not in part.lower().replace(b"=hyperlink", b"") for part in sheets
        )
        assert [row["a"] for row in value_of(out, "xlsx")] == list(self.RUN)

    def test_cells_and_names_that_programs_would_run_are_escaped_or_refused_on_request(self) -> None:
        for text in self.RUN:
            source = json.dumps([{text: text}]).encode()
            out = value_of(converted(source, "json", "csv", formula="escape"), "csv", header="no")

            assert not [
                cell for row in out for cell in row.values() if cell.startswith(("=", "+", "-", "@", "\t", "\r"))
            ]
            with pytest.raises(Unwritable):
                converted(source, "json", "csv", formula="reject")

    @pytest.mark.parametrize(
        "name", ["xl/workbook.xml", "xl/sharedStrings.xml", "xl/styles.xml", "xl/worksheets/sheet1.xml", "_rels/.rels"]
    )
    def test_document_types_in_any_part_are_refused(self, name: str) -> None:
        part = b'<!DOCTYPE x [<!ENTITY a SYSTEM "file:///etc/passwd">]><x>&a;</x>'

        assert code_of(workbook(**{name: part}), "xlsx") == "dtd_not_allowed"

    def test_bombs_are_refused_before_they_are_inflated(self) -> None:
        assert code_of(workbook(**{"xl/x.bin": b"\0" * 80_000_000}), "xlsx") == "inflation_ratio"
        assert code_of(workbook(), "xlsx", Limits(inflated_bytes=1_000)) == "inflated_bytes"
        assert code_of(workbook(**{f"x{number}": b"" for number in range(10_001)}), "xlsx") == "bad_xlsx"
        texts = b"<sst>" + b"<si><t>abc</t></si>" * 1_000 + b"</sst>"
        assert (
            code_of(workbook(**{"xl/sharedStrings.xml": texts}), "xlsx", Limits(shared_bytes=10_000)) == "shared_bytes"
        )

    def test_parts_that_overlap_or_say_less_than_they_are_are_refused(self) -> None:
        data = bytearray(workbook(**{"xl/a.bin": bytes(range(256)) * 4, "xl/b.bin": bytes(range(256)) * 4}))
        entries = {e.filename: e for e in zipfile.ZipFile(io.BytesIO(data)).infolist()}
        at = data.index(b"xl/b.bin", data.index(b"PK\x01\x02")) - 46
        overlapping = bytearray(data)
        overlapping[at + 42 : at + 46] = entries["xl/a.bin"].header_offset.to_bytes(4, "little")
        at = data.index(b"xl/worksheets/sheet1.xml", data.index(b"PK\x01\x02")) - 46
        understated = bytearray(data)
        understated[at + 24 : at + 28] = (10).to_bytes(4, "little")

        assert code_of(bytes(overlapping), "xlsx") == "bad_xlsx"
        assert code_of(bytes(understated), "xlsx") in ("bad_xlsx", "inflated_bytes")

    def test_far_corners_and_false_dimensions_cost_nothing(self) -> None:
        corner = sheet(
            '<row r="1"><c r="A1" t="str"><v>a</v></c></row><row r="1048576"><c r="A1048576"><v>1</v></c></row>'
        )
        dimension = sheet('<row r="1"><c r="A1" t="str"><v>a</v></c></row><row r="2"><c r="A2"><v>1</v></c></row>')
        part = dimension["xl/worksheets/sheet1.xml"].replace(
            b"<sheetData>", b'<dimension ref="A1:XFD1048576"/><sheetData>'
        )

        with bounded():
            assert value_of(workbook(**{"xl/worksheets/sheet1.xml": part}), "xlsx") == [{"a": 1}]
        with bounded():
            assert sum(row["a"] is not None for row in value_of(workbook(**corner), "xlsx")) == 1
        assert code_of(workbook(**sheet('<row r="1048577"/>')), "xlsx") == "bad_xlsx"
        assert code_of(workbook(**sheet('<row r="1"><c r="XFE1"><v>1</v></c></row>')), "xlsx") == "columns"
        assert code_of(workbook(**sheet('<row r="2"/><row r="1"/>')), "xlsx") == "bad_xlsx"

    def test_columns_merged_cells_and_links_cannot_be_said_a_million_times(self) -> None:
        columns = "<cols>" + '<col min="1" max="16384" hidden="1"/>' * 5_000 + "</cols>"
        part = sheet("")["xl/worksheets/sheet1.xml"].replace(b"<sheetData>", columns.encode() + b"<sheetData>")
        merged = sheet('<row r="1"/>', after='<mergeCells><mergeCell ref="A1:XFD1048576"/></mergeCells>')

        assert code_of(workbook(**{"xl/worksheets/sheet1.xml": part}), "xlsx", hidden="skip") == "bad_xlsx"
        assert code_of(workbook(**merged), "xlsx", merged="fill") == "alias_nodes"

    def test_macros_links_and_places_outside_are_neither_followed_nor_carried_over(self) -> None:
        relations = (
            b'<Relationships xmlns="http://schemas.openxmlformats.org/package/2006/relationships">'
            b'<Relationship Id="rId1" Type="x/worksheet" Target="%s"%s/></Relationships>'
        )
        macros = {
            "xl/vbaProject.bin": b"evil",
            "xl/externalLinks/externalLink1.xml": b"<evil/>",
            "xl/embeddings/o.bin": b"evil",
        }
        out = converted(workbook(**macros), "xlsx", "xlsx")

        assert b"evil" not in b"".join(
            zipfile.ZipFile(io.BytesIO(out)).read(n) for n in zipfile.ZipFile(io.BytesIO(out)).namelist()
        )
        for target, mode in (
            (b"../../../../etc/passwd", b""),
            (b"file:///etc/passwd", b""),
            (b"http://x/y", b' TargetMode="External"'),
        ):
            data = workbook(**{"xl/_rels/workbook.xml.rels": relations % (target, mode)})
            assert code_of(data, "xlsx") == "bad_xlsx"

    def test_encrypted_and_oddly_packed_ones_are_refused(self) -> None:
        target = io.BytesIO()
        with zipfile.ZipFile(target, "w", zipfile.ZIP_BZIP2) as package:
            package.writestr("xl/workbook.xml", b"<x/>")

        assert code_of(target.getvalue(), "xlsx") == "bad_xlsx"
        assert code_of(b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1" + b"\0" * 512, "xlsx") == "encrypted"


class TestSizes:
    def test_lengths_that_nothing_follows_take_nothing(self) -> None:
        for data in (
            b"\xdd\x03\xff\xff\xff" * 120,
            b"\x81\x01" + b"\xdf\x03\xff\xff\xff" * 120,
            b"\xdb\xff\xff\xff\xff",
            b"\xc9\xff\xff\xff\xff\x01",
        ):
            assert code_of(data, "msgpack") in ("bad_msgpack", "item_bytes", "depth")

    def test_columns_cells_rows_and_items_are_limited(self) -> None:
        wide = ",".join(f"c{number}" for number in range(100_000)).encode()

        assert code_of(wide + b"\n", "csv") == "columns"
        assert code_of(b",".join([b"a"] * 16_384) + b"\n", "csv") == "duplicate_key"
        assert code_of(b"a\n" + b"x" * 3_000_000 + b"\n", "csv") == "cell_characters"
        assert code_of(b"a\n" + b"1\n" * 200, "csv", Limits(rows=100)) == "rows"
        for format_ in ("json", "ndjson", "yaml", "toml", "properties"):
            assert code_of(b'"' + b"x" * 600_000, format_, Limits(item_bytes=100_000)) == "item_bytes"

    def test_a_line_that_does_not_end_takes_no_time_that_grows_with_its_square(self) -> None:
        begun = time.process_time()

        assert code_of(b"a\n" + b"x" * 70_000_000, "csv") == "item_bytes"
        assert time.process_time() - begun < 5

    def test_a_wide_record_is_refused_by_flat_formats(self) -> None:
        source = json.dumps([{f"k{number}": 1 for number in range(50_000)}]).encode()

        for target in ("csv", "xlsx"):
            with bounded(), pytest.raises(TooLarge):
                converted(source, "json", target)


class TestLossless:
    def test_marks_make_values_only_where_that_was_asked_for(self) -> None:
        text = b'{"$bytes":"aGk=","n":{"$decimal":"1"}}'

        assert value_of(text, "json") == {"$bytes": "aGk=", "n": {"$decimal": "1"}}
        for mark in (
            '{"$python":"x"}',
            '{"$integer":"1e9"}',
            '{"$decimal":"NaN"}',
            '{"$decimal":"-Infinity"}',
            '{"$map":[[[],1]]}',
            '{"$tag":1,"$value":2}',
            '{"$datetime":"x"}',
        ):
            with bounded(), pytest.raises(HeadwaterError):
                converted(mark.encode(), "json", "yaml", restored="true")

    def test_numbers_of_marks_are_no_bombs(self) -> None:
        text = f'{{"a":{{"$integer":"{"9" * 100_000}"}}}}'.encode()
        with bounded(), pytest.raises(HeadwaterError):
            converted(text, "json", "json", restored="true")
        assert Decimal(value_of(b'{"$decimal":"1e999999"}', "json")["$decimal"]).is_finite()
