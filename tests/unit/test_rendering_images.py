"""Images of every kind in every target, and what an SVG may not hold."""

import io
import zipfile
from typing import Any

import pypdf
import pytest
from PIL import Image

from bounded_contexts.documents.adapters.engines.rendering import check
from bounded_contexts.documents.domain.errors import TooLarge, Unwritable
from bounded_contexts.documents.domain.rendering.fidelity import TARGETS, Target
from bounded_contexts.documents.domain.rendering.images import pixels
from bounded_contexts.documents.domain.rendering.limits import RenderLimits
from bounded_contexts.documents.domain.rendering.problems import Invalid
from tests.unit.rendered import book, images, page, pdf, pdf_text, png, rendered, source, uri, word

LOGO = b"""<?xml version="1.0"?>
<!-- drawn by hand -->
<svg xmlns="http://www.w3.org/2000/svg" xmlns:ink="http://www.inkscape.org/x" width="20mm" height="10mm" viewBox="0 0 40 20"
  ink:version="1.3" data-name="logo"><title>Logo</title><metadata><x onload="a"/></metadata><ink:view ink:zoom="2"/>
  <g transform="translate(0,0)"><rect width="20" height="20" fill="#ff0000"/>
  <path d="M20 0 h20 v20 h-20 z" style="fill:#0000ff;stroke:none"/></g></svg>"""
SHADED = LOGO.replace(
    b"<g ",
    b'<defs><linearGradient id="a"><stop offset="0" stop-color="#f00"/></linearGradient></defs><g fill="url(#a)" ',
)


def webp(mode: str = "RGB", **how: Any) -> bytes:
    out = io.BytesIO()
    color = (0, 128, 255, 128)[: len(mode)]
    Image.new(mode, (30, 20), color).save(out, "WEBP", **how)
    return out.getvalue()


def shown(data: bytes, kind: str, **more: Any) -> bytes:
    return source({"type": "image", "alt": "Logo", "data": uri(data, kind), **more})


@pytest.mark.parametrize("kind", [("RGB", {}), ("RGB", {"lossless": True}), ("RGBA", {}), ("RGBA", {"lossless": True})])
def test_webp_is_shown_in_every_target(kind: tuple[str, dict[str, Any]]) -> None:
    data = shown(webp(kind[0], **kind[1]), "webp", width="30mm")

    assert [image.image.size for image in pdf(data).pages[0].images if image.image] == [(30, 20)]
    for target in ("docx", "xlsx"):
        (found,) = images(data, target)
        assert (found.size, found.mode) == ((30, 20), kind[0])
    assert [(round(each.width.mm), round(each.height.mm)) for each in word(data).inline_shapes] == [(30, 20)]


@pytest.mark.parametrize("data", [webp(), webp("RGBA"), webp(lossless=True), webp("RGBA", lossless=True)])
def test_how_large_a_webp_is_is_known_without_decoding_it(data: bytes) -> None:
    assert pixels(data, RenderLimits()) == ("image/webp", 30, 20)
    with pytest.raises(TooLarge):
        pixels(data, RenderLimits(image_pixels=599))


def test_an_svg_is_drawn_as_vectors_and_is_with_its_image_elsewhere() -> None:
    data = shown(LOGO, "svg+xml", width="40mm")
    seen = page(data, 72).crop((51, 57, 51 + 113, 57 + 56))

    assert not pdf(data).pages[0].images
    assert (seen.getpixel((20, 20)), seen.getpixel((90, 20))) == ((255, 0, 0), (0, 0, 255))
    with zipfile.ZipFile(io.BytesIO(rendered(data, "docx")[0])) as package:
        (name,) = [each for each in package.namelist() if each.endswith(".svg")]
        clean, document = package.read(name), package.read("word/document.xml")
    assert b"asvg:svgBlip" in document
    assert not [each for each in (b"onload", b"ink:", b"Logo", b"data-name") if each in clean]
    for target in ("docx", "xlsx"):
        (image,) = images(data, target)
        assert image.size == (472, 236)
        assert (image.convert("RGB").getpixel((100, 100)), image.convert("RGB").getpixel((400, 100))) == (
            (255, 0, 0),
            (0, 0, 255),
        )
    assert [round(each.width.mm) for each in word(data).inline_shapes] == [40]


def test_an_svg_with_gradients_is_an_image_in_pdf() -> None:
    assert len(pdf(shown(SHADED, "svg+xml")).pages[0].images) == 1


def test_an_svg_has_the_size_that_it_says() -> None:
    small = LOGO.replace(b'width="20mm" height="10mm" ', b"")

    sizes = [[round(each.width.mm, 1) for each in word(shown(data, "svg+xml")).inline_shapes] for data in (LOGO, small)]

    assert sizes == [[20.0], [10.6]]


