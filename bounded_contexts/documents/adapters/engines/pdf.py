"""PDF: blocks are laid out on pages while they come. docs/adr/0054

Pages are numbered as they are made. What a header or footer says of their number is drawn into each page's place for it at the
end; a body that says it is laid out twice (`rendering.py`).
"""

from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import replace
from typing import Final

from bounded_contexts.documents.adapters.engines import pdf_compound
from bounded_contexts.documents.adapters.engines.canvas import Sheets
from bounded_contexts.documents.adapters.engines.fonts import tell_missing
from bounded_contexts.documents.adapters.engines.lines import Breaker
from bounded_contexts.documents.adapters.engines.pdf_flow import RULE_ROOM, Flow, height_of
from bounded_contexts.documents.domain.errors import TooLarge, Unwritable
from bounded_contexts.documents.domain.rendering.blocks import (
    Block,
    Entry,
    Furniture,
    Image,
    Page,
    Paragraph,
    Resolved,
    Rule,
    Run,
    Section,
    Spacer,
    Style,
    Watermark,
)
from bounded_contexts.documents.domain.rendering.limits import RenderLimits
from bounded_contexts.documents.domain.rendering.telling import Telling

Furnished = Paragraph | Image | Rule | Spacer
Furnishing = tuple[Furnished, ...]
EDGE: Final = 24.0  # from the paper's edge to a header or footer
LEAST_ROOM: Final = 36.0  # points between header and footer


@contextmanager
def laid_out(resolved: Resolved, telling: Telling, limits: RenderLimits, pages: int = 0) -> "Iterator[Layout]":
    """Lay the document out on its pages. `pages` is their number as far as the body says it. Raise `TooLarge`, `Unwritable`."""
    layout = Layout(resolved, telling, limits, pages)
    with closing(layout.sheets):
        layout.run()
        yield layout


def measured(resolved: Resolved, telling: Telling, limits: RenderLimits, pages: int) -> tuple[int, tuple[Entry, ...]]:
    """Return how many pages the document has, and where its headings are, when its body says what `resolved.entries` and
    `pages` do."""
    layout = Layout(resolved, telling, limits, pages)
    layout.sheets.silent = True
    with closing(layout.sheets):
        layout.run()
    return layout.number, tuple(layout.sheets.entries)


