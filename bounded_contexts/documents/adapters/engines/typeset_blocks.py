"""A document's blocks as JSON for typeset.typ: each with what stands above it, in points; texts stay texts."""

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from typing import Final

from bounded_contexts.documents.adapters.engines import typeset_fonts
from bounded_contexts.documents.adapters.engines.barcodes import drawing
from bounded_contexts.documents.adapters.engines.fonts import tell_missing
from bounded_contexts.documents.adapters.engines.svg import svg
from bounded_contexts.documents.adapters.engines.typeset_texts import Json, Texts
from bounded_contexts.documents.domain.errors import TooLarge
from bounded_contexts.documents.domain.rendering.blocks import (
    Anchor,
    Barcode,
    Block,
    Cell,
    Columns,
    Contents,
    Furniture,
    Group,
    Heading,
    Image,
    ListItem,
    Page,
    PageBreak,
    Paragraph,
    Resolved,
    Row,
    Rule,
    Runs,
    Section,
    Spacer,
    Style,
    Table,
    Watermark,
)
from bounded_contexts.documents.domain.rendering.limits import RenderLimits
from bounded_contexts.documents.domain.rendering.problems import Problem
from bounded_contexts.documents.domain.rendering.standards import UA, Profile
from bounded_contexts.documents.domain.rendering.telling import Telling

LIST_STEP: Final = 16.0
MARK_ROOM: Final = 5.0  # between a mark and its text
BELOW_OTHERS: Final = 4.0  # an image or a code
BELOW_TABLE: Final = 6.0
WHOLE_CELL: Final = 1_200  # characters that surely stand on one page


@dataclass(slots=True)
class Typesetting:
    """What `typeset.py` gives to Typst: the data, and files that it names."""

    data: Json
    files: dict[str, bytes]


@dataclass(slots=True)
class _Place:
    """Where blocks are put, and what the last one wants below it."""

    blocks: list[Json]
    page: Page
    below: float = 0.0
    lists: list[Json] = field(default_factory=list)  # that are open, the outermost first


