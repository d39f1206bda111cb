"""Backgrounds, image watermarks and stamps of pages: each is in the file once for a size of paper, and pages name it."""

from collections.abc import Iterable
from dataclasses import replace

from bounded_contexts.documents.adapters.engines import pdf_drawings, stamps
from bounded_contexts.documents.adapters.engines.canvas import Sheets
from bounded_contexts.documents.adapters.engines.lines import Breaker
from bounded_contexts.documents.domain.rendering.blocks import Image, Page
from bounded_contexts.documents.domain.rendering.marks import Mark, box_of


class PageMarks:
    """Puts marks on pages while they are made, and draws them once all pages are there."""

    def __init__(self, marks: tuple[Mark, ...], sheets: Sheets, breaker: Breaker) -> None:
        self._marks, self._sheets, self._breaker = marks, sheets, breaker
        self._placed: dict[str, tuple[Mark, Page]] = {}

    def below(self, page: Page) -> None:
        """Put what is below all else on a page that begins."""
        self._put([mark for mark in self._marks if mark.kind != "stamp"], page)

    def above(self, page: Page, *, is_first: bool, is_last: bool) -> None:
        """Put what is above all else on a page that ends."""
        known = {"all"} | ({"first"} if is_first else set()) | ({"last"} if is_last else set())
        self._put([mark for mark in self._marks if mark.kind == "stamp" and mark.pages in known], page)

    def draw(self) -> None:
        """Draw what was put."""
        for name, (mark, page) in self._placed.items():
            if mark.image is not None:
                self._sheets.define(_sized(mark.image, mark, page))  # a form by itself, which is no part of another
            self._sheets.begin_form(name, page)
            self._draw(mark, page)
            self._sheets.end_form()

    def _put(self, marks: Iterable[Mark], page: Page) -> None:
        if self._sheets.silent:
            return
        for mark in marks:
            name = f"mark-{self._marks.index(mark)}-{page.width:.2f}-{page.height:.2f}"
            self._placed[name] = mark, page
            self._sheets.place_form(name)

    def _draw(self, mark: Mark, page: Page) -> None:
        box = box_of(mark, page, *stamps.size_of(mark, self._breaker))
        if mark.image is None and not mark.text:
            self._sheets.box(0.0, 0.0, box.width, box.height, mark.color)
            return
        with self._sheets.turned(box.x + box.width / 2, page.height - box.y - box.height / 2, mark.angle):
            x, y = -box.width / 2, -box.height / 2
            if mark.image is not None:
                self._sheets.image(_sized(mark.image, mark, page), x, y)
            else:
                drawn = stamps.stamp(mark, self._breaker, mark.text)
                pdf_drawings.draw(drawn, self._sheets, self._breaker, x, y)


def _sized(image: Image, mark: Mark, page: Page) -> Image:
    box = box_of(mark, page, image.width, image.height)
    return replace(image, width=box.width, height=box.height)
