"""Documents that use stored assets: in every target, and what becomes of those that are not there."""

import base64
import io
import json
from typing import Any

import pytest
from PIL import Image

from bounded_contexts.documents.adapters.asset_instructions import packed
from bounded_contexts.documents.adapters.engines.examining import examined
from bounded_contexts.documents.adapters.engines.rendering import Rendering, check, render
from bounded_contexts.documents.adapters.render_messages import Examine, Examined, Find, Found, Render, Wrong
from bounded_contexts.documents.adapters.template_instructions import Templated
from bounded_contexts.documents.adapters.template_instructions import packed as templated
from bounded_contexts.documents.adapters.templates.filling import inspected
from bounded_contexts.documents.domain.asset import MediaType
from bounded_contexts.documents.domain.errors import TooLarge, Unwritable
from bounded_contexts.documents.domain.rendering.fidelity import TARGETS, Target
from bounded_contexts.documents.domain.rendering.limits import RenderLimits
from bounded_contexts.documents.domain.rendering.problems import Invalid
from tests.unit.rendered import png, source, uri
from tests.unit.test_rendering_images import LOGO, webp
from tests.unit.test_template_store import worked

LIMITS = RenderLimits()
IMAGE: dict[str, Any] = {"type": "image", "alt": "Logo", "asset": "logo"}
DOCUMENT = source(IMAGE, assets={"logo": {"stored": "logo@2"}})


def jpeg() -> bytes:
    out = io.BytesIO()
    Image.new("RGB", (30, 20)).save(out, "JPEG")
    return out.getvalue()


def made(document: bytes, target: Target, **assets: bytes) -> bytes:
    given = {name.replace("_", "@"): content for name, content in assets.items()}
    return b"".join(render(document, target, Rendering(assets=given)))


@pytest.mark.parametrize("target", TARGETS)
def test_a_stored_image_is_the_same_as_one_in_the_document(target: Target) -> None:
    for data, kind in ((png(30, 20), "png"), (LOGO, "svg+xml"), (webp(), "webp")):
        same = source(IMAGE | {"data": uri(data, kind)})
        same = json.dumps(
            {**json.loads(same), "body": [{"type": "image", "alt": "Logo", "data": uri(data, kind)}]}
        ).encode()

        assert made(DOCUMENT, target, logo_2=data) == made(same, target)


def test_an_asset_that_is_not_there_is_told_with_its_place() -> None:
    with pytest.raises(Invalid) as error:
        check(DOCUMENT, LIMITS, {"logo": png(1, 1)})

    assert [(each.pointer, each.code) for each in error.value.problems] == [("/assets/logo/stored", "unknown_asset")]


@pytest.mark.parametrize(
    ("asset", "code"),
    [
        ({"stored": "logo", "mediaType": "image/png", "data": "eA=="}, "not_allowed"),
        ({"stored": "../logo"}, "bad_form"),
        ({"stored": "logo", "content": "x"}, "unknown_property"),
        ({"content": "x"}, "missing_property"),
        ({}, "missing_property"),
        ({"mediaType": "image/png"}, "missing_property"),
    ],
)
def test_an_asset_is_stored_or_has_its_data_in_the_document(asset: dict[str, str], code: str) -> None:
    with pytest.raises(Invalid) as error:
        check(source(assets={"logo": asset}), LIMITS, {"logo": png(1, 1)})

    assert code in {each.code for each in error.value.problems}


def test_what_is_stored_and_no_image_cannot_be_shown() -> None:
    with pytest.raises(Invalid) as error:
        made(DOCUMENT, "pdf", logo_2=b"%PDF-1.7")

    assert [(each.pointer, each.code) for each in error.value.problems] == [("/body/0/asset", "bad_image")]


def test_a_worker_takes_assets_with_documents_and_with_templates() -> None:
    asset = {"logo@2": png(30, 20)}
    direct = worked(Render("pdf", LIMITS, 10), packed(DOCUMENT, asset))[0]

    template = json.dumps(json.loads(DOCUMENT)).encode()
    filled = worked(Render("pdf", LIMITS, 10), packed(templated(Templated(template, b"{}")), asset))[0]
    found = worked(Find(("docx",), LIMITS, 10), packed(DOCUMENT, asset))[1]

    assert direct == filled == made(DOCUMENT, "pdf", logo_2=asset["logo@2"])
    assert isinstance(found, Found)
    assert not found.findings.problems
    assert isinstance(worked(Render("pdf", LIMITS, 10), DOCUMENT)[1], Wrong)


def test_a_template_may_be_stored_before_its_assets() -> None:
    assert inspected(DOCUMENT, LIMITS) == ("json", [])


@pytest.mark.parametrize(
    ("media_type", "data", "size"),
    [
        ("image/png", png(30, 20), (30, 20)),
        ("image/jpeg", jpeg(), (30, 20)),
        ("image/webp", webp(), (30, 20)),
        ("image/svg+xml", LOGO, (76, 38)),
    ],
)
def test_an_image_is_what_it_is_said_to_be(media_type: MediaType, data: bytes, size: tuple[int, int]) -> None:
    assert examined(media_type, data, LIMITS) == {"width": size[0], "height": size[1]}
    assert worked(Examine(media_type, LIMITS), data)[1] == Examined({"width": size[0], "height": size[1]})
    other: MediaType = "image/png" if media_type != "image/png" else "image/jpeg"
    with pytest.raises(Unwritable, match=f"not {other}"):
        examined(other, data, LIMITS)


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"<html></html>",
        png(30, 20)[:60],
        png(30, 20).replace(b"IDAT", b"JDAT"),
        LOGO.replace(b"<metadata>", b"<script>1</script><metadata>"),
        LOGO.replace(b"<metadata>", b'<image href="http://x/y.png"/><metadata>'),
    ],
)
def test_what_is_no_image_is_not_stored(data: bytes) -> None:
    kind: MediaType = "image/svg+xml" if b"svg" in data else "image/png"
    with pytest.raises(Unwritable, match=r"image|SVG"):
        examined(kind, data, LIMITS)


def test_an_image_of_too_many_pixels_or_bytes_is_not_decoded() -> None:
    bomb = png(1, 1).replace(b"\0\0\0\x01\0\0\0\x01", b"\0\1\0\0\0\1\0\0")
    with pytest.raises(TooLarge, match="image pixels"):
        examined("image/png", bomb, LIMITS)
    with pytest.raises(TooLarge, match="image bytes"):
        examined("image/png", png(30, 20), RenderLimits(image_bytes=10))


def test_data_of_a_document_is_base64_as_before() -> None:
    asset = {"mediaType": "image/png", "data": base64.b64encode(png(30, 20)).decode()}

    assert made(source(IMAGE, assets={"logo": asset}), "pdf") == made(DOCUMENT, "pdf", logo_2=png(30, 20))