class Setting:
    """Takes a document's blocks once."""

    def __init__(self, resolved: Resolved, telling: Telling, limits: RenderLimits, profile: Profile) -> None:
        self._resolved, self._telling, self._limits, self._profile = resolved, telling, limits, profile
        self._texts = Texts(resolved.meta.language, telling, limits, profile)
        self._files: dict[str, bytes] = {}
        self._cells = self._level = 0
        self._coming: list[str] = []  # names of what the next block is

    @property
    def problems(self) -> list[Problem]:
        """Return what its standards refuse, with their places."""
        return self._texts.problems

    def taken(self) -> Typesetting:
        """Return the whole document. Raise `TooLarge`."""
        meta, resolved = self._resolved.meta, self._resolved
        self._texts.style(Style())
        said = {
            "title": self._texts.shown(meta.title, "/meta/title"),
            "author": [meta.author] if meta.author else [],
            "subject": meta.subject,
            "keywords": list(meta.keywords),
        }
        if self._profile.is_accessible and not meta.title.strip():
            self._texts.refuse("missing_title", "the title says nothing", "/meta/title")
        language, _, region = meta.language.partition("-")
        data = {
            "meta": said,
            "language": language.lower(),
            "region": region[-2:].upper() if len(region) in (2, 7) else None,
            "rtl": self._texts.from_right,
            "fonts": {name: typeset_fonts.chain(name, meta.language) for name in ("sans", "mono")},
            "watermark": self._mark(resolved.watermark),
            "sections": self._sections(),
            "styles": self._texts.styles,
        }
        tell_missing(self._texts.missing, self._telling)
        return Typesetting(data, self._files)

    def _sections(self) -> list[Json]:
        resolved = self._resolved
        place = _Place([], resolved.page)
        sections = [self._section(Section(resolved.page, resolved.header, resolved.footer), place)]
        for number, block in enumerate(self._resolved.body(), 1):
            if number > self._limits.typeset_blocks:
                raise TooLarge("typeset_blocks", self._limits.typeset_blocks)
            if isinstance(block, Section):
                place = _Place([], block.page)
                sections.append(self._section(block, place))
            else:
                self._put(block, place)
        found = [each for each in sections if each["blocks"]] or sections[:1]
        for number, each in enumerate(found):
            each["first"] = number == 0
        if found[0]["blocks"] and "gap" in found[0]["blocks"][0]:
            found[0]["blocks"][0]["gap"] = 0.0  # nothing stands above it
        return found

    def _section(self, section: Section, place: _Place) -> Json:
        if section.first_number is not None:
            self._telling.warn("dropped", "a tagged PDF counts its pages through")
        return {
            "page": _page(section.page),
            "blocks": place.blocks,
            "header": self._furniture(section.header, "/header"),
            "footer": self._furniture(section.footer, "/footer"),
            "columns": section.columns,
            "gutter": section.gap,
        }

    def _put(self, block: Block, place: _Place) -> None:
        if isinstance(block, Anchor):
            if block.name or block.kind in ("table", "image"):
                self._coming.append(_name(block))
            return
        if isinstance(block, ListItem):
            self._item(block, place)
            return
        place.lists.clear()
        for each in self._blocks(block, place.page):
            above = each.pop("above", 0.0)
            if "gap" in each:
                each["gap"] = place.below + above
                each["name"], self._coming = next(iter(self._coming), None), []
            place.below = each.pop("below", 0.0)
            place.blocks.append(each)

    def _blocks(self, block: Block, page: Page) -> Iterator[Json]:
        before = block.caption if isinstance(block, Table) else block.title if isinstance(block, Contents) else None
        if before is not None:
            yield self._paragraph(_kept(before))
        match block:
            case Heading():
                yield self._heading(block)
            case Paragraph():
                yield self._paragraph(block)
            case Table() | Group() | Columns():
                yield self._holding(block, page)
            case Contents():
                yield self._contents(block)
            case Image() | Barcode():
                yield self._picture(block, page)
            case Rule() | Spacer() | PageBreak():
                yield _room(block)

    # texts

    def _framed(self, kind: str, runs: Runs, style: Style) -> Json:
        distances = {"gap": 0.0, "above": style.space_before, "below": style.space_after}
        frame = {"indent": style.indent, "sticky": style.keep_with_next}
        return {"kind": kind, **distances, **frame, **self._texts.said(runs, style)}

    def _paragraph(self, block: Paragraph) -> Json:
        empty = not any(run.text or run.field for run in block.runs)
        return self._framed("paragraph" if empty or block.role == "caption" else block.role, block.runs, block.style)

    def _heading(self, block: Heading) -> Json:
        if UA in self._profile.standards and block.level > self._level + 1:
            self._texts.refuse(
                "skipped_level", f"a heading of level {block.level} comes after one of level {self._level}"
            )
        self._level = block.level
        plain = self._texts.shown("".join([run.text for run in block.runs]))
        kind = "heading" if plain.strip() else "paragraph"
        return {**self._framed(kind, block.runs, block.style), "level": block.level, "plain": plain}

    # lists

    def _item(self, item: ListItem, place: _Place) -> None:
        del place.lists[item.level + 1 :]
        if len(place.lists) > item.level and place.lists[-1]["number"] != item.list_number:
            place.lists.pop()
        if len(place.lists) <= item.level:
            self._open(item, place)
        said = {"number": item.number, "mark": item.mark, "inner": [], **self._texts.said(item.runs, item.style)}
        place.lists[-1]["items"].append(said)

    def _open(self, item: ListItem, place: _Place) -> None:
        style = item.style
        across = style.size * (0.27 + 0.57 * len(str(item.number)) if item.ordered else 0.38)
        opened = {
            "kind": "list",
            "gap": place.below,
            "name": next(iter(self._coming), None),
            "number": item.list_number,
            "ordered": item.ordered,
            "style": self._texts.style(style),
            "space": style.space_after,
            "indent": max(LIST_STEP - MARK_ROOM - across, 0.0),
            "shift": style.indent,
            "items": [],
        }
        if place.lists:
            place.lists[-1]["items"][-1]["inner"].append(opened)
        else:
            place.blocks.append(opened)
            place.below = style.space_after
        self._coming = []
        place.lists.append(opened)

    # tables

    def _table(self, table: Table, page: Page) -> Json:
        header = [cell for row in table.header for cell in self._row(row, False, page)]
        rows: list[Json] = []
        for number, row in enumerate(table.rows):
            if row.carried and not number:
                self._telling.warn("dropped", "a tagged PDF carries no totals from page to page")
            rows += self._row(row, table.zebra and number % 2 == 1, page, table.break_rows)
        return {
            "kind": "table",
            "gap": 0.0,
            "below": BELOW_TABLE,
            "widths": _widths(table, page),
            "borders": table.borders,
            "header": header or None,
            "repeat-header": table.repeat_header,
            "rows": rows,
            "footer": self._row(table.footer, False, page) if table.footer else None,
            "repeat-footer": table.repeat_footer,
        }

    def _row(self, row: Row, is_striped: bool, page: Page, may_break: bool = False) -> list[Json]:
        self._cells += len(row.cells)
        if self._cells > self._limits.typeset_cells:
            raise TooLarge("typeset_cells", self._limits.typeset_cells)
        cells = [self._cell(cell, page, may_break) for cell in row.cells if cell is not None]
        if is_striped and row.kind == "body":
            for cell in cells:
                cell["background"] = cell["background"] or "#F5F7F9"
        return cells

    def _cell(self, cell: Cell, page: Page, may_break: bool) -> Json:
        said = self._texts.said(cell.runs, cell.style)
        said["plain"] = said["rtl"] is None and cell.style.align != "justify"
        said["breakable"] = may_break or bool(cell.blocks) or len(cell.text) > WHOLE_CELL
        said["across"], said["down"] = cell.across, cell.down
        said["blocks"] = None
        if cell.blocks:
            said["blocks"] = self._within(cell.blocks, page)
        return said

    # what holds others

    def _holding(self, block: Table | Group | Columns, page: Page) -> Json:
        if isinstance(block, Table):
            return self._table(block, page)
        return self._group(block, page) if isinstance(block, Group) else self._columns(block, page)

    def _within(self, blocks: tuple[Block, ...], page: Page) -> list[Json]:
        place = _Place([], page)
        for block in blocks:
            self._put(block, place)
        return place.blocks

    def _group(self, group: Group, page: Page) -> Json:
        return {
            "kind": "group",
            "gap": 0.0,
            "below": BELOW_OTHERS if group.padding else 0.0,
            "blocks": self._within(group.blocks, page),
            "whole": group.keep_together,
            "border": [group.border.color, group.border.thickness] if group.border else None,
            "background": group.background,
            "padding": group.padding,
        }

    def _columns(self, columns: Columns, page: Page) -> Json:
        return {
            "kind": "columns",
            "gap": 0.0,
            "widths": [{"kind": width.kind, "amount": width.amount} for width in columns.widths],
            "gutter": columns.gap,
            "items": [self._within(item, page) for item in columns.items],
        }

    # the rest

    def _contents(self, block: Contents) -> Json:
        if block.kind != "heading":
            return self._captions(block)
        first, last = block.levels
        style, space = self._texts.style(block.style), block.style.space_after
        return {"kind": "contents", "gap": 0.0, "style": style, "space": space, "first": first, "last": last}

    def _captions(self, block: Contents) -> Json:
        rows = [
            [_name(each), self._texts.shown(each.text)] for each in self._resolved.entries if each.kind == block.kind
        ]
        style, space = self._texts.style(block.style), block.style.space_after
        return {"kind": "captions", "gap": 0.0, "style": style, "space": space, "rows": rows}

    def _picture(self, block: Image | Barcode, page: Page) -> Json:
        if isinstance(block, Image):
            data, ending = block.data, block.media_type[6:]
        else:
            data, ending = svg(drawing(block)), "svg"
        if not block.alt.strip() and self._profile.is_accessible:
            self._texts.refuse("missing_alt", "what is no text needs one that stands for it")
        room = page.width - page.left - page.right, page.height - page.top - page.bottom
        scale = min(1.0, room[0] / block.width, room[1] / block.height)
        name = f"{hashlib.sha256(data).hexdigest()[:32]}.{ending}"
        self._files[name] = data
        return {
            "kind": "image",
            "gap": 0.0,
            "below": BELOW_OTHERS,
            "file": name,
            "width": block.width * scale,
            "height": block.height * scale,
            "alt": block.alt.strip() or None,
            "align": block.align,
        }

    def _furniture(self, furniture: Furniture, pointer: str) -> dict[str, list[Json]]:
        found = {}
        problems = len(self._texts.problems)
        for name, blocks in furniture.items():
            self._telling.pointer = f"{pointer}/{name}"
            place = _Place([], self._resolved.page)
            for block in blocks:
                self._put(block, place)
            found[str(name)] = place.blocks
        # nobody has headers and footers read out, so their images may be silent
        self._texts.problems[problems:] = [
            each for each in self._texts.problems[problems:] if each.code != "missing_alt"
        ]
        return found

    def _mark(self, mark: Watermark | None) -> Json | None:
        if mark is None:
            return None
        style = self._texts.style(Style(size=10.0, bold=True, color=mark.color))
        text = self._texts.shown(mark.text, "/watermark/text")
        return {"text": text, "style": style, "color": mark.color, "opacity": mark.opacity, "angle": mark.angle}


def _room(block: Rule | Spacer | PageBreak) -> Json:
    match block:
        case Rule():
            return {"kind": "rule", "gap": 0.0, "color": block.color, "thickness": block.thickness}
        case Spacer():
            return {"kind": "spacer", "height": block.height}
    return {"kind": "page-break"}


def _name(anchor: Anchor) -> str:
    return anchor.name or f"anchor-{anchor.number}"


def _kept(paragraph: Paragraph) -> Paragraph:
    return replace(paragraph, style=replace(paragraph.style, keep_with_next=True))


def _page(page: Page) -> list[float]:
    return [page.width, page.height, page.top, page.right, page.bottom, page.left]


def _widths(table: Table, page: Page) -> list[Json]:
    """Fixed widths are narrowed alike where they are more than there is room."""
    fixed = sum(column.width.amount for column in table.columns if column.width.kind == "points")
    scale = min(1.0, (page.width - page.left - page.right) / fixed) if fixed else 1.0
    return [
        {
            "kind": column.width.kind,
            "amount": column.width.amount * (scale if column.width.kind == "points" else 1.0),
        }
        for column in table.columns
    ]
