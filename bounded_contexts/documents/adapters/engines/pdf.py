"""PDF: blocks are laid out on pages while they come. docs/adr/0054

Pages are numbered as they are made. What a header or footer says of their number is drawn into each page's place for it at the
end; a body that says it is laid out twice (`rendering.py`).
"""

from collections.abc import Iterator
from dataclasses import replace
from typing import Final

from bounded_contexts.documents.adapters.engines import barcodes
from bounded_contexts.documents.adapters.engines.canvas import Sheets
from bounded_contexts.documents.adapters.engines.fonts import face_of
from bounded_contexts.documents.adapters.engines.lines import Breaker, Line
from bounded_contexts.documents.adapters.engines.pdf_drawings import place
from bounded_contexts.documents.adapters.engines.pdf_tables import TableLayout
from bounded_contexts.documents.domain.errors import TooLarge, Unwritable
from bounded_contexts.documents.domain.rendering.blocks import (
    Barcode,
    Block,
    Contents,
    Entry,
    Furniture,
    Heading,
    Image,
    ListItem,
    Page,
    PageBreak,
    Paragraph,
    Resolved,
    Rule,
    Run,
    Section,
    Spacer,
    Style,
    Table,
    Watermark,
)
from bounded_contexts.documents.domain.rendering.limits import RenderLimits
from bounded_contexts.documents.domain.rendering.telling import Telling

Furnished = Paragraph | Image | Rule | Spacer
Furnishing = tuple[Furnished, ...]
FOLLOWING: Final = 40.0  # points that must be left below what is kept with its next
NUMBER_ROOM: Final = 40.0  # for a page's number, in a table of contents
LIST_STEP: Final = 16.0
EDGE: Final = 24.0  # from the paper's edge to a header or footer
RULE_ROOM: Final = 6.0
LEAST_ROOM: Final = 36.0  # points between header and footer
CHUNK: Final = 256 * 1024


def write_pdf(resolved: Resolved, telling: Telling, limits: RenderLimits, pages: int = 0) -> Iterator[bytes]:
    """Yield the file. `pages` is their number as far as the body says it. Raise `TooLarge`, `Unwritable`."""
    layout = Layout(resolved, telling, limits, pages)
    layout.run()
    data = layout.sheets.done()
    for at in range(0, len(data), CHUNK):
        yield data[at : at + CHUNK]


def measured(resolved: Resolved, telling: Telling, limits: RenderLimits, pages: int) -> tuple[int, tuple[Entry, ...]]:
    """Return how many pages the document has, and where its headings are, when its body says what `resolved.entries` and
    `pages` do."""
    layout = Layout(resolved, telling, limits, pages)
    layout.sheets.silent = True
    layout.run()
    return layout.number, tuple(layout.entries)


