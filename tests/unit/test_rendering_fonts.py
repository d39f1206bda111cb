"""Fonts that documents bring with them: in every target, and what no font may be."""

import io
import struct
import zipfile
from collections.abc import Callable
from typing import Any

import docx
import openpyxl
import pymupdf_fonts
import pypdf
import pytest
from docx.opc.part import Part
from docx.oxml.ns import qn
from fontTools.fontBuilder import FontBuilder
from fontTools.pens.ttGlyphPen import TTGlyphPen
from fontTools.ttLib import TTFont
from fontTools.ttLib.tables._g_l_y_f import Glyph, GlyphComponent
from fontTools.ttLib.tables.DefaultTable import DefaultTable
from lxml import etree

from bounded_contexts.documents.adapters.engines.examining import examined
from bounded_contexts.documents.adapters.engines.rendering import Rendering, check, render
from bounded_contexts.documents.domain.asset import MediaType
from bounded_contexts.documents.domain.errors import TooLarge, Unwritable
from bounded_contexts.documents.domain.rendering.fidelity import Target
from bounded_contexts.documents.domain.rendering.limits import RenderLimits
from bounded_contexts.documents.domain.rendering.problems import Invalid
from tests.unit.rendered import source

LIMITS = RenderLimits()
UBUNTU, BOLD, FIRA = (pymupdf_fonts.myfont(name) for name in ("ubuntu", "ubuntubo", "fimo"))
ASSETS = {"text": {"stored": "text"}, "bold": {"stored": "bold"}}
FONTS = [{"family": "House", "asset": "text"}, {"family": "House", "asset": "bold", "bold": True}]
PAGE: dict[str, Any] = {
    "type": "paragraph",
    "text": ["Hafen ", {"text": "Grüße", "bold": True}],
    "style": {"font": "House"},
}


def made(target: Target, *body: Any, text: bytes = UBUNTU, **more: Any) -> tuple[bytes, Rendering]:
    rendering = Rendering(assets={"text": text, "bold": BOLD})
    document = source(*(body or (PAGE,)), **{"assets": ASSETS, "fonts": FONTS} | more)
    return b"".join(render(document, target, rendering)), rendering


def fonts(data: bytes) -> dict[str, Any]:
    """Return the fonts that the first page carries by name, with their descriptors."""
    found = {}
    for font in pypdf.PdfReader(io.BytesIO(data)).pages[0]["/Resources"]["/Font"].values():  # type: ignore[index]
        one = font.get_object()
        one = one["/DescendantFonts"][0].get_object() if "/DescendantFonts" in one else one
        if "/FontDescriptor" in one:
            found[str(one["/BaseFont"]).partition("+")[2]] = one["/FontDescriptor"].get_object()
    return found


def text_of(data: bytes) -> str:
    return "".join([page.extract_text() for page in pypdf.PdfReader(io.BytesIO(data)).pages])


def test_a_pdf_carries_a_part_of_the_fonts() -> None:
    data, rendering = made("pdf")

    found = fonts(data)
    assert {"Ubuntu-Regular", "Ubuntu-Bold"} <= set(found)
    assert len(found["Ubuntu-Regular"]["/FontFile2"].get_data()) < len(UBUNTU) / 4
    assert text_of(data) == "Hafen Grüße"
    assert rendering.losses.total == 0
    assert made("pdf")[0] == data


@pytest.mark.parametrize("output", [{"tagged": True}, {"standard": ["a-2b"]}])
def test_typst_sets_the_fonts_by_whatever_name_they_have(output: dict[str, Any]) -> None:
    more: dict[str, Any] = {"output": {"pdf": output}, "meta": {"created": "2026-11-21T10:00:00Z"}}
    data, _ = made("pdf", **more)

    assert len(fonts(data)) == 2
    assert all("/FontFile2" in each for each in fonts(data).values())
    assert all("Ubuntu" in name for name in fonts(data))
    assert text_of(data) == "Hafen Grüße"
    assert made("pdf", **more)[0] == data


def test_a_font_with_other_outlines_is_set_by_typst() -> None:
    data, rendering = made("pdf", text=FIRA)

    assert rendering.losses.notes["engine"] == "typst"
    assert any("Fira" in name and "/FontFile3" in each for name, each in fonts(data).items())


def test_xlsx_names_the_family() -> None:
    book, told = made("xlsx")

    assert openpyxl.load_workbook(io.BytesIO(book)).worksheets[0]["A1"].font.name == "House"
    assert [each.pointer for each in told.losses.to_be_told if "fonts" in each.detail] == ["/fonts"]


def test_docx_carries_whole_fonts_under_the_name_of_their_family() -> None:
    data, told = made("docx")

    word = docx.Document(io.BytesIO(data))
    assert word.paragraphs[0].runs[0].font.name == "House"
    assert told.losses.total == 0
    assert word.settings.element.find(qn("w:embedTrueTypeFonts")) is not None
    listed = next(each.target_part for each in word.part.rels.values() if each.reltype.endswith("/fontTable"))
    (font,) = etree.fromstring(listed.blob)
    assert font.get(qn("w:name")) == "House"
    cuts = {each.tag: carried(listed, each) for each in font}
    assert {tag: (each["name"].getDebugName(1), each["name"].getDebugName(2)) for tag, each in cuts.items()} == {
        qn("w:embedRegular"): ("House", "Regular"),
        qn("w:embedBold"): ("House", "Bold"),
    }
    assert cuts[qn("w:embedRegular")].getGlyphOrder() == TTFont(io.BytesIO(UBUNTU)).getGlyphOrder()
    assert made("docx")[0] == data


