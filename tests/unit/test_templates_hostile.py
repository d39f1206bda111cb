"""Templates that carry what may run, fetch or swell are refused before anything is made of them."""

import contextlib
import io
import re
import zipfile
from random import Random
from typing import Any

import openpyxl
import pytest
from openpyxl.formatting.rule import FormulaRule
from openpyxl.worksheet.datavalidation import DataValidation

from bounded_contexts.documents.domain.errors import TooLarge, Unreadable
from shared_kernel.errors import Refused
from tests.unit.templated import W, book, filled, kind_of, letter, parts_of, related, repacked, saved, with_body

PLAIN = letter("{{name}}")
SHEET = saved(book(S=[["{{#each l as x}}{{x}}", "=A1", "{{/each}}"], ["=SUM(A1)", "{{l}}"]], T=[["=S!A1"]]))
TYPES = "[Content_Types].xml"


def field(code: str) -> str:
    inner = code.replace("<", "&lt;")
    run = '<w:r><w:fldChar w:fldCharType="{}"/></w:r>'
    return f"<w:p>{run.format('begin')}<w:r><w:instrText>{inner}</w:instrText></w:r>{run.format('end')}</w:p>"


def named(part: str, content_type: str) -> dict[str, Any]:
    return {part: "x", TYPES: ("</Types>", f'<Override PartName="/{part}" ContentType="{content_type}"/></Types>')}


NESTED = (
    '<w:p><w:r><w:fldChar w:fldCharType="begin"/></w:r><w:r><w:fldChar w:fldCharType="begin"/></w:r>'
    '<w:r><w:instrText>QUOTE 68 68 69</w:instrText></w:r><w:r><w:fldChar w:fldCharType="end"/></w:r>'
    '<w:r><w:instrText> cmd</w:instrText></w:r><w:r><w:fldChar w:fldCharType="end"/></w:r></w:p>'
)
LINKED = NESTED.replace(
    'Type="begin"/></w:r><w:r>', 'Type="begin"/></w:r><w:r><w:instrText>HYPERLINK </w:instrText></w:r><w:r>', 1
)
V = 'xmlns:v="urn:schemas-microsoft-com:vml"'
HOSTILE = {
    "macros": repacked(PLAIN, named("word/vbaProject.bin", "application/vnd.ms-office.vbaProject")),
    "a document with macros": repacked(
        PLAIN,
        {
            TYPES: (
                r"application/vnd\.openxml[^\"]*document\.main\+xml",
                "application/vnd.ms-word.document.macroEnabled.main+xml",
            )
        },
    ),
    "controls": repacked(PLAIN, named("word/activeX/activeX1.xml", "application/vnd.ms-office.activeX+xml")),
    "an embedded object": repacked(PLAIN, related("oleObject", "embeddings/o.bin")),
    "an embedded package": repacked(PLAIN, related("package", "embeddings/o.xlsx")),
    "a chunk of another format": repacked(PLAIN, related("aFChunk", "chunk.html")),
    "a template elsewhere": repacked(PLAIN, related("attachedTemplate", "https://example.org/x.dotm", external=True)),
    "an image elsewhere": repacked(PLAIN, related("image", "https://example.org/x.png", external=True)),
    "a link to a file": repacked(PLAIN, related("hyperlink", "file:///etc/passwd", external=True)),
    "a script link": repacked(PLAIN, related("hyperlink", "javascript:alert(1)", external=True)),
    "DDE": with_body(PLAIN, field(' DDEAUTO c:\\\\cmd.exe "/k calc"')),
    "an included file": with_body(PLAIN, field('INCLUDETEXT "/etc/passwd"')),
    "an included picture": with_body(PLAIN, '<w:p><w:fldSimple w:instr="INCLUDEPICTURE http://x"/></w:p>'),
    "a field made by a field": with_body(PLAIN, NESTED),
    "a field that links to a file": with_body(PLAIN, field('HYPERLINK "\\\\\\\\server\\\\share"')),
    "an address made by a field": with_body(PLAIN, LINKED),
    "a link without a space": with_body(PLAIN, field('HYPERLINK"file:///etc/passwd"')),
    "a link behind a place": with_body(PLAIN, field('HYPERLINK \\l "x" "file:///etc/passwd"')),
    "a field that was deleted": with_body(PLAIN, field("INCLUDETEXT x").replace("instrText", "delInstrText")),
    "a shape that links to a file": with_body(
        PLAIN, f'<w:p><w:r><w:pict><v:shape {V} href="file:///x"/></w:pict></w:r></w:p>'
    ),
    "a shape that shows a file": with_body(PLAIN, f'<w:p><w:r><w:pict><v:fill {V} src="//x/y"/></w:pict></w:r></w:p>'),
    "a field in building blocks": repacked(
        PLAIN,
        related("glossaryDocument", "blocks.xml")
        | {"word/blocks.xml": f"<w:glossaryDocument {W}>{field('INCLUDETEXT x')}</w:glossaryDocument>"},
    ),
    "a header of another type": repacked(
        PLAIN, related("header", "h.xml") | {"word/h.xml": f"<w:hdr {W}>{field('INCLUDETEXT x')}</w:hdr>"}
    ),
    "letters out of a database": repacked(
        PLAIN, {"word/settings.xml": ("</w:settings>", "<w:mailMerge><w:query/></w:mailMerge></w:settings>")}
    ),
    "an object": with_body(PLAIN, f"<w:p {W}><w:r><w:object/></w:r></w:p>"),
}


