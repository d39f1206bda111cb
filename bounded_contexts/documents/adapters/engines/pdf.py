"""PDF: blocks are laid out on pages while they come. docs/adr/0054

Pages are numbered as they are made. What a header or footer says of their number is drawn into each page's place for it at the
end; a body that says it is laid out twice (`rendering.py`).
"""

from collections.abc import Iterable, Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass, replace
from typing import Final

from bounded_contexts.documents.adapters.engines import pdf_compound
from bounded_contexts.documents.adapters.engines.canvas import Sheets
from bounded_contexts.documents.adapters.engines.fonts import tell_missing
from bounded_contexts.documents.adapters.engines.lines import Breaker
from bounded_contexts.documents.adapters.engines.pdf_boxes import Drawn, boxed
from bounded_contexts.documents.adapters.engines.pdf_flow import NOTE_GAP, Flow
from bounded_contexts.documents.adapters.engines.pdf_letterhead import PageLetterhead
from bounded_contexts.documents.adapters.engines.pdf_marks import PageMarks
from bounded_contexts.documents.domain.errors import TooLarge, Unwritable
from bounded_contexts.documents.domain.rendering.blocks import (
    Anchor,
    Block,
    Columns,
    Furniture,
    Group,
    Page,
    PageBreak,
    Resolved,
    Run,
    Section,
    Style,
    Watermark,
)
from bounded_contexts.documents.domain.rendering.limits import RenderLimits
from bounded_contexts.documents.domain.rendering.telling import Telling

EDGE: Final = 24.0  # from the paper's edge to a header or footer
LEAST_ROOM: Final = 36.0  # points between header and footer


@contextmanager
def laid_out(resolved: Resolved, telling: Telling, limits: RenderLimits, pages: int = 0) -> "Iterator[Layout]":
    """Lay the document out on its pages. `pages` is their number as far as the body says it. Raise `TooLarge`, `Unwritable`."""
    layout = Layout(resolved, telling, limits, pages)
    with closing(layout.sheets):
        layout.run()
        yield layout