def carried(listed: Part, embedded: etree._Element) -> TTFont:
    """Return a font of a package as Word reads it: its first 32 bytes lie under a key, written from its last byte on."""
    data = listed.rels[embedded.attrib[qn("r:id")]].target_part.blob
    key = bytes.fromhex(str(embedded.get(qn("w:fontKey"))).strip("{}").replace("-", ""))[::-1]
    return TTFont(io.BytesIO(bytes([byte ^ key[at % 16] for at, byte in enumerate(data[:32])]) + data[32:]))


@pytest.mark.parametrize("font", ["outlines", "print"])
def test_docx_names_fonts_that_others_cannot_or_may_not_write_with(font: str) -> None:
    file = {"outlines": FIRA, "print": changed(lambda font: setattr(font["OS/2"], "fsType", 0x0004))}[font]
    data, told = made("docx", text=file)

    assert [(each.code, each.pointer) for each in told.losses.to_be_told] == [("font_not_embedded", "/fonts")]
    assert "word/fontTable.xml" not in zipfile.ZipFile(io.BytesIO(data)).namelist()
    with pytest.raises(Unwritable, match="House"):
        made("docx", text=file, strictness="error")


def test_a_list_of_contents_counts_pages_in_the_fonts_of_the_document() -> None:
    body = [{"type": "toc"}, *[{"type": "heading", "level": 1, "text": "x", "style": {"font": "House"}}] * 3]

    for text in (UBUNTU, FIRA):
        assert made("docx", *body, text=text)[0]
        assert "x" in text_of(made("pdf", *body, text=text)[0])


def test_what_a_font_does_not_have_comes_from_another_or_is_told() -> None:
    data, rendering = made("pdf", {**PAGE, "text": "a☑"})
    _, lacking = made("pdf", {**PAGE, "text": "a\U0010fffd"})

    assert "☑" in text_of(data)
    assert rendering.losses.total == 0
    assert dict(lacking.losses.counts) == {"missing_glyph": 1}


def test_styles_have_fonts_that_are_there() -> None:
    wrong = source(
        {**PAGE, "style": {"font": "Other"}},
        {"type": "paragraph", "text": [{"text": "x", "font": "Another"}]},
        styles={"own": {"font": "None"}},
        assets=ASSETS | {"data": {"mediaType": "image/png", "data": ""}},
        fonts=[
            *FONTS,
            FONTS[0],
            {"family": "sans", "asset": "text"},
            {"family": "Lost", "asset": "lost", "italic": True},
            {"family": "Here", "asset": "data"},
        ],
    )

    with pytest.raises(Invalid) as error:
        check(wrong, LIMITS, {"text": UBUNTU, "bold": BOLD})

    assert {(each.pointer, each.code) for each in error.value.problems} >= {
        ("/body/0/style/font", "unknown_font"),
        ("/body/1/text/0/font", "unknown_font"),
        ("/styles/own/font", "unknown_font"),
        ("/fonts/2/family", "not_allowed"),
        ("/fonts/3/family", "not_allowed"),
        ("/fonts/4/asset", "unknown_asset"),
        ("/fonts/5/asset", "not_allowed"),
        ("/fonts", "missing_property"),
    }


@pytest.mark.parametrize(
    ("media_type", "file", "family"), [("font/ttf", UBUNTU, "Ubuntu"), ("font/otf", FIRA, "Fira Mono")]
)
def test_a_font_is_looked_through(media_type: MediaType, file: bytes, family: str) -> None:
    found = examined(media_type, file, LIMITS)

    assert (found["family"], found["style"]) == (family, "Regular")
    assert int(found["glyphs"]) > 1_000


def changed(change: Callable[[Any], None], file: bytes = UBUNTU) -> bytes:
    out = io.BytesIO()
    with TTFont(io.BytesIO(file)) as font:
        change(font)
        font.save(out)
    return out.getvalue()


