"""Marks of pages as typeset.typ takes them: files in their places."""

from bounded_contexts.documents.adapters.engines import stamps
from bounded_contexts.documents.adapters.engines.lines import Breaker
from bounded_contexts.documents.adapters.engines.svg import svg
from bounded_contexts.documents.adapters.engines.typeset_pictures import Pictures
from bounded_contexts.documents.adapters.engines.typeset_texts import Json, Texts
from bounded_contexts.documents.domain.rendering.blocks import Page, Style, Watermark
from bounded_contexts.documents.domain.rendering.marks import Mark, box_of


class Marks:
    """Makes them; their files are among those of the pictures."""

    def __init__(self, marks: tuple[Mark, ...], texts: Texts, pictures: Pictures) -> None:
        self._marks, self._texts, self._pictures = marks, texts, pictures
        self._breaker = Breaker()
        self._files: dict[Mark, str] = {}

    def of_page(self, page: Page) -> list[Json]:
        """Return the marks that pages of a size have."""
        return [self._made(mark, page) for mark in self._marks]

    def word(self, mark: Watermark | None) -> Json | None:
        """Return a watermark of text."""
        if mark is None:
            return None
        style = self._texts.style(Style(size=10.0, bold=True, color=mark.color))
        text = self._texts.shown(mark.text, "/watermark/text")
        return {"text": text, "style": style, "color": mark.color, "opacity": mark.opacity, "angle": mark.angle}

    def _made(self, mark: Mark, page: Page) -> Json:
        box = box_of(mark, page, *stamps.size_of(mark, self._breaker))
        return {
            "above": mark.kind == "stamp",
            "pages": mark.pages,
            "color": mark.color if mark.image is None and not mark.text else None,
            "file": self._file(mark),
            "alt": mark.text or mark.kind,  # Typst wants one, of what nobody has read out too
            "x": box.x,
            "y": box.y,
            "width": box.width,
            "height": box.height,
            "angle": mark.angle,
        }

    def _file(self, mark: Mark) -> str | None:
        if mark.image is None and not mark.text:
            return None
        if mark not in self._files:
            if mark.image is not None:
                self._files[mark] = self._pictures.file_of(mark.image)
            else:
                drawn = stamps.stamp(mark, self._breaker, self._texts.shown(mark.text, "/stamps"))
                self._files[mark] = self._pictures.file(svg(drawn), "svg")
        return self._files[mark]