def measured(resolved: Resolved, telling: Telling, limits: RenderLimits, pages: int) -> tuple[int, tuple[Anchor, ...]]:
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
        self._section = Section(resolved.page, resolved.header, resolved.footer)
        self._column = 0
        self._before = 0  # what is added to the numbers of pages
        self._is_first = True  # of the pages of a section
        self._foot = 0.0  # above the footer
        self._deferred: list[_Deferred] = []
        self._marks = PageMarks(resolved.marks, self.sheets, breaker)
        self._letterhead = PageLetterhead(resolved.letterhead, self.sheets)

    def run(self) -> None:
        """Lay out everything."""
        self._begin_page()
        self.place_all(self._resolved.body())
        self.sheets.arrive(self.y)
        self._end_page(is_last=not self.notes_to_come)
        while self.notes_to_come:
            self._begin_page()
            self._end_page(is_last=not self.notes_to_come)
        self._pages = self.number
        for deferred in self._deferred:
            self._draw_deferred(deferred)
        self._marks.draw()
        self._letterhead.draw()

    def written(self) -> Iterator[bytes]:
        """Tell of what the fonts miss, and yield the file."""
        tell_missing(self.missing, self._telling)
        yield from self.sheets.done()

    @property
    def missing(self) -> set[str]:
        """Return the characters that no font of this engine has."""
        return self.breaker.missing

    def _field(self, name: str) -> str:
        if name != "page":
            return str(self._pages)
        ahead = (self._column + self.breaker.ahead) // self._section.columns
        return str(self.number + ahead + self._before)

    # pages

    @property
    def following_room(self) -> float:
        """Return the height of the next page between header and footer, as far as it is like this one."""
        return self._top - self._foot

    def new_page(self) -> None:
        """Go on in the next column; behind the last one end this page and begin the next."""
        if self._column + 1 < self._section.columns:
            self._draw_notes()
            self._begin_column(self._column + 1)
        else:
            self._turn()

    def _turn(self) -> None:
        self._end_page()
        self._begin_page()

    def _place(self, block: Block) -> None:
        if isinstance(block, Section):
            self._begin_section(block)
        elif isinstance(block, PageBreak):
            self._turn()
        else:
            super()._place(block)

    def _begin_section(self, section: Section) -> None:
        """Go on with pages of another kind; the first page becomes one while nothing is on it."""
        is_first = self.is_fresh and self.number == 1 and not self._column
        if not is_first:
            self._end_page()
        else:  # header and watermark of the page that it would have been
            self.number = 0
            self.sheets.clear()
            self._deferred.clear()
        self._section, self._is_first = section, True
        if section.first_number is not None:
            self._before = section.first_number - self.number - 1
        self._begin_page()

    def _end_page(self, *, is_last: bool = False) -> None:
        self._draw_notes()
        self._marks.above(self._section.page, is_first=self.number == 1, is_last=is_last)
        self.sheets.end()

    def _begin_page(self) -> None:
        self.number += 1
        if self.number > self._limits.pages:
            raise TooLarge("pages", self._limits.pages)
        page = self._section.page
        self.sheets.begin(page, self.number + self._before)
        furnishing = self._furniture(self._section.header), self._furniture(self._section.footer)
        self._is_first = False
        header, footer = [self._furnished(part, page) for part in furnishing]
        # a header that is higher than its margin pushes the text down, never over it
        self._top = min(page.height - page.top, page.height - EDGE - header.height - 6 if header else page.height)
        self._foot = max(page.bottom, EDGE + footer.height + 6 if footer else 0.0)
        if self._top - self._foot < LEAST_ROOM:
            raise Unwritable("no_room", "header, footer and margins leave no room on a page")
        self._marks.below(page)
        self._letterhead.put(page, is_first=self.number == 1)
        if self._resolved.watermark is not None and not self.sheets.silent:
            self._mark(self._resolved.watermark, page)
        self._draw_furniture(_Deferred(f"furniture-{self.number}", self.number, self._before, page, *furnishing))
        self._begin_column(0)

    def _begin_column(self, number: int) -> None:
        section, self._column = self._section, number
        room = section.page.width - section.page.left - section.page.right
        self.width = max((room - section.gap * (section.columns - 1)) / section.columns, 12.0)
        self.left = section.page.left + number * (self.width + section.gap)
        self.y, self._bottom = self._top, self._foot
        self.notes = []
        self.reserve_notes((self._top - self._foot) / 2)

    def _draw_notes(self) -> None:
        """What is at the foot of a column, below a line."""
        if not self.notes:
            return
        kept, self.y = self.y, self._bottom - NOTE_GAP / 2
        self.sheets.rule(self.left, self.y, min(72.0, self.width), "#808080", 0.5)
        self.y -= NOTE_GAP / 2
        for line, style in self.notes:
            self.put(line, self.left, self.width, style)
        self.notes, self.y = [], kept

    def _mark(self, mark: Watermark, page: Page) -> None:
        style = Style(size=10.0, bold=True, color=mark.color)
        room = 0.7 * min(page.width, page.height)
        across = max(self.breaker.natural((Run(mark.text, style),)), 1.0)
        style = replace(style, size=round(min(160.0, 10.0 * room / across), 1))
        self.sheets.watermark(mark, self.breaker.lines((Run(mark.text, style),), float("inf"))[0], page)

    def _furniture(self, given: Furniture) -> tuple[Block, ...]:
        if self._is_first and "first" in given:
            return given["first"]
        is_even = (self.number + self._before) % 2 == 0
        return given.get("even" if is_even and "even" in given else "default", ())

    def _furnished(self, blocks: tuple[Block, ...], page: Page) -> Drawn | None:
        return boxed(self, blocks, page.width - page.left - page.right)[0] if blocks else None

    def _draw_furniture(self, furniture: "_Deferred") -> None:
        if self.sheets.silent or not _waits((*furniture.header, *furniture.footer)):
            self._furnish(furniture)
            return
        self.sheets.silent = True  # links and images now, where the page is; the text when the number is known
        self._furnish(furniture)
        self.sheets.silent = False
        self.sheets.place_form(furniture.name)
        self._deferred.append(furniture)

    def _draw_deferred(self, furniture: "_Deferred") -> None:
        self.number, self._before = furniture.number, furniture.before
        self.sheets.begin_form(furniture.name, furniture.page)
        self._furnish(furniture)
        self.sheets.end_form()
        self.number = self._pages

    def _furnish(self, furniture: "_Deferred") -> None:
        page = furniture.page
        if header := self._furnished(furniture.header, page):
            header.draw(self.sheets, page.left, page.height - EDGE)
        if footer := self._furnished(furniture.footer, page):
            footer.draw(self.sheets, page.left, EDGE + footer.height)


@dataclass(frozen=True, slots=True)
class _Deferred:
    """Header and footer of a page, drawn when what they say is known."""

    name: str
    number: int
    before: int  # what is added to the numbers of pages
    page: Page
    header: tuple[Block, ...]
    footer: tuple[Block, ...]


def _waits(blocks: Iterable[Block]) -> bool:
    """Whether any of them says how many pages there are."""
    for block in blocks:
        if isinstance(block, Columns) and any(_waits(item) for item in block.items):
            return True
        if isinstance(block, Group) and _waits(block.blocks):
            return True
        if any(run.field == "pages" for run in getattr(block, "runs", ())):
            return True
    return False