def built(parts: dict[str, list[str]]) -> bytes:
    """Return a font some of whose glyphs are made of others."""
    names = [".notdef", "a", *[name for name in parts if name != "a"]]
    builder = FontBuilder(1000, isTTF=True)
    builder.setupGlyphOrder(names)
    builder.setupCharacterMap({ord(name[0]): name for name in names[1:]})
    pen = TTGlyphPen(None)
    pen.moveTo((0, 0))
    pen.lineTo((0, 500))
    pen.lineTo((500, 500))
    pen.closePath()
    plain = pen.glyph()
    builder.setupGlyf(dict.fromkeys(names, plain))
    for name, components in parts.items():
        glyph = Glyph()
        glyph.numberOfContours, glyph.components = -1, []
        glyph.xMin = glyph.yMin = glyph.xMax = glyph.yMax = 0
        for each in components:
            part = GlyphComponent()
            part.glyphName, part.x, part.y, part.flags = each, 0, 0, 0x0002
            glyph.components.append(part)
        builder.font["glyf"].glyphs[name] = glyph
    builder.setupHorizontalMetrics(dict.fromkeys(names, (600, 0)))
    builder.setupHorizontalHeader(ascent=800, descent=-200)
    builder.setupNameTable({"familyName": "Built", "styleName": "Regular"})
    builder.setupOS2()
    builder.setupPost()
    builder.font.recalcBBoxes = False
    builder.font["maxp"].recalc = lambda font: None
    out = io.BytesIO()
    builder.font.save(out)
    return out.getvalue()


CIRCLE = {"b": ["c"], "c": ["b"]}
ITSELF = {"b": ["b"]}
LAUGHS = {"b": ["a"] * 20, "c": ["b"] * 20, "d": ["c"] * 20, "e": ["d"] * 20}
STAIRS = {chr(ord("b") + step): [chr(ord("a") + step)] for step in range(20)}


@pytest.mark.parametrize("parts", [CIRCLE, ITSELF, LAUGHS, STAIRS])
def test_a_glyph_is_not_made_of_itself_nor_of_thousands(parts: dict[str, list[str]]) -> None:
    assert examined("font/ttf", built({"b": ["a"], "c": ["a", "b"]}), LIMITS)["glyphs"] == 4
    with pytest.raises(Unwritable, match="made of itself"):
        examined("font/ttf", built(parts), LIMITS)


def spanning(kind: int, groups: int) -> bytes:
    """Return a font whose characters are said to be more than there are."""
    table = struct.pack(">HHHHI", 0, 1, 3, 10, 12)
    if kind == 4:
        ends, starts = struct.pack(">H", 0xFFFF) * groups, struct.pack(">H", 0) * groups
        table += (
            struct.pack(">HHHHHHH", 4, 16 + 8 * groups, 0, 2 * groups, 0, 0, 0) + ends + b"\0\0" + starts + starts * 2
        )
    else:
        table += (
            struct.pack(">HHIII", kind, 0, 16 + 12 * groups, 0, groups) + struct.pack(">III", 0, 2**32 - 1, 0) * groups
        )

    def say(font: Any) -> None:
        font["cmap"] = DefaultTable("cmap")
        font["cmap"].data = table

    return changed(say)


@pytest.mark.parametrize(("kind", "groups"), [(4, 4_000), (12, 1), (13, 1), (12, 50_000)])
def test_a_font_does_not_say_of_more_characters_than_there_are(kind: int, groups: int) -> None:
    with pytest.raises(TooLarge, match="font characters"):
        examined("font/ttf", spanning(kind, groups), LIMITS)


@pytest.mark.parametrize("said", [0x0002, 0x0100, 0x0200, 0x0104])
def test_a_font_that_may_not_be_embedded_is_refused(said: int) -> None:
    def restrict(font: Any) -> None:
        font["OS/2"].fsType = said

    def allow(font: Any) -> None:
        font["OS/2"].fsType = 0x0004

    assert examined("font/ttf", changed(allow), LIMITS)
    with pytest.raises(Unwritable, match="fsType") as error:
        examined("font/ttf", changed(restrict), LIMITS)
    assert error.value.code == "font_not_embeddable"


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"%PDF-1.7",
        b"ttcf" + UBUNTU[4:],
        b"wOF2" + UBUNTU[4:],
        UBUNTU[:3_000],
        UBUNTU[:4] + b"\xff\xff" + UBUNTU[6:],
        changed(lambda font: font.__delitem__("glyf")),
        changed(lambda font: font.__delitem__("cmap")),
        b"\0\1\0\0" + b"\xff" * 5_000,
        UBUNTU[:12] + b"\xff" * 400 + UBUNTU[412:],
        UBUNTU[:-5_000],
    ],
    ids=["empty", "pdf", "collection", "wOF2", "cut", "tables", "no glyphs", "no characters", "noise", "places", "end"],
)
def test_what_is_no_font_is_not_stored(data: bytes) -> None:
    with pytest.raises(Unwritable):
        examined("font/ttf", data, LIMITS)


def test_a_font_is_as_large_as_allowed_and_what_it_is_said_to_be() -> None:
    with pytest.raises(TooLarge, match="font bytes"):
        examined("font/ttf", UBUNTU, RenderLimits(font_bytes=1_000))
    with pytest.raises(Unwritable, match="other outlines"):
        examined("font/ttf", FIRA, LIMITS)


@pytest.mark.parametrize("text", ["😀", "🧾 👩‍🚀 🇪🇺"])
def test_emoji_are_set_in_a_font_that_has_them(text: str) -> None:
    rendering = Rendering()
    data = b"".join(render(source({"type": "paragraph", "text": f"a {text}"}), "pdf", rendering))

    assert rendering.losses.total == 0
    assert any(name.startswith("NotoEmoji") for name in fonts(data))
    assert text_of(data).startswith("a")
