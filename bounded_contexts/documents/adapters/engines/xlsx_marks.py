"""Watermarks of workbooks, which have none of their own: an image in the header, as high as the paper, is below the cells."""

import io
from collections.abc import Iterator
from functools import lru_cache
from typing import Any, Final

import pymupdf_fonts
from PIL import Image as Raster
from PIL import ImageColor, ImageDraw, ImageFont

from bounded_contexts.documents.adapters.engines.fonts import FILES
from bounded_contexts.documents.domain.rendering.blocks import Page, Resolved, Watermark
from bounded_contexts.documents.domain.rendering.marks import Mark, box_of

HEADER: Final = 0.3  # inches from the paper's upper edge to its header
PIXELS: Final = 1_000_000  # of the image, at most
FINE: Final = 96.0  # dots an inch
_POINTS: Final = 72.0
_WIDEST: Final = 0.7  # of the paper's shorter side, for a text
_LARGEST: Final = 160.0  # points, for a text


def picture(resolved: Resolved, page: Page) -> dict[str, Any]:
    """Return what a header takes for the image of a page of this size; nothing where there is no watermark."""
    marks = tuple(mark for mark in resolved.marks if mark.kind == "watermark")
    if resolved.watermark is None and not marks:
        return {}
    height = page.height - 2 * HEADER * _POINTS  # as far from the lower edge: its middle is the paper's
    data = _drawn(page.width, height, resolved.watermark, marks)
    return {"image_center": "watermark", "image_data_center": io.BytesIO(data), "scale_with_doc": False}


@lru_cache(maxsize=8)
def _drawn(width: float, height: float, text: Watermark | None, marks: tuple[Mark, ...]) -> bytes:
    """Return a PNG of that many points, which is clear but for the watermarks."""
    fine = min(FINE / _POINTS, (PIXELS / (width * height)) ** 0.5)  # pixels of a point
    paper = Raster.new("RGBA", (max(round(width * fine), 1), max(round(height * fine), 1)))
    for one, angle in _ones(Page(width, height), fine, text, marks):
        turned = one.rotate(angle, Raster.Resampling.BICUBIC, expand=True)
        layer = Raster.new("RGBA", paper.size)
        layer.paste(turned, ((paper.width - turned.width) // 2, (paper.height - turned.height) // 2))
        paper = Raster.alpha_composite(paper, layer)
    out = io.BytesIO()
    paper.save(out, "PNG", dpi=(fine * _POINTS, fine * _POINTS))
    return out.getvalue()


def _ones(
    page: Page, fine: float, text: Watermark | None, marks: tuple[Mark, ...]
) -> Iterator[tuple[Raster.Image, float]]:
    if text is not None and text.text.strip():
        yield _written(text, _WIDEST * min(page.width, page.height) * fine, _LARGEST * fine), text.angle
    for mark in marks:
        if mark.image is not None:
            box = box_of(mark, page, mark.image.width, mark.image.height)
            with Raster.open(io.BytesIO(mark.image.data), formats=["PNG", "JPEG"]) as image:
                size = max(round(box.width * fine), 1), max(round(box.height * fine), 1)
                yield image.convert("RGBA").resize(size, Raster.Resampling.BICUBIC), mark.angle


def _written(mark: Watermark, room: float, largest: float) -> Raster.Image:
    file = pymupdf_fonts.myfont(FILES["sans", True, False])
    natural = ImageFont.truetype(io.BytesIO(file), 10.0, layout_engine=ImageFont.Layout.BASIC).getlength(mark.text)
    size = max(min(10.0 * room / max(natural, 1.0), largest), 1.0)
    font = ImageFont.truetype(io.BytesIO(file), size, layout_engine=ImageFont.Layout.BASIC)
    left, top, right, bottom = font.getbbox(mark.text)
    image = Raster.new("RGBA", (max(round(right - left), 1), max(round(bottom - top), 1)))
    color = (*ImageColor.getrgb(mark.color)[:3], round(255 * mark.opacity))
    ImageDraw.Draw(image).text((-left, -top), mark.text, fill=color, font=font)
    return image.crop(image.getbbox())  # its middle is that of what is seen