class Layout(Flow):
    """The pages of a document."""

    def __init__(self, resolved: Resolved, telling: Telling, limits: RenderLimits, pages: int) -> None:
        breaker = Breaker()
        breaker.fields = self._field
        super().__init__(Sheets(resolved.meta), breaker, resolved.entries, pdf_compound.place)
        self._resolved, self._telling, self._limits, self._pages = resolved, telling, limits, pages
        self._on(resolved.page)
        self._deferred: list[tuple[str, int, Page]] = []

    def run(self) -> None:
        """Lay out everything."""
        self._begin_page()
        self.place_all(self._resolved.body())
        self.sheets.end()
        self._pages = self.number
        for name, number, page in self._deferred:
            self._draw_deferred(name, number, page)

    def written(self) -> Iterator[bytes]:
        """Tell of what the fonts miss, and yield the file."""
        tell_missing(self.missing, self._telling)
        yield from self.sheets.done()

    @property
    def missing(self) -> set[str]:
        """Return the characters that no font of this engine has."""
        return self.breaker.missing

    def _field(self, name: str) -> str:
        return str(self.number) if name == "page" else str(self._pages)

    # pages

    def _on(self, page: Page) -> None:
        self.page = page
        self.left, self.width = page.left, page.width - page.left - page.right

    def new_page(self) -> None:
        """End this page and begin the next."""
        self.sheets.end()
        self._begin_page()

    @property
    def following_room(self) -> float:
        """Return the height of the next page between header and footer, as far as it is like this one."""
        return self._top - self._bottom

    def _place(self, block: Block) -> None:
        if isinstance(block, Section):
            self._section(block)
        else:
            super()._place(block)

    def _section(self, section: Section) -> None:
        is_fresh = self.is_fresh
        self._on(section.page)
        if is_fresh and self.number == 1:
            self.number = 0
            self._begin_page()
        else:
            self.new_page()

    def _begin_page(self) -> None:
        self.number += 1
        if self.number > self._limits.pages:
            raise TooLarge("pages", self._limits.pages)
        self.sheets.begin(self.page, self.number)
        self._top, self._bottom = self.page.height - self.page.top, self.page.bottom
        header, footer = self._furniture(self._resolved.header), self._furniture(self._resolved.footer)
        # a header that is higher than its margin pushes the text down, never over it
        self._top = min(self._top, self.page.height - EDGE - self._height(header) - 6 if header else self._top)
        self._bottom = max(self._bottom, EDGE + self._height(footer) + 6 if footer else self._bottom)
        if self._top - self._bottom < LEAST_ROOM:
            raise Unwritable("no_room", "header, footer and margins leave no room on a page")
        self.y = self._top
        if self._resolved.watermark is not None and not self.sheets.silent:
            self._mark(self._resolved.watermark)
        if header or footer:
            self._draw_furniture(header, footer)

    def _mark(self, mark: Watermark) -> None:
        style = Style(size=10.0, bold=True, color=mark.color)
        room = 0.7 * min(self.page.width, self.page.height)
        across = max(self.breaker.natural((Run(mark.text, style),)), 1.0)
        style = replace(style, size=round(min(160.0, 10.0 * room / across), 1))
        self.sheets.watermark(mark, self.breaker.lines((Run(mark.text, style),), float("inf"))[0], self.page)

    def _furniture(self, given: Furniture) -> Furnishing:
        return given.get("first" if self.number == 1 and "first" in given else "default", ())

    def _draw_furniture(self, *parts: Furnishing) -> None:
        waits = any(
            run.field == "pages" for part in parts for each in part if isinstance(each, Paragraph) for run in each.runs
        )
        if not waits or self.sheets.silent:
            self._furnish(*parts)
            return
        name = f"furniture-{self.number}"
        self.sheets.silent = True  # links and images now, where the page is; the text when the number is known
        self._furnish(*parts)
        self.sheets.silent = False
        self.sheets.place_form(name)
        self._deferred.append((name, self.number, self.page))

    def _draw_deferred(self, name: str, number: int, page: Page) -> None:
        self.number = number
        self._on(page)
        self.sheets.begin_form(name, page)
        self._furnish(self._furniture(self._resolved.header), self._furniture(self._resolved.footer))
        self.sheets.end_form()
        self.number = self._pages

    def _furnish(
        self,
        header: Furnishing,
        footer: Furnishing,
    ) -> None:
        kept = self.y
        for part, y in ((header, self.page.height - EDGE), (footer, EDGE + self._height(footer))):
            self.y = y
            for block in part:
                self._draw(block)
        self.y = kept

    def _height(self, blocks: Furnishing) -> float:
        return sum(self._block_height(block) for block in blocks)

    def _block_height(self, block: Furnished) -> float:
        if isinstance(block, Paragraph):
            lines = self.breaker.lines(block.runs, self.width - block.style.indent)
            return (
                sum(height_of(line, block.style) for line in lines) + block.style.space_before + block.style.space_after
            )
        return RULE_ROOM if isinstance(block, Rule) else block.height

    def _draw(self, block: Furnished) -> None:
        if isinstance(block, Paragraph):
            style = block.style
            self.y -= style.space_before
            x = self.left + style.indent
            for line in self.breaker.lines(block.runs, self.width - style.indent):
                self.put(line, x, self.width - style.indent, style)
            self.y -= style.space_after
        elif isinstance(block, Image):
            self._draw_image(block)
        elif isinstance(block, Rule):
            self._draw_rule(block)
        else:
            self.y -= block.height
