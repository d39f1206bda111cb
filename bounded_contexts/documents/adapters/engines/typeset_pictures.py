"""Images, barcodes and charts as files that Typst reads."""

import hashlib
from dataclasses import replace
from typing import Final

from bounded_contexts.documents.adapters.engines import chart_drawing
from bounded_contexts.documents.adapters.engines.barcodes import drawing
from bounded_contexts.documents.adapters.engines.drawing import Drawing, Label
from bounded_contexts.documents.adapters.engines.lines import Breaker
from bounded_contexts.documents.adapters.engines.pdf_letterhead import scale_of
from bounded_contexts.documents.adapters.engines.pdf_pages import opened
from bounded_contexts.documents.adapters.engines.svg import svg
from bounded_contexts.documents.adapters.engines.typeset_texts import Json, Texts
from bounded_contexts.documents.domain.rendering.blocks import Barcode, Image, Page, Run, Style
from bounded_contexts.documents.domain.rendering.charts import Chart
from bounded_contexts.documents.domain.rendering.letterheads import Letterhead
from bounded_contexts.documents.domain.rendering.standards import Profile

BELOW: Final = 4.0


class Pictures:
    """Makes pictures; `files` are what they name."""

    def __init__(self, texts: Texts, profile: Profile) -> None:
        self._texts, self._profile = texts, profile
        self.files: dict[str, bytes] = {}
        self._breaker = Breaker()

    def of(self, block: Image | Barcode | Chart, page: Page) -> Json:
        """Return it in the size that fits on a page. Raise `Unwritable`, `TooLarge`."""
        name = self.file_of(block) if isinstance(block, Image) else self.file(svg(self._drawing(block)), "svg")
        if not block.alt.strip() and self._profile.is_accessible:
            self._texts.refuse("missing_alt", "what is no text needs one that stands for it")
        room = page.width - page.left - page.right, page.height - page.top - page.bottom
        scale = min(1.0, room[0] / block.width, room[1] / block.height)
        return {
            "kind": "image",
            "gap": 0.0,
            "below": BELOW,
            "file": name,
            "width": block.width * scale,
            "height": block.height * scale,
            "alt": block.alt.strip() or None,
            "align": block.align,
        }

    def file_of(self, image: Image) -> str:
        """Return the name of an image's file."""
        if image.vector:
            return self.file(image.vector.svg, "svg")
        return self.file(image.data, image.media_type[6:])

    def letterhead(self, letterhead: Letterhead | None, page: Page) -> Json | None:
        """Return what pages of a size have below them. Raise as `pdf_pages.opened` does."""
        if letterhead is None:
            return None
        sheets = [(found.sides, scale_of(found, page)) for found in opened(letterhead.file)]
        return {
            "file": self.file(letterhead.file, "pdf"),
            "first": letterhead.is_on(is_first=True),
            "other": letterhead.is_on(is_first=False),
            "sheets": [
                {"page": number, "width": width * scale, "height": height * scale}
                for number, ((width, height), scale) in enumerate(sheets, 1)
            ],
        }

    def file(self, data: bytes, ending: str) -> str:
        """Return the name of a file, which is there once."""
        name = f"{hashlib.sha256(data).hexdigest()[:32]}.{ending}"
        self.files[name] = data
        return name

    def _drawing(self, block: Barcode | Chart) -> Drawing:
        drawn = drawing(block) if isinstance(block, Barcode) else chart_drawing.drawing(block, self._measure)
        labelled = [
            replace(each, text=self._texts.shown(each.text)) if isinstance(each, Label) else each
            for each in drawn.shapes
        ]
        return replace(drawn, shapes=tuple(labelled))

    def _measure(self, text: str, size: float) -> float:
        return self._breaker.natural((Run(text, Style(size=size)),))