class Layout:
    """Where on which page the next thing stands: `y` is the lower edge of what is there."""

    def __init__(self, resolved: Resolved, telling: Telling, limits: RenderLimits, pages: int) -> None:
        self._resolved, self._telling, self._limits, self._pages = resolved, telling, limits, pages
        self.sheets = Sheets(resolved.meta)
        self.breaker = Breaker()
        self.breaker.fields = self._field
        self.page = resolved.page
        self.number = 0
        self.y = 0.0
        self._bottom = self._top = 0.0
        self.entries: list[Entry] = []
        self._deferred: list[tuple[str, int, Page]] = []

    def run(self) -> None:
        """Lay out everything."""
        self._begin_page()
        blocks = self._resolved.body()
        block = next(blocks, None)
        while block is not None:
            following = None
            if isinstance(block, Heading | Paragraph) and block.style.keep_with_next:
                following = next(blocks, None)
                self._text(block, following.height if isinstance(following, Image) else FOLLOWING)
            else:
                self._place(block)
            block = following or next(blocks, None)
        self.sheets.end()
        self._pages = self.number
        for name, number, page in self._deferred:
            self._draw_deferred(name, number, page)
        self._tell_missing()

    def _tell_missing(self) -> None:
        if self.breaker.missing:
            self._telling.pointer = ""
            named = ", ".join(f"U+{ord(each):04X}" for each in sorted(self.breaker.missing)[:10])
            self._telling.warn("missing_glyph", f"no font has {named}")

    def _field(self, name: str) -> str:
        return str(self.number) if name == "page" else str(self._pages)

    # pages

    @property
    def width(self) -> float:
        """Return the width between the margins."""
        return self.page.width - self.page.left - self.page.right

    @property
    def room(self) -> float:
        """Return the height that is left on this page."""
        return self.y - self._bottom

    @property
    def depth(self) -> float:
        """Return the height that an empty page has."""
        return self._top - self._bottom

    @property
    def is_fresh(self) -> bool:
        """Return whether nothing stands on this page."""
        return self.y >= self._top - 0.01

    def new_page(self) -> None:
        """End this page and begin the next."""
        self.sheets.end()
        self._begin_page()

    def need(self, height: float) -> None:
        """Begin a new page unless the height is left, or nothing would be gained."""
        if height > self.room and not self.is_fresh:
            self.new_page()

    def _begin_page(self) -> None:
        self.number += 1
        if self.number > self._limits.pages:
            raise TooLarge("pages", self._limits.pages)
        self.sheets.begin(self.page)
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
        self.number, self.page = number, page
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
            x = self.page.left + style.indent
            for line in self.breaker.lines(block.runs, self.width - style.indent):
                self.put(line, x, self.width - style.indent, style)
            self.y -= style.space_after
        elif isinstance(block, Image):
            self._draw_image(block)
        elif isinstance(block, Rule):
            self._draw_rule(block)
        else:
            self.y -= block.height

    # blocks

    def _place(self, block: Block) -> None:
        match block:
            case Heading() | Paragraph():
                self._text(block, 0.0)
            case ListItem():
                self._item(block)
            case Table():
                TableLayout(self, block).draw()
            case Contents():
                self._contents(block)
            case Barcode():
                place(self, barcodes.drawing(block), block.align)
            case Image():
                self._image(block)
            case Rule() | Spacer() | PageBreak():
                self._room(block)
            case Section():
                self._section(block)

    def _room(self, block: Rule | Spacer | PageBreak) -> None:
        if isinstance(block, Rule):
            self.need(RULE_ROOM)
            self._draw_rule(block)
        elif isinstance(block, Spacer) and block.height < self.room:
            self.y -= block.height
        else:
            self.new_page()

    def _section(self, section: Section) -> None:
        is_fresh, self.page = self.is_fresh, section.page
        if is_fresh and self.number == 1:
            self.number = 0
            self._begin_page()
        else:
            self.new_page()

    def _text(self, block: Heading | Paragraph, following: float) -> None:
        style = block.style
        lines = self.breaker.lines(block.runs, self.width - style.indent)
        height = sum(height_of(line, style) for line in lines)
        if following or isinstance(block, Heading):
            self.need(style.space_before + height + style.space_after + following)
        if not self.is_fresh:
            self.y -= min(style.space_before, max(self.room, 0.0))
        if isinstance(block, Heading):
            title = "".join([self.breaker.text(run) for run in block.runs])
            self.need(height_of(lines[0], style))
            self.entries.append(Entry(len(self.entries) + 1, block.level, title, self.number))
            self.sheets.outline(title, block.level - 1, self.y, len(self.entries))
        self.flow(lines, style, self.page.left + style.indent, self.width - style.indent)
        self.y -= min(style.space_after, max(self.room, 0.0))

    def flow(self, lines: list[Line], style: Style, x: float, width: float) -> None:
        """Draw lines over as many pages as they take; neither the first nor the last one stands alone."""
        while lines:
            count, used = 0, 0.0
            for line in lines:
                used += height_of(line, style)
                if used > self.room:
                    break
                count += 1
            if count < len(lines) and not self.is_fresh:
                count = _without_widows(count, len(lines))
            if count == 0 and self.is_fresh:
                count = 1
            for line in lines[:count]:
                self.put(line, x, width, style)
            lines = lines[count:]
            if lines:
                self.new_page()

    def put(self, line: Line, x: float, width: float, style: Style) -> None:
        """Draw one line and go below it."""
        height = height_of(line, style)
        if style.background:
            self.sheets.box(x, self.y - height, width, height, style.background)
        self.sheets.line(line, x, self.y - base_of(line, style, height), width, style.align)
        self.y -= height

    def _item(self, item: ListItem) -> None:
        style = item.style
        indent = style.indent + LIST_STEP * (item.level + 1)
        lines = self.breaker.lines(item.runs, self.width - indent)
        self.need(sum(height_of(line, style) for line in lines[:2]))
        mark = self.breaker.lines((Run(item.mark, style),), LIST_STEP * 4)[0]
        height = height_of(lines[0], style)
        y = self.y - base_of(lines[0], style, height)
        left = self.page.left + indent - 5 - mark.width
        self.sheets.line(mark, left, y, mark.width, "left")
        self.flow(lines, style, self.page.left + indent, self.width - indent)
        self.y -= min(style.space_after, max(self.room, 0.0))

    def _contents(self, block: Contents) -> None:
        if block.title is not None:
            self._text(block.title, FOLLOWING)
        first, last = block.levels
        for entry in self._resolved.entries:
            if first <= entry.level <= last:
                self._entry(entry, block.style, LIST_STEP * (entry.level - first))

    def _entry(self, entry: Entry, style: Style, indent: float) -> None:
        number = self.breaker.lines((Run(str(entry.page), style),), NUMBER_ROOM)[0]
        lines = self.breaker.lines((Run(entry.text, style),), self.width - indent - NUMBER_ROOM)
        height = sum(height_of(line, style) for line in lines)
        self.need(height)
        left, right = self.page.left + indent, self.page.left + self.width
        self.flow(lines, replace(style, align="left"), left, self.width - indent)
        y = self.y + height_of(lines[-1], style) - base_of(lines[-1], style, height_of(lines[-1], style))
        dots = self._dots(style, right - number.width - left - lines[-1].width - 6)
        if dots is not None:
            self.sheets.line(
                dots, left + lines[-1].width + 3, y, right - number.width - left - lines[-1].width - 6, "right"
            )
        self.sheets.line(number, right - number.width, y, number.width, "left")
        self.sheets.leads_to(entry.number, left, self.y, self.width - indent, height)
        self.y -= min(style.space_after, max(self.room, 0.0))

    def _dots(self, style: Style, room: float) -> Line | None:
        dot = face_of(style).width(" .", style.size)
        return self.breaker.lines((Run(" ." * int(room / dot), style),), room)[0] if room > dot else None

    def _image(self, image: Image) -> None:
        scale = min(1.0, self.width / image.width, self.depth / image.height)
        if scale < 1.0:
            image = Image(
                image.data, image.media_type, image.width * scale, image.height * scale, image.alt, image.align
            )
        self.need(image.height)
        self._draw_image(image)
        self.y -= min(4.0, max(self.room, 0.0))

    def _draw_image(self, image: Image) -> None:
        room = self.width - image.width
        x = self.page.left + {"left": 0.0, "center": room / 2, "right": room}.get(image.align, 0.0)
        self.y -= image.height
        self.sheets.image(image, x, self.y)

    def _draw_rule(self, rule: Rule) -> None:
        self.y -= RULE_ROOM / 2
        self.sheets.rule(self.page.left, self.y, self.width, rule.color, rule.thickness)
        self.y -= RULE_ROOM / 2


def height_of(line: Line, style: Style) -> float:
    """Return the height of a line: of the largest size on it."""
    size = max([piece.style.size for piece in line.pieces], default=style.size)
    return size * style.line_height


def base_of(line: Line, style: Style, height: float) -> float:
    """Return how far below the upper edge the base line is: what the letters leave is halved."""
    size = max([piece.style.size for piece in line.pieces], default=style.size)
    face = line.pieces[0].face if line.pieces else face_of(style)
    return (height + (face.ascent - face.descent) * size) / 2


def _without_widows(count: int, total: int) -> int:
    if count == total - 1 and total > 2:
        count -= 1
    return count if count >= 2 or total <= 1 else 0
