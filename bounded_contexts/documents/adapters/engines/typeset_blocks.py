"""A document's blocks as JSON for typeset.typ: each with what stands above it, in points; texts stay texts."""

import hashlib
import unicodedata
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field, replace
from typing import Any, Final

from bounded_contexts.documents.adapters.engines import typeset_fonts
from bounded_contexts.documents.adapters.engines.barcodes import matrix
from bounded_contexts.documents.adapters.engines.fonts import named, tell_missing
from bounded_contexts.documents.domain.errors import TooLarge
from bounded_contexts.documents.domain.rendering.blocks import (
    Block,
    Cell,
    Contents,
    Furniture,
    Heading,
    Image,
    ListItem,
    Page,
    PageBreak,
    Paragraph,
    QrCode,
    Resolved,
    Row,
    Rule,
    Run,
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

Json = dict[str, Any]
LIST_STEP: Final = 16.0
MARK_ROOM: Final = 5.0  # between a mark and its text
BELOW_OTHERS: Final = 4.0  # an image or a code
BELOW_TABLE: Final = 6.0
WHOLE_CELL: Final = 1_200  # characters that surely stand on one page
MIDDLE: Final = {"sans": 0.776, "mono": 0.743}  # what letters rise above the base line more than they fall below it
FROM_RIGHT: Final = frozenset({"ar", "arc", "ckb", "dv", "fa", "he", "ps", "sd", "ug", "ur", "yi"})
MIRRORED: Final = {"left": "right", "right": "left"}


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
    """Takes a document's blocks once. `problems` are what its standards refuse, with their places."""

    def __init__(self, resolved: Resolved, telling: Telling, limits: RenderLimits, profile: Profile) -> None:
        self._resolved, self._telling, self._limits, self._profile = resolved, telling, limits, profile
        self.problems: list[Problem] = []
        self._styles: dict[Style, int] = {}
        self._texts: list[Json] = []
        self._files: dict[str, bytes] = {}
        self._missing: set[str] = set()
        self._cells = self._level = 0
        self._from_right = resolved.meta.language.split("-")[0].lower() in FROM_RIGHT

    def taken(self) -> Typesetting:
        """Return the whole document. Raise `TooLarge`."""
        meta, resolved = self._resolved.meta, self._resolved
        self._style(Style())
        said = {
            "title": self._shown(meta.title, "/meta/title"),
            "author": [meta.author] if meta.author else [],
            "subject": meta.subject,
            "keywords": list(meta.keywords),
        }
        language, _, region = meta.language.partition("-")
        data = {
            "meta": said,
            "language": language.lower(),
            "region": region[-2:].upper() if len(region) in (2, 7) else None,
            "rtl": self._from_right,
            "fonts": {name: typeset_fonts.chain(name, meta.language) for name in ("sans", "mono")},
            "header": self._furniture(resolved.header, "/header"),
            "footer": self._furniture(resolved.footer, "/footer"),
            "watermark": self._mark(resolved.watermark),
            "sections": self._sections(),
            "styles": self._texts,
        }
        tell_missing(self._missing, self._telling)
        return Typesetting(data, self._files)

    def _sections(self) -> list[Json]:
        place = _Place([], self._resolved.page)
        sections = [{"page": _page(place.page), "blocks": place.blocks}]
        for number, block in enumerate(self._resolved.body(), 1):
            if number > self._limits.typeset_blocks:
                raise TooLarge("typeset_blocks", self._limits.typeset_blocks)
            if isinstance(block, Section):
                place = _Place([], block.page)
                sections.append({"page": _page(place.page), "blocks": place.blocks})
            else:
                self._put(block, place)
        found = [each for each in sections if each["blocks"]] or sections[:1]
        for number, each in enumerate(found):
            each["first"] = number == 0
        if found[0]["blocks"] and "gap" in found[0]["blocks"][0]:
            found[0]["blocks"][0]["gap"] = 0.0  # nothing stands above it
        return found

    def _put(self, block: Block, place: _Place) -> None:
        if isinstance(block, ListItem):
            self._item(block, place)
            return
        place.lists.clear()
        for each in self._blocks(block, place.page):
            above = each.pop("above", 0.0)
            if "gap" in each:
                each["gap"] = place.below + above
            place.below = each.pop("below", 0.0)
            place.blocks.append(each)

    def _blocks(self, block: Block, page: Page) -> Iterator[Json]:
        match block:
            case Heading():
                yield self._heading(block)
            case Paragraph():
                yield self._paragraph(block)
            case Table():
                if block.caption is not None:
                    yield self._paragraph(_kept(block.caption))
                yield self._table(block, page)
            case Contents():
                if block.title is not None:
                    yield self._paragraph(_kept(block.title))
                yield self._contents(block)
            case Image() | QrCode():
                yield self._picture(block, page)
            case Rule():
                yield {"kind": "rule", "gap": 0.0, "color": block.color, "thickness": block.thickness}
            case Spacer():
                yield {"kind": "spacer", "height": block.height}
            case PageBreak():
                yield {"kind": "page-break"}

    # texts

    def _style(self, style: Style) -> int:
        wanted = replace(Style(), **{name: getattr(style, name) for name in _OF_TEXT})
        if (number := self._styles.get(wanted)) is None:
            number = self._styles[wanted] = len(self._texts)
            above = style.size * (style.line_height + MIDDLE[style.font]) / 2
            self._texts.append(
                {
                    "font": style.font,
                    "size": style.size,
                    "bold": style.bold,
                    "italic": style.italic,
                    "color": style.color,
                    "above": round(above, 3),
                    "below": round(style.size * style.line_height - above, 3),
                    "underline": style.underline,
                    "strike": style.strike,
                }
            )
        return number

    def _shown(self, text: str, pointer: str = "") -> str:
        missing: set[str] = set()
        text = typeset_fonts.shown(text, missing)
        if missing and self._profile.standards:
            self._refuse("missing_glyph", f"no font has {named(missing)}", pointer)
        else:
            self._missing |= missing
        return text

    def _run(self, run: Run) -> list[Any]:
        said: list[Any] = [self._style(run.style), self._shown(run.text)]
        if run.link or run.field:
            said += [run.link, run.field]
        return said

    def _said(self, runs: Runs, style: Style) -> Json:
        """What all that has lines says: its runs, how they stand, and how high it is when it says nothing."""
        text = "".join([run.text for run in runs])
        from_right = self._direction(text)
        is_mirrored = self._from_right if from_right is None else from_right
        is_empty = not text and not any(run.field for run in runs)
        return {
            "runs": [] if is_empty else [self._run(run) for run in runs if run.text or run.field],
            "empty": style.size * style.line_height if is_empty else 0,
            "align": MIRRORED.get(style.align, style.align) if is_mirrored else style.align,
            "rtl": from_right,
            "background": style.background,
        }

    def _direction(self, text: str) -> bool | None:
        """Whether the text runs from right to left, where that is other than the document's language does."""
        if text.isascii() and not self._from_right:
            return None
        for each in text:
            kind = unicodedata.bidirectional(each)
            if kind in ("L", "R", "AL"):
                return None if (kind != "L") == self._from_right else not self._from_right
        return None

    def _framed(self, kind: str, runs: Runs, style: Style) -> Json:
        distances = {"gap": 0.0, "above": style.space_before, "below": style.space_after}
        frame = {"indent": style.indent, "sticky": style.keep_with_next}
        return {"kind": kind, **distances, **frame, **self._said(runs, style)}

    def _paragraph(self, block: Paragraph) -> Json:
        empty = not any(run.text or run.field for run in block.runs)
        return self._framed("paragraph" if empty else block.role, block.runs, block.style)

    def _heading(self, block: Heading) -> Json:
        if UA in self._profile.standards and block.level > self._level + 1:
            self._refuse("skipped_level", f"a heading of level {block.level} comes after one of level {self._level}")
        self._level = block.level
        plain = self._shown("".join([run.text for run in block.runs]))
        kind = "heading" if plain.strip() else "paragraph"
        return {**self._framed(kind, block.runs, block.style), "level": block.level, "plain": plain}

    # lists

    def _item(self, item: ListItem, place: _Place) -> None:
        del place.lists[item.level + 1 :]
        if len(place.lists) > item.level and place.lists[-1]["number"] != item.list_number:
            place.lists.pop()
        if len(place.lists) <= item.level:
            self._open(item, place)
        said = {"number": item.number, "mark": item.mark, "inner": [], **self._said(item.runs, item.style)}
        place.lists[-1]["items"].append(said)

    def _open(self, item: ListItem, place: _Place) -> None:
        style = item.style
        across = style.size * (0.27 + 0.57 * len(str(item.number)) if item.ordered else 0.38)
        opened = {
            "kind": "list",
            "gap": place.below,
            "number": item.list_number,
            "ordered": item.ordered,
            "style": self._style(style),
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
        header = [self._cell(column.title) for column in table.columns] if table.has_header else None
        rows = [cell for number, row in enumerate(table.rows) for cell in self._row(row, table.zebra and number % 2)]
        return {
            "kind": "table",
            "gap": 0.0,
            "below": BELOW_TABLE,
            "widths": _widths(table, page),
            "borders": table.borders,
            "header": header,
            "repeat-header": table.repeat_header,
            "rows": rows,
            "footer": self._row(table.footer, 0) if table.footer else None,
            "repeat-footer": table.repeat_footer,
        }

    def _row(self, row: Row, striped: int) -> list[Json]:
        self._cells += len(row.cells)
        if self._cells > self._limits.typeset_cells:
            raise TooLarge("typeset_cells", self._limits.typeset_cells)
        cells = [self._cell(cell) for cell in row.cells]
        if striped and row.kind == "body":
            for cell in cells:
                cell["background"] = cell["background"] or "#F5F7F9"
        return cells

    def _cell(self, cell: Cell) -> Json:
        return {**self._said(cell.runs, cell.style), "breakable": len(cell.text) > WHOLE_CELL}

    # the rest

    def _contents(self, block: Contents) -> Json:
        first, last = block.levels
        style, space = self._style(block.style), block.style.space_after
        return {"kind": "contents", "gap": 0.0, "style": style, "space": space, "first": first, "last": last}

    def _picture(self, block: Image | QrCode, page: Page) -> Json:
        if isinstance(block, Image):
            width, height, data, ending = block.width, block.height, block.data, block.media_type[6:]
        else:
            width = height = block.size
            data, ending = _svg(matrix(block)), "svg"
        if not block.alt.strip() and self._profile.is_accessible:
            self._refuse("missing_alt", "what is no text needs one that stands for it")
        room = page.width - page.left - page.right, page.height - page.top - page.bottom
        scale = min(1.0, room[0] / width, room[1] / height)
        name = f"{hashlib.sha256(data).hexdigest()[:32]}.{ending}"
        self._files[name] = data
        return {
            "kind": "image",
            "gap": 0.0,
            "below": BELOW_OTHERS,
            "file": name,
            "width": width * scale,
            "height": height * scale,
            "alt": block.alt.strip() or None,
            "align": block.align,
        }

    def _furniture(self, furniture: Furniture, pointer: str) -> dict[str, list[Json]]:
        found = {}
        problems = len(self.problems)
        for name, blocks in furniture.items():
            self._telling.pointer = f"{pointer}/{name}"
            place = _Place([], self._resolved.page)
            for block in blocks:
                self._put(block, place)
            found[str(name)] = place.blocks
        # nobody has headers and footers read out, so their images may be silent
        self.problems[problems:] = [each for each in self.problems[problems:] if each.code != "missing_alt"]
        return found

    def _mark(self, mark: Watermark | None) -> Json | None:
        if mark is None:
            return None
        style = self._style(Style(size=10.0, bold=True, color=mark.color))
        text = self._shown(mark.text, "/watermark/text")
        return {"text": text, "style": style, "color": mark.color, "opacity": mark.opacity, "angle": mark.angle}

    def _refuse(self, code: str, detail: str, pointer: str = "") -> None:
        self.problems.append(Problem(pointer or self._telling.pointer, code, detail))


_OF_TEXT: Final = ("font", "size", "bold", "italic", "underline", "strike", "color", "line_height")


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


def _svg(fields: Iterable[Iterable[int]]) -> bytes:
    rows = [list(row) for row in fields]
    dark = "".join([f"M{x} {y}h1v1h-1z" for y, row in enumerate(rows) for x, each in enumerate(row) if each])
    size = f"0 0 {len(rows[0])} {len(rows)}"
    return f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="{size}"><path d="{dark}"/></svg>'.encode()
