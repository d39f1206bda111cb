"""A document and its data become plain blocks, one after the other: nothing is kept that an engine has taken."""

from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import Any

from bounded_contexts.documents.domain.errors import TooLarge
from bounded_contexts.documents.domain.rendering.blocks import (
    Block,
    Contents,
    Entry,
    Furniture,
    Heading,
    Image,
    ListItem,
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
from bounded_contexts.documents.domain.rendering.drawn import barcode
from bounded_contexts.documents.domain.rendering.expressions import each_of, expression, path_of, truth
from bounded_contexts.documents.domain.rendering.functions import Context
from bounded_contexts.documents.domain.rendering.images import decoded, pixels
from bounded_contexts.documents.domain.rendering.styles import Styles, page_of, points
from bounded_contexts.documents.domain.rendering.tables import Tables
from bounded_contexts.documents.domain.rendering.telling import Telling
from bounded_contexts.documents.domain.rendering.texts import Texts
from bounded_contexts.documents.domain.values import Value

_ROLES = {"paragraph": "paragraph", "quote": "quote", "code": "code"}


def resolve(
    document: Mapping[str, Any], context: Context, telling: Telling, entries: tuple[Entry, ...] = ()
) -> Resolved:
    """Return the document as engines take it. It has been found valid. What is wrong with its data is told; the body's
    blocks raise `TooLarge` and, where `strictness` is error, `Unwritable` while they are taken."""
    return replace(_Resolving(document, context, telling).resolved(), entries=entries)


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


class _Resolving:
    def __init__(self, document: Mapping[str, Any], context: Context, telling: Telling) -> None:
        self._document, self._context, self._telling = document, context, telling
        styles = Styles(document.get("styles", {}))
        self._texts = Texts(context, styles, telling, document.get("meta", {}).get("created"))
        self._styles = styles
        self._base = styles.over(Style(), "base" if "base" in document.get("styles", {}) else None)
        self._charts = Charts(self._texts)
        self._tables = Tables(self._texts, telling, self._base, self._nested)
        self._blocks = 0
        self._lists = 0
        self._page = page_of(document.get("page", {}), Page())

    def resolved(self) -> Resolved:
        return Resolved(
            self._meta(),
            self._page,
            self._furniture("header"),
            self._furniture("footer"),
            self._body,
            self._watermark(),
            self._document.get("output", {}).get("xlsx", {}).get("sheets", "named"),
        )

    def _meta(self) -> Meta:
        given = self._document.get("meta", {})
        self._telling.pointer = "/meta"
        title, author, subject = [self._texts.filled(given.get(name, "")) for name in ("title", "author", "subject")]
        keywords = tuple(self._texts.filled(each) for each in given.get("keywords", ()))
        language = given.get("language", self._document.get("locale", "en").replace("_", "-"))
        if "language" in given:
            self._telling.uses("language")
        return Meta(title, author, subject, keywords, language, given.get("created"))

    def _watermark(self) -> Watermark | None:
        given = self._document.get("watermark")
        self._telling.pointer = "/watermark"
        if given is None or not truth(expression(given.get("when", True))(self._context)):
            return None
        self._telling.uses("watermark")
        numbers = {name: float(given[name]) for name in ("opacity", "angle") if name in given}
        return Watermark(self._texts.filled(given["text"]), given.get("color", "#808080"), **numbers)

    def _furniture(self, name: str) -> Furniture:
        found: dict[Any, tuple[Any, ...]] = {}
        for which, blocks in self._document.get(name, {}).items():
            if which in ("default", "first"):
                found[which] = tuple(self._of(blocks, f"/{name}/{which}"))
                if which == "first":
                    self._telling.uses("first header or footer")
                for block in found[which]:
                    kind = "image" if isinstance(block, Image) else "rule or spacer"
                    self._telling.uses(
                        "header and footer text" if isinstance(block, Paragraph) else f"{kind} in header or footer"
                    )
        return found

    def _body(self) -> Iterator[Block]:
        self._blocks = self._lists = 0
        self._tables.rows = 0
        self._page = page_of(self._document.get("page", {}), Page())
        return _with_content(self._of(self._document["body"], "/body"))

    def _of(self, blocks: list[dict[str, Any]], pointer: str) -> Iterator[Block]:
        for number, block in enumerate(blocks):
            here = f"{pointer}/{number}"
            self._telling.pointer = here
            self._context.step()
            match block["type"]:
                case "if":
                    if truth(expression(block["test"])(self._context)):
                        yield from self._of(block["then"], f"{here}/then")
                    else:
                        yield from self._of(block.get("else", []), f"{here}/else")
                case "repeat":
                    for _ in each_of(self._context, path_of(block["each"]), block["each"], block["as"]):
                        yield from self._of(block["body"], f"{here}/body")
                case "section":
                    yield from self._section(block, here)
                case "list":
                    self._telling.uses("list")
                    self._lists += 1
                    yield from self._items(block, here, 0, self._lists)
                case _:
                    yield self._counted(self._block(block, here))

    def _nested(self, blocks: list[dict[str, Any]], pointer: str) -> tuple[Block, ...]:
        """Blocks in a block: all of them at once, since they may be measured before they are drawn."""
        return tuple(
            replace(block, rows=tuple(block.rows)) if isinstance(block, Table) else block
            for block in self._of(blocks, pointer)
        )

    def _counted(self, block: Block) -> Block:
        self._blocks += 1
        if self._blocks > self._context.limits.blocks:
            raise TooLarge("blocks", self._context.limits.blocks)
        return block

    def _section(self, block: dict[str, Any], pointer: str) -> Iterator[Block]:
        self._telling.uses("section")
        outer, self._page = self._page, page_of(block.get("page", {}), self._page)
        yield self._counted(Section(self._page))
        yield from self._of(block["body"], f"{pointer}/body")
        self._page = outer
        yield self._counted(Section(outer))

    def _items(self, given: dict[str, Any], pointer: str, level: int, list_number: int) -> Iterator[Block]:
        style = self._styles.over(replace(self._base, space_after=2.0), given.get("style"))
        ordered, first = given.get("ordered", False), int(given.get("start", 1))
        for index, item in enumerate(given["items"]):
            here = f"{pointer}/items/{index}"
            text = item if isinstance(item, str) else item["text"]
            runs = self._texts.runs(text, style, here)
            yield self._counted(ListItem(list_number, level, ordered, first + index, first, runs, style))
            if isinstance(item, dict) and item.get("items"):
                self._lists += 1
                yield from self._items({"style": given.get("style"), **item}, here, level + 1, self._lists)

    def _block(self, block: dict[str, Any], pointer: str) -> Block:
        kind = block["type"]
        match kind:
            case "table":
                self._telling.uses("table")
                return self._tables.table(block, pointer)
            case "toc":
                self._telling.uses("toc")
                return self._contents(block, pointer)
            case "barcode":
                self._telling.uses("barcode")
                return barcode(block, self._texts, pointer)
            case "chart":
                self._telling.uses("chart")
                return self._charts.chart(block, pointer)
            case "image":
                self._telling.uses("image")
                return self._image(block)
            case "rule":
                self._telling.uses("rule")
                return Rule(block.get("color", "#808080"), points(block.get("thickness", 0.5)))
            case "spacer":
                self._telling.uses("spacer")
                return Spacer(points(block["height"]))
            case "pageBreak":
                self._telling.uses("pageBreak")
                return PageBreak()
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
        if any(run.field for run in runs) and pointer.startswith("/body"):
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
        return Contents(title, (first, last), style)

    def _image(self, block: dict[str, Value]) -> Image:
        limits = self._context.limits
        data = decoded(block["data"] if "data" in block else self._document["assets"][block["asset"]]["data"], limits)
        media_type, across, down = pixels(data, limits)
        width = points(block["width"]) if "width" in block else None
        height = points(block["height"]) if "height" in block else None
        if width is None and height is None:
            width = across * 0.75  # 96 pixels are an inch
        width = width if width is not None else (height or 0) * across / down
        height = height if height is not None else width * down / across
        width, height = max(width, 1.0), max(height, 1.0)  # no image vanishes
        alt = self._texts.filled(block["alt"])
        return Image(data, media_type, width, height, alt, block.get("align", "left"))  # type: ignore[arg-type]
