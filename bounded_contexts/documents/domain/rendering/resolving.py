"""A document and its data become plain blocks, one after the other: nothing is kept that an engine has taken."""

from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from typing import Any

from bounded_contexts.documents.domain.errors import TooLarge
from bounded_contexts.documents.domain.rendering.anchoring import Anchors
from bounded_contexts.documents.domain.rendering.attachments import attachments_of
from bounded_contexts.documents.domain.rendering.blocks import (
    Anchor,
    Barcode,
    Block,
    Contents,
    Furniture,
    Group,
    Heading,
    Image,
    Meta,
    Page,
    PageBreak,
    Paragraph,
    Resolved,
    Rule,
    Section,
    Spacer,
    Style,
    Table,
    Watermark,
)
from bounded_contexts.documents.domain.rendering.charting import Charts
from bounded_contexts.documents.domain.rendering.charts import Chart
from bounded_contexts.documents.domain.rendering.compound import GAP, columns, furniture, group, with_caption
from bounded_contexts.documents.domain.rendering.drawn import barcode, image
from bounded_contexts.documents.domain.rendering.expressions import each_of, expression, named, path_of, truth
from bounded_contexts.documents.domain.rendering.fonts import families_of
from bounded_contexts.documents.domain.rendering.functions import Context
from bounded_contexts.documents.domain.rendering.images import Pictures
from bounded_contexts.documents.domain.rendering.letterheads import letterhead_of
from bounded_contexts.documents.domain.rendering.listing import Lists
from bounded_contexts.documents.domain.rendering.marks import Marks
from bounded_contexts.documents.domain.rendering.properties import properties_of
from bounded_contexts.documents.domain.rendering.sheet_blocks import Sheets
from bounded_contexts.documents.domain.rendering.styles import Styles, page_of, points
from bounded_contexts.documents.domain.rendering.tables import Tables
from bounded_contexts.documents.domain.rendering.telling import Telling
from bounded_contexts.documents.domain.rendering.texts import Texts
from bounded_contexts.documents.domain.values import Value

BLOCK_STEPS = 10  # that a block takes, also one of which nothing comes
PARTIAL_STEPS = 90  # that going into a partial takes beside
DEPTH = 64  # of blocks in blocks and partials in partials
_ROLES = {"paragraph": "paragraph", "quote": "quote", "code": "code"}


def resolve(
    document: Mapping[str, Any],
    context: Context,
    telling: Telling,
    pictures: Pictures,
    entries: tuple[Anchor, ...] = (),
) -> Resolved:
    """Return the document as engines take it. It has been found valid. What is wrong with its data is told; the body's
    blocks raise `TooLarge` and, where `strictness` is error, `Unwritable` while they are taken."""
    return replace(_Resolving(document, context, telling, pictures, entries).resolved(), entries=entries)


def _with_content(blocks: Iterator[Block]) -> Iterator[Block]:
    """Leave out sections that nothing stands in, such as that of the page behind the last one, and a page break where a
    section has begun a page anyway."""
    waiting: Section | None = None
    for block in blocks:
        if isinstance(block, Section):
            waiting = block
            continue
        if waiting is not None:
            yield waiting
            waiting = None
            if isinstance(block, PageBreak):
                continue
        yield block


def _later(furniture: Furniture) -> Furniture:
    """What pages have that are not the document's first."""
    return {which: blocks for which, blocks in furniture.items() if which != "first"}