@pytest.mark.parametrize("name", HOSTILE)
def test_what_may_run_or_fetch_something_is_refused(name: str) -> None:
    with pytest.raises(Unreadable) as refused:
        kind_of(HOSTILE[name])

    assert refused.value.code == "not_allowed_part", name


ACTIVE = (
    'HYPERLINK("file:///etc/passwd","x")',
    "HYPERLINK(A1)",
    'HYPERLINK("#"&A1)',
    r'_xlfn.HYPERLINK("\\server\share")',
    "[1]Other!A1",
    "'[1]Other one'!A1",
    "_xlfn.PY(1)",
    "cmd|'/c calc'!A1",
    'WEBSERVICE("https://example.org")',
)


@pytest.mark.parametrize("formula", ACTIVE)
def test_a_formula_that_leads_outside_is_refused_wherever_it_stands(formula: str) -> None:
    made = openpyxl.load_workbook(io.BytesIO(SHEET))
    made["T"]["B1"] = "=" + formula
    in_cell = saved(made)
    made["T"]["B1"] = None
    made["T"].conditional_formatting.add("A1", FormulaRule(formula=[formula]))  # type: ignore[no-untyped-call]
    in_format = saved(made)
    made = openpyxl.load_workbook(io.BytesIO(SHEET))
    made["T"].add_data_validation(DataValidation("custom", formula, sqref="A1"))

    for template in (in_cell, in_format, saved(made)):
        with pytest.raises(Unreadable) as refused:
            kind_of(template)
        assert refused.value.code == "not_allowed_part"


@pytest.mark.parametrize(
    "formula",
    [
        'HYPERLINK("https://example.org/"&A1,"x")',
        "HYPERLINK(\"#'T'!A1\")",
        "SUM(Sales[Sum])",
        "\"]x!\"&'S'!A1",
        "COPY(1)",
    ],
)
def test_a_formula_that_stays_inside_or_says_the_scheme_of_its_link_is_kept(formula: str) -> None:
    assert kind_of(saved(book(S=[["=" + formula]]))) == "xlsx"


@pytest.mark.parametrize(
    ("code", "links"), [("docx", related("hyperlink", "https://example.org", external=True)), ("docx", {})]
)
def test_what_only_shows_something_is_kept(code: str, links: dict[str, Any]) -> None:
    fields = field(" PAGE ") + field('HYPERLINK "https://example.org"') + field("TOC \\o") + field("= 1 + 2")
    fields += field('HYPERLINK \\l "_Toc1" \\h') + field('HYPERLINK "https://example.org" \\o "a tip" \\t "_blank"')

    assert kind_of(repacked(with_body(PLAIN, fields), links)) == code


@pytest.mark.parametrize(
    ("data", "code"),
    [
        (b"PK\x03\x04 nothing", "bad_template"),
        (b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1", "encrypted"),
        (repacked(PLAIN, {"word/document.xml": '<!DOCTYPE x [<!ENTITY e "x">]><x>&e;</x>'}), "dtd_not_allowed"),
        (repacked(PLAIN, {"word/document.xml": f"<w:document {W}><w:body>"}), "bad_template"),
        (repacked(PLAIN, {"word/document.xml": "<document/>"}), "bad_template"),
        (repacked(PLAIN, {TYPES: "<Types/>"}), "bad_template"),
        (b"PK\x03\x04" + PLAIN[4:200], "bad_template"),
    ],
)
def test_what_is_no_template_is_said_so(data: bytes, code: str) -> None:
    with pytest.raises(Unreadable) as refused:
        kind_of(data)

    assert refused.value.code == code


def test_a_package_that_swells_is_refused_before_it_is_inflated() -> None:
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("word/document.xml", b" " * (40 << 20))

    with pytest.raises(TooLarge, match="inflation"):
        kind_of(stream.getvalue())


@pytest.mark.parametrize("kind", ["docx", "xlsx"])
def test_whatever_is_changed_in_a_template_is_refused_or_filled_in(kind: str) -> None:
    random = Random(7)
    template = letter("{{#each l as x}}{{x}}{{/each}}") if kind == "docx" else SHEET
    parts = parts_of(template)
    names = [name for name in parts if "theme" not in name and b"<" in parts[name]]

    for _ in range(60):
        name = random.choice(names)
        words = re.findall(r'"[^"]*"|<[^ >/]+|[0-9]+', parts[name].decode("latin-1"))
        old, new = random.choice(words), random.choice([*words, "", "99999999", "x"])
        changed = repacked(template, {name: (re.escape(old), new)})
        with contextlib.suppress(Refused):
            filled(changed, {"l": ["a", {"$date": "2026-03-04"}]})


def test_a_condition_is_turned_round_so_often_and_no_more() -> None:
    with pytest.raises(Unreadable, match="not"):
        kind_of(letter("{{#if " + "not " * 3_000 + "ok}}x{{/if}}"))
