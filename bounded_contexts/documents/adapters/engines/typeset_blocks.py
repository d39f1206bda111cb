"""A document's blocks as JSON for typeset.typ: each with what stands above it, in points; texts stay texts."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field, replace
from typing import Final

from bounded_contexts.documents.adapters.engines import typeset_fonts
from bounded_contexts.documents.adapters.engines.fonts import tell_missing
from bounded_contexts.documents.adapters.engines.typeset_marks import Marks
from bounded_contexts.documents.adapters.engines.typeset_pictures import BELOW, Pictures
from bounded_contexts.documents.adapters.engines.typeset_texts import Json, Texts
from bounded_contexts.documents.domain.errors import TooLarge, Unwritable
from bounded_contexts.documents.domain.rendering.anchoring import said
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
)
from bounded_contexts.documents.domain.rendering.charts import Chart
from bounded_contexts.documents.domain.rendering.fonts import Family
from bounded_contexts.documents.domain.rendering.limits import RenderLimits
from bounded_contexts.documents.domain.rendering.problems import Problem
from bounded_contexts.documents.domain.rendering.standards import UA, Profile
from bounded_contexts.documents.domain.rendering.telling import Telling

LIST_STEP: Final = 16.0
MARK_ROOM: Final = 5.0  # between a mark and its text
BELOW_TABLE: Final = 6.0
NOT_TAGGED: Final = "not_tagged"
WHOLE_CELL: Final = 1_200  # characters that surely stand on one page; a row of more may break


@dataclass(slots=True)
class Typesetting:
    """What `typeset.py` gives to Typst: the data, files that it names, fonts of the document's own."""

    data: Json
    files: dict[str, bytes]
    families: list[Family]


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
        self._pictures = Pictures(self._texts, profile)
        self._marks = Marks(resolved.marks, self._texts, self._pictures)
        self._furnitures: list[tuple[Furniture, Json]] = []
        self._cells = self._level = 0

    @property
    def problems(self) -> list[Problem]:
        """Return what its standards refuse, with their places."""
        return self._texts.problems

    def taken(self) -> Typesetting:
        """Return the whole document. Raise `TooLarge`."""
        meta, resolved = self._resolved.meta, self._resolved
        self._texts.style(Style())
        about = {
            "title": self._texts.shown(meta.title, "/meta/title"),
            "author": [meta.author] if meta.author else [],
            "subject": meta.subject,
            "keywords": list(meta.keywords),
        }
        if self._profile.is_accessible and not meta.title.strip():
            self._texts.refuse("missing_title", "the title says nothing", "/meta/title")
        if meta.properties:
            self._telling.warn("dropped", "a tagged PDF has no custom properties")
        language, _, region = meta.language.partition("-")
        data = {
            "meta": about,
            "language": language.lower(),
            "region": region[-2:].upper() if len(region) in (2, 7) else None,
            "rtl": self._texts.from_right,
            "watermark": self._marks.word(resolved.watermark),
            "sections": self._sections(),
            "furniture": [each for _, each in self._furnitures],
            "styles": self._texts.styles,
            "negated": "".join(sorted(self._texts.negated)),
            "fonts": typeset_fonts.chains(meta.language, self._texts.families),
        }
        tell_missing(self._texts.missing, self._telling)
        return Typesetting(data, self._pictures.files, list(self._texts.families.values()))

    def _sections(self) -> list[Json]:
        resolved = self._resolved
        place = _Place([], resolved.page)
        found = [self._section(Section(resolved.page, resolved.header, resolved.footer), place)]
        for number, block in enumerate(resolved.body(), 1):
            if number > self._limits.typeset_blocks:
                raise TooLarge("typeset_blocks", self._limits.typeset_blocks)
            if isinstance(block, Section):
                place = _Place([], block.page)
                found.append(self._section(block, place))
            else:
                self._put(block, place)
        found = [each for each in found if each["blocks"]] or found[:1]
        for number, each in enumerate(found):
            each["number"] = number
        if found[0]["blocks"] and "gap" in found[0]["blocks"][0]:
            found[0]["blocks"][0]["gap"] = 0.0  # nothing stands above it
        return found

    def _section(self, section: Section, place: _Place) -> Json:
        return {
            "page": _page(section.page),
            "header": self._furniture(section.header, "/header"),
            "footer": self._furniture(section.footer, "/footer"),
            "from": section.first_number,
            "columns": section.columns,
            "between": section.gap,
            "blocks": place.blocks,
            "marks": self._marks.of_page(section.page),
            "letterhead": self._pictures.letterhead(self._resolved.letterhead, section.page),
        }

    def _put(self, block: Block, place: _Place) -> None:
        if isinstance(block, ListItem):
            self._item(block, place)
            return
        place.lists.clear()
        for each in self._blocks(block, place.page):
            above = each.pop("above", 0.0)
            if "gap" in each:
                each["gap"] = place.below + above
            if each["kind"] != "anchor":
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
            case Table():
                yield self._table(block, page)
            case Contents():
                yield self._contents(block)
            case Image() | Barcode() | Chart():
                yield self._pictures.of(block, page)
            case Group() | Columns() | Anchor():
                yield from self._compound(block, page)
            case _:
                yield self._room(block)

    def _room(self, block: Block) -> Json:
        match block:
            case Rule():
                return {"kind": "rule", "gap": 0.0, "color": block.color, "thickness": block.thickness}
            case Spacer():
                return {"kind": "spacer", "height": block.height}
            case PageBreak():
                return {"kind": "page-break"}
        name = type(block).__name__.lower()
        raise Unwritable(NOT_TAGGED, f"{self._telling.pointer}: a tagged PDF has no {name}")

    def _compound(self, block: Group | Columns | Anchor, page: Page) -> Iterator[Json]:
        match block:
            case Group():
                yield self._group(block, page)
            case Columns():
                yield self._columns(block, page)
            case Anchor():
                yield from self._anchor(block)

    def _group(self, group: Group, page: Page) -> Json:
        border = group.border
        blocks, below = self._nested(group.blocks, page)
        if group.padding:  # what the last one wants below it is within the frame
            blocks.append({"kind": "spacer", "height": below})
        return {
            "kind": "group",
            "gap": 0.0,
            "below": BELOW if group.padding else below,
            "whole": group.keep_together,
            "border": {"color": border.color, "thickness": border.thickness} if border else None,
            "background": group.background,
            "padding": group.padding,
            "blocks": blocks,
        }

    def _columns(self, columns: Columns, page: Page) -> Json:
        widths = [{"kind": width.kind, "amount": width.amount} for width in columns.widths]
        items = [
            self._nested(item, page, is_narrow=width.kind == "auto")
            for item, width in zip(columns.items, columns.widths, strict=True)
        ]
        return {
            "kind": "columns",
            "gap": 0.0,
            "below": max(below for _, below in items),
            "widths": widths,
            "between": columns.gap,
            "items": [blocks for blocks, _ in items],
        }

    def _anchor(self, anchor: Anchor) -> Iterator[Json]:
        """A place of a name, or one that a list of captions leads to."""
        if anchor.name or anchor.kind in ("table", "image"):
            text = self._texts.shown(anchor.text)
            yield {"kind": "anchor", "of": anchor.kind, "text": text, "name": anchor.name}

    # texts

    def _framed(self, kind: str, runs: Runs, style: Style) -> Json:
        distances = {"gap": 0.0, "above": style.space_before, "below": style.space_after}
        frame = {"indent": style.indent, "sticky": style.keep_with_next}
        return {"kind": kind, **distances, **frame, **self._texts.said(runs, style)}

    def _paragraph(self, block: Paragraph) -> Json:
        empty = not any(run.text or run.field for run in block.runs)
        role = "paragraph" if empty or block.role == "caption" else block.role
        return self._framed(role, block.runs, block.style)

    def _heading(self, block: Heading) -> Json:
        if UA in self._profile.standards and block.level > self._level + 1:
            self._texts.refuse(
                "skipped_level", f"a heading of level {block.level} comes after one of level {self._level}"
            )
        self._level = block.level
        plain = self._texts.shown(said(block.runs))
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
        across = style.size * (0.27 + 0.57 * len(item.mark[:-1]) if item.ordered else 0.38)
        opened = {
            "kind": "list",
            "gap": place.below,
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
        place.lists.append(opened)

    # tables

    def _table(self, table: Table, page: Page) -> Json:
        header = [cell for row in table.header for cell in self._row(row, False, page)]
        rows: list[Json] = []
        wide: set[int] = set()  # columns of blocks, which take what room there is
        for number, row in enumerate(table.rows):
            if row.carried and not number:
                self._telling.warn("dropped", "a tagged PDF carries no totals from page to page")
            rows += self._row(row, table.zebra and number % 2 == 1, page, table.break_rows)
            wide.update([at for at, cell in enumerate(row.cells) if cell and cell.blocks])
        return {
            "kind": "table",
            "gap": 0.0,
            "below": BELOW_TABLE,
            "widths": _widths(table, page, wide),
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
        cells = [self._cell(cell, page) for cell in row.cells if cell is not None]
        breaks = may_break or any(cell and (cell.blocks or len(cell.text) > WHOLE_CELL) for cell in row.cells)
        for each in cells:
            each["breakable"] = breaks
        if is_striped and row.kind == "body":
            for cell in cells:
                cell["background"] = cell["background"] or "#F5F7F9"
        return cells

    def _cell(self, cell: Cell, page: Page) -> Json:
        said = self._texts.said(cell.runs, cell.style, in_column=True)
        said["plain"] = said["rtl"] is None and cell.style.align != "justify"
        said["across"], said["down"] = cell.across, cell.down
        said["blocks"] = None
        if cell.blocks:
            said["blocks"], _ = self._nested(cell.blocks, page)
        return said

    # the rest

    def _contents(self, block: Contents) -> Json:
        first, last = block.levels
        style, space = self._texts.style(block.style), block.style.space_after
        return {
            "kind": "contents",
            "gap": 0.0,
            "below": space,
            "style": style,
            "space": space,
            "first": first,
            "last": last,
            "of": block.kind,
        }

    def _furniture(self, furniture: Furniture, pointer: str) -> int:
        """Return the number of a header or footer, which sections share."""
        for number, (known, _) in enumerate(self._furnitures):
            if known is furniture:
                return number
        problems = self._texts.problems
        count = len(problems)
        found: Json = {}
        for name, blocks in furniture.items():
            self._telling.pointer = f"{pointer}/{name}"
            found[name], _ = self._nested(blocks, self._resolved.page)
        # nobody has headers and footers read out, so their images may be silent
        problems[count:] = [each for each in problems[count:] if each.code != "missing_alt"]
        self._furnitures.append((furniture, found))
        return len(self._furnitures) - 1

    def _nested(self, blocks: Iterable[Block], page: Page, *, is_narrow: bool = False) -> tuple[list[Json], float]:
        """Return blocks that stand in another, and what the last one wants below it. In what is as wide as they are, they take
        no more room than they need."""
        place = _Place([], page)
        for block in blocks:
            self._put(block, place)
        for each in place.blocks:
            each["narrow"] = is_narrow
        return place.blocks, place.below


def _kept(paragraph: Paragraph) -> Paragraph:
    return replace(paragraph, style=replace(paragraph.style, keep_with_next=True))


def _page(page: Page) -> list[float]:
    return [page.width, page.height, page.top, page.right, page.bottom, page.left]


def _widths(table: Table, page: Page, wide: set[int]) -> list[Json]:
    """Fixed widths are narrowed alike where they are more than there is room."""
    fixed = sum(column.width.amount for column in table.columns if column.width.kind == "points")
    scale = min(1.0, (page.width - page.left - page.right) / fixed) if fixed else 1.0
    found = []
    for number, column in enumerate(table.columns):
        kind, amount = column.width.kind, column.width.amount
        if kind == "auto" and number in wide:
            kind, amount = "share", 1.0
        found.append({"kind": kind, "amount": amount * scale if kind == "points" else amount})
    return found