class _Resolving:
    def __init__(
        self,
        document: Mapping[str, Any],
        context: Context,
        telling: Telling,
        pictures: Pictures,
        entries: tuple[Anchor, ...],
    ) -> None:
        self._pictures = pictures
        self._document, self._context, self._telling = document, context, telling
        styles = Styles(document.get("styles", {}), families_of(document))
        places = {entry.name: entry for entry in entries if entry.name is not None}
        self._texts = Texts(context, styles, telling, document.get("meta", {}).get("created"), places)
        self._styles = styles
        self._base = styles.over(Style(), "base" if "base" in document.get("styles", {}) else None)
        self._charts = Charts(self._texts)
        self._sheets = Sheets(self._texts, telling, self._base)
        self._tables = Tables(self._texts, telling, self._base, self._nested)
        self._blocks = 0
        self._lists = Lists(self._texts, self._base)
        self._depth = 0
        self._anchors: Anchors | None = None  # outside of the body nothing can be referred to
        self._page = page_of(document.get("page", {}), Page())
        self._section: Section | None = None

    def resolved(self) -> Resolved:
        return Resolved(
            self._meta(),
            self._page,
            self._furniture(self._document, "header", ""),
            self._furniture(self._document, "footer", ""),
            self._body,
            self._watermark(),
            Marks(self._document, self._texts, self._telling, self._pictures).all(),
            attachments_of(self._document, self._texts, self._telling),
            self._document.get("output", {}).get("xlsx", {}).get("sheets", "named"),
            letterhead=letterhead_of(self._document, self._context, self._telling),
        )

    def _meta(self) -> Meta:
        given = self._document.get("meta", {})
        self._telling.pointer = "/meta"
        title, author, subject = [self._texts.filled(given.get(name, "")) for name in ("title", "author", "subject")]
        keywords = tuple(self._texts.filled(each) for each in given.get("keywords", ()))
        language = given.get("language", self._document.get("locale", "en").replace("_", "-"))
        if "language" in given:
            self._telling.uses("language")
        if self._document.get("fonts"):
            self._telling.pointer = "/fonts"
            self._telling.uses("fonts")
        properties = properties_of(given.get("properties", {}), self._texts)
        if properties:
            self._telling.uses("custom properties")
        return Meta(title, author, subject, keywords, language, given.get("created"), properties)

    def _watermark(self) -> Watermark | None:
        given = self._document.get("watermark")
        self._telling.pointer = "/watermark"
        if given is None or "text" not in given or not truth(expression(given.get("when", True))(self._context)):
            return None
        self._telling.uses("watermark")
        numbers = {name: float(given[name]) for name in ("opacity", "angle") if name in given}
        return Watermark(self._texts.filled(given["text"]), given.get("color", "#808080"), **numbers)

    def _furniture(self, given: Mapping[str, Any], name: str, pointer: str) -> Furniture:
        anchors, self._anchors = self._anchors, None
        found = furniture(given.get(name, {}), self._nested, self._telling, f"{pointer}/{name}")
        self._anchors = anchors
        return found

    def _body(self) -> Iterator[Block]:
        self._blocks = self._texts.notes = 0
        self._lists.begin()
        self._tables.rows = 0
        self._anchors = Anchors()
        self._page = page_of(self._document.get("page", {}), Page())
        header, footer = [_later(self._furniture(self._document, name, "")) for name in ("header", "footer")]
        self._section = Section(self._page, header, footer)
        return _with_content(self._of(self._document["body"], "/body"))

    def _of(self, blocks: list[dict[str, Any]], pointer: str) -> Iterator[Block]:
        for number, block in enumerate(blocks):
            here = f"{pointer}/{number}"
            self._telling.pointer = here
            self._context.step(BLOCK_STEPS)
            match block["type"]:
                case "if":
                    branch = "then" if truth(expression(block["test"])(self._context)) else "else"
                    yield from self._of(block.get(branch, []), f"{here}/{branch}")
                case "repeat":
                    for _ in each_of(self._context, path_of(block["each"]), block["each"], block["as"]):
                        yield from self._of(block["body"], f"{here}/body")
                case "include":
                    yield from self._included(block)
                case "section":
                    yield from self._in_section(block, here)
                case _:
                    yield from self._anchored(block, here)

    def _anchored(self, block: dict[str, Any], pointer: str) -> Iterator[Block]:
        """A block, and before it what leads to it."""
        is_list = block["type"] == "list"
        made = Spacer(0.0) if is_list else self._counted(self._block(block, pointer))
        if self._anchors is not None:
            yield from self._anchors.of(block, made)
        if is_list:
            self._telling.uses("list")
            yield from map(self._counted, self._lists.items(block, pointer))
        else:
            yield made

    def _nested(self, blocks: list[dict[str, Any]], pointer: str) -> tuple[Block, ...]:
        """Blocks in a block: all of them at once, since they may be measured before they are drawn."""
        with self._deeper():
            return tuple(
                replace(block, rows=tuple(block.rows)) if isinstance(block, Table) else block
                for block in self._of(blocks, pointer)
            )

    @contextmanager
    def _deeper(self) -> Iterator[None]:
        """One more step into blocks in blocks, or into partials in partials."""
        if self._depth >= DEPTH:
            raise TooLarge("depth", DEPTH)
        self._depth += 1
        try:
            yield
        finally:
            self._depth -= 1

    def _counted(self, block: Block) -> Block:
        self._blocks += 1
        if self._blocks > self._context.limits.blocks:
            raise TooLarge("blocks", self._context.limits.blocks)
        return block

    def _included(self, block: dict[str, Any]) -> Iterator[Block]:
        name = block["partial"]
        self._context.step(PARTIAL_STEPS)
        given = {each: expression(value)(self._context) for each, value in block.get("with", {}).items()}
        with self._deeper(), ExitStack() as names:
            for each, value in given.items():
                names.enter_context(named(self._context, each, value))
            yield from self._of(self._document["partials"][name], f"/partials/{name}")

    def _in_section(self, block: dict[str, Any], pointer: str) -> Iterator[Block]:
        self._telling.uses("section")
        outer = self._section or Section(self._page, {}, {})
        page = page_of(block.get("page", {}), outer.page)
        header, footer = [
            self._furniture(block, name, pointer) if name in block else getattr(outer, name)
            for name in ("header", "footer")
        ]
        for name in ("columns", "restartPageNumbers"):
            if name in block:
                self._telling.uses(f"section.{name}")
        first = int(block["restartPageNumbers"]) if "restartPageNumbers" in block else None
        count, gap = int(block.get("columns", 1)), points(block.get("gap", GAP))
        own = Section(page, header, footer, first, count, gap)
        self._section = own
        yield self._counted(own)
        yield from self._of(block["body"], f"{pointer}/body")
        self._section = outer
        yield self._counted(replace(outer, first_number=None))

    def _block(self, block: dict[str, Any], pointer: str) -> Block:
        kind = block["type"]
        match kind:
            case "table":
                self._telling.uses("table")
                return self._tables.table(block, pointer)
            case "toc":
                self._telling.uses("toc")
                return self._contents(block, pointer)
            case "captions":
                self._telling.uses("captions")
                return self._contents(block, pointer)
            case "group":
                return group(block, self._nested, self._telling, pointer)
            case "columns":
                return columns(block, self._nested, self._telling, pointer)
            case "sheet":
                self._telling.uses("sheet")
                return self._sheets.sheet(block, pointer)
            case "image" | "chart" | "barcode":
                return self._figure(block, pointer)
            case "rule" | "spacer" | "pageBreak":
                self._telling.uses(kind)
                return _room(block)
        return self._text(block, pointer, kind)

    def _text(self, block: dict[str, Any], pointer: str, kind: str) -> Block:
        self._telling.uses(kind)
        name = {"heading": f"heading{int(block.get('level', 0))}", "paragraph": None}.get(kind, kind)
        style = self._styles.over(self._styles.over(self._base, name), block.get("style"))
        if kind == "code":
            self._telling.pointer = pointer
        runs = self._texts.runs(block["text"], style, pointer)
        if any(run.link for run in runs):
            self._telling.uses("link")
        if any(run.field for run in runs) and self._anchors is not None:
            self._telling.uses("field in body")
        if style.keep_with_next and kind != "heading":
            self._telling.uses("keepWithNext")
        if kind == "heading":
            return Heading(int(block["level"]), runs, style)
        return Paragraph(runs, style, _ROLES[kind])  # type: ignore[arg-type]

    def _contents(self, block: dict[str, Any], pointer: str) -> Contents:
        style = self._styles.over(replace(self._base, space_after=2.0), block.get("style"))
        title = None
        if "title" in block:
            over = self._styles.over(self._base, "heading2")
            title = Paragraph(self._texts.runs(block["title"], over, pointer), over)
        first, last = sorted(int(level) for level in block.get("levels", (1, 3)))
        return Contents(title, (first, last), style, block.get("of", "heading"))

    def _figure(self, block: dict[str, Any], pointer: str) -> Image | Chart | Barcode | Group:
        made = self._drawn(block, pointer)
        if "caption" not in block:
            return made
        style = self._styles.over(self._base, "caption")
        return with_caption(made, Paragraph(self._texts.runs(block["caption"], style, f"{pointer}/caption"), style))

    def _drawn(self, block: dict[str, Any], pointer: str) -> Image | Chart | Barcode:
        kind = block["type"]
        self._telling.uses(kind)
        match kind:
            case "chart":
                return self._charts.chart(block, pointer)
            case "barcode":
                return barcode(block, self._texts, pointer)
        return image(block, self._document.get("assets", {}), self._texts, self._pictures)


def _room(block: Mapping[str, Value]) -> Rule | Spacer | PageBreak:
    match block["type"]:
        case "rule":
            return Rule(block.get("color", "#808080"), points(block.get("thickness", 0.5)))
        case "spacer":
            return Spacer(points(block["height"]))
    return PageBreak()