@pytest.mark.parametrize(
    "inside",
    [
        b"<script>alert(1)</script>",
        b'<rect width="1" height="1" onclick="a()"/>',
        b'<image href="http://localhost/x.png"/>',
        b'<use href="#a"/>',
        b'<g xmlns:xlink="http://www.w3.org/1999/xlink" xlink:href="file:///etc/passwd"/>',
        b'<rect style="fill:url(http://localhost/x)"/>',
        b"<rect fill='url(data:x)'/>",
        b'<rect style="background:expression(1)"/>',
        b"<style>@import 'x'</style>",
        b"<foreignObject/>",
        b"<text>a</text>",
        b'<g filter="url(#a)"/>',
        b"<animate/>",
        b"&a;",
        b"<g>" * 70 + b"</g>" * 70,
        b"<g/>" * 20_001,
        b"<g>",
    ],
)
def test_what_runs_fetches_or_grows_is_refused_with_its_place(inside: bytes) -> None:
    with pytest.raises(Invalid) as refused:
        check(shown(LOGO.replace(b"<g ", inside + b"<g "), "svg+xml"))

    assert [(each.pointer, each.code) for each in refused.value.problems] == [("/body/0/data", "bad_image")]


@pytest.mark.parametrize(
    "head",
    [
        b'<!DOCTYPE svg [<!ENTITY a "b">]>',
        b'<!DOCTYPE svg [<!ENTITY % a SYSTEM "file:///etc/passwd"> %a;]>',
        b"<html/>",
    ],
)
def test_an_svg_declares_no_entities(head: bytes) -> None:
    with pytest.raises(Invalid):
        check(shown(LOGO.replace(b'<?xml version="1.0"?>', head), "svg+xml"))


def test_assets_are_of_every_kind() -> None:
    kinds = {"png": png(4, 4), "webp": webp(), "svg+xml": LOGO}
    for kind, data in kinds.items():
        asset = {"mediaType": f"image/{kind}", "data": uri(data, kind).partition(",")[2]}
        made = source({"type": "image", "alt": "", "asset": "a"}, assets={"a": asset})
        assert len(book(made).worksheets[0]._images) == 1


def test_an_image_fits_into_a_box_without_being_stretched() -> None:
    sides = [
        [
            (round(each.width.mm), round(each.height.mm))
            for each in word(shown(png(40, 20), "png", **more)).inline_shapes
        ]
        for more in ({"fit": "contain"}, {"fit": "fill"}, {})
        for more in [{"width": "30mm", "height": "30mm", **more}]
    ]

    assert sides == [[(30, 15)], [(30, 30)], [(30, 30)]]


def test_a_caption_stands_below_and_on_one_page_with_its_image() -> None:
    image = {"type": "image", "alt": "", "data": uri(png(4, 4)), "caption": "Figure {{n}}", "height": "60mm"}
    code = {"type": "barcode", "symbology": "qr", "value": "x", "alt": "", "caption": "Code", "size": "60mm"}
    data = source(
        {"type": "spacer", "height": "205mm"}, image, {"type": "spacer", "height": "160mm"}, code, data={"n": 1}
    )

    assert [each.extract_text().strip() for each in pdf(data).pages] == ["", "Figure 1", "Code"]
    assert [each.text for each in word(data).paragraphs if each.text] == ["Figure 1", "Code"]
    assert "Figure 1" in [cell.value for cell in book(data).worksheets[0]["A"]]


@pytest.mark.parametrize("target", TARGETS)
@pytest.mark.parametrize("kind", ["webp", "png", "jpeg"])
def test_an_image_that_ends_early_is_refused(target: Target, kind: str) -> None:
    out = io.BytesIO()
    Image.effect_noise((40, 40), 50).convert("RGB").save(out, kind)

    assert rendered(shown(out.getvalue(), kind), target)[0]
    with pytest.raises(Unwritable, match="bad_image"):
        rendered(shown(out.getvalue()[:500], kind), target)


@pytest.mark.parametrize("target", TARGETS)
def test_paths_that_are_none_are_not_drawn(target: Target) -> None:
    assert rendered(shown(LOGO.replace(b"M20 0 h20", b"M20 q"), "svg+xml"), target)[0]


@pytest.mark.parametrize("target", TARGETS)
def test_images_are_the_same_bytes_each_time(target: Target) -> None:
    for data, kind in ((LOGO, "svg+xml"), (SHADED, "svg+xml"), (webp("RGBA"), "webp")):
        assert rendered(shown(data, kind), target)[0] == rendered(shown(data, kind), target)[0]


def test_nothing_of_an_svg_is_text_in_pdf() -> None:
    assert pdf_text(shown(LOGO, "svg+xml")) == ""
    assert isinstance(pdf(shown(LOGO, "svg+xml")), pypdf.PdfReader)


@pytest.mark.parametrize("charset", [b"UTF-7", b"Shift_JIS", b"nothing"])
def test_an_svg_in_a_charset_that_is_not_read_is_refused(charset: bytes) -> None:
    with pytest.raises(Invalid) as refused:
        check(shown(LOGO.replace(b'"1.0"', b'"1.0" encoding="' + charset + b'"', 1), "svg+xml"))

    assert [each.code for each in refused.value.problems] == ["bad_image"]


@pytest.mark.parametrize("number", [b"NaN", b"inf", b"1e999", b"9" * 400])
@pytest.mark.parametrize("target", TARGETS)
def test_a_number_without_end_in_an_svg_leaves_its_shape_out(number: bytes, target: Target) -> None:
    for drawing in (LOGO.replace(b'rect width="20"', b'rect width="' + number + b'"'), LOGO.replace(b"0,0", number)):
        assert rendered(shown(drawing, "svg+xml"), target)[0]
