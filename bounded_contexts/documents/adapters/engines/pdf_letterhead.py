"""Letterheads below pages of PDF: each page of theirs is in the file once for a size of paper, and pages name it."""

from typing import TYPE_CHECKING

from bounded_contexts.documents.adapters.engines.canvas import Sheets
from bounded_contexts.documents.domain.rendering.blocks import Page
from bounded_contexts.documents.domain.rendering.letterheads import Letterhead

if TYPE_CHECKING:
    from bounded_contexts.documents.adapters.engines.pdf_pages import ForeignPage


class PageLetterhead:
    """Puts a letterhead on pages while they are made, and draws it once all pages are there."""

    def __init__(self, letterhead: Letterhead | None, sheets: Sheets) -> None:
        self._letterhead, self._sheets = letterhead, sheets
        self._placed: dict[str, tuple[ForeignPage, Page]] = {}

    def put(self, page: Page, *, is_first: bool) -> None:
        """Put what a page has of it. Raise as `pdf_pages.opened` does."""
        if self._letterhead is None or self._sheets.silent or not self._letterhead.is_on(is_first=is_first):
            return
        from bounded_contexts.documents.adapters.engines.pdf_pages import opened

        pages = opened(self._letterhead.file)
        number = 0 if is_first else len(pages) - 1
        name = f"letterhead-{number}-{page.width:.2f}-{page.height:.2f}"
        self._placed[name] = pages[number], page
        self._sheets.place_form(name)

    def draw(self) -> None:
        """Draw what was put."""
        if self._letterhead is None:
            return
        for name, (found, page) in self._placed.items():
            matrix = found.matrix(scale_of(found, page), page.height)
            self._sheets.import_form(name, self._letterhead.file, found, matrix)


def scale_of(found: "ForeignPage", page: Page) -> float:
    """Return how much as large a page of a letterhead is, so that all of it is on the paper."""
    width, height = found.sides
    return min(page.width / width, page.height / height)
