"""What JSON Schema cannot say of a document: that expressions are some, and that names lead somewhere."""

from collections.abc import Callable, Iterator
from typing import Any, Final

from bounded_contexts.documents.domain.errors import TooLarge, Unwritable
from bounded_contexts.documents.domain.rendering.assets import CONTENT, asset_problems, content_of
from bounded_contexts.documents.domain.rendering.attachments import attachment_problems
from bounded_contexts.documents.domain.rendering.blocks import Page
from bounded_contexts.documents.domain.rendering.checking_graphics import drawn_problems
from bounded_contexts.documents.domain.rendering.checking_layout import layout_problems
from bounded_contexts.documents.domain.rendering.checking_sheets import sheet_block_problems, sheet_problems
from bounded_contexts.documents.domain.rendering.expressions import expression, path_of, template
from bounded_contexts.documents.domain.rendering.fonts import OURS, font_problems
from bounded_contexts.documents.domain.rendering.functions import moment_of
from bounded_contexts.documents.domain.rendering.images import pixels
from bounded_contexts.documents.domain.rendering.letterheads import letterhead_problems
from bounded_contexts.documents.domain.rendering.limits import RenderLimits
from bounded_contexts.documents.domain.rendering.listing import list_problems
from bounded_contexts.documents.domain.rendering.marks import mark_problems, marked
from bounded_contexts.documents.domain.rendering.problems import BadExpression, Problem
from bounded_contexts.documents.domain.rendering.properties import property_problems
from bounded_contexts.documents.domain.rendering.spans import is_cell, misplaced
from bounded_contexts.documents.domain.rendering.standards import problems_of_profile
from bounded_contexts.documents.domain.rendering.styles import Styles, page_of, scheme_of
from bounded_contexts.documents.domain.values import Value, escaped

ROOM: Final = 72.0  # points that margins leave at least, each way
_EXPRESSIONS: Final = ("value", "test", "when", "category", "x")
_BY_KIND: Final = {
    "list": list_problems,
    "barcode": drawn_problems,
    "chart": drawn_problems,
    "sheet": sheet_block_problems,
}
_STYLES: Final = ("style", "titleStyle")
_ELSEWHERE: Final = (("image", "data"), ("include", "with"), (None, "data"))  # what other checks look at
_CELLS: Final = ("rows", "headerRows", "footer")
_NO_CELL: Final = ("each", "$stream", "default", "first", "even")


def problems_of(document: dict[str, Any], limits: RenderLimits) -> Iterator[Problem]:
    """Yield what is wrong with a document that has the form of one."""
    checking = _Checking(document, limits)
    for name, style in document.get("styles", {}).items():
        yield from checking.style(name, f"/styles/{escaped(name)}")
        yield from checking.font(style, f"/styles/{escaped(name)}")
        if "numberFormat" in style:
            yield from checking.number_format(style["numberFormat"], f"/styles/{escaped(name)}/numberFormat")
    yield from asset_problems(document)
    yield from font_problems(document)
    yield from letterhead_problems(document)
    for name, asset in document.get("assets", {}).items():
        if "data" in asset:
            yield from checking.image(asset, f"/assets/{escaped(name)}/data")
    for mark, pointer in marked(document):
        yield from mark_problems(mark, pointer)
        if any(name in mark for name in ("asset", "data")):
            yield from checking.pictured(mark, pointer)
    for name in ("meta", "header", "footer", "letterhead", "background", "watermark", "stamps", "partials", "body"):
        yield from checking.walk(document.get(name), f"/{name}")
    yield from property_problems(document.get("meta", {}).get("properties", {}), "/meta/properties")
    created = document.get("meta", {}).get("created")
    if created is not None and moment_of(created) is None:
        yield Problem("/meta/created", "bad_form", "there is no such time")
    yield from checking.page(document.get("page", {}), "/page")
    yield from layout_problems(document)
    yield from problems_of_profile(document)
    yield from attachment_problems(document)


class _Checking:
    def __init__(self, document: dict[str, Any], limits: RenderLimits) -> None:
        self._styles = Styles(document.get("styles", {}))
        self._assets = document.get("assets", {})
        self._fonts = {*OURS, *(each["family"] for each in document.get("fonts", ()))}
        self._images: set[str] = set()  # stored ones that have been looked at
        self._limits = limits
        self._page = page_of(document.get("page", {}), Page())

    def walk(self, value: Value, pointer: str, key: str = "") -> Iterator[Problem]:
        if isinstance(value, str):
            yield from self._string(value, pointer, key)
        elif key in _EXPRESSIONS and isinstance(value, dict):
            yield from _tried(pointer, expression, value)
        elif isinstance(value, list):
            for index, each in enumerate(value):
                yield from self.walk(each, f"{pointer}/{index}", key if key in _CELLS else "")
        elif isinstance(value, dict):
            if key in _CELLS and not is_cell(value) and not any(name in value for name in _NO_CELL):
                yield from _tried(pointer, expression, value)
                return
            yield from self._object(value, pointer)

    def _object(self, value: dict[str, Any], pointer: str) -> Iterator[Problem]:
        kind = value.get("type")
        yield from self.font(value, pointer)
        if kind == "image":
            yield from self.pictured(value, pointer)
        elif kind == "table":
            yield from _table(value, pointer)
            yield from sheet_problems(value, pointer)
        elif "blocks" in value and "value" in value:
            yield Problem(pointer, "not_allowed", "a cell or column has either a value or blocks")
        elif kind in _BY_KIND:
            yield from _BY_KIND[kind](value, pointer)
        elif kind == "section":
            yield from self.page(value.get("page", {}), f"{pointer}/page")
        elif kind in ("number", "currency", "percent", "date"):
            yield from self.number_format(value, pointer)
        for name, each in value.items():
            if name.startswith("x-") or (name in _STYLES and isinstance(each, str)):
                yield from self.style(each, f"{pointer}/{name}") if name in _STYLES else ()
            elif name != "formula" and (kind, name) not in _ELSEWHERE:
                yield from self.walk(each, f"{pointer}/{escaped(name)}", name)

    def _string(self, value: str, pointer: str, key: str) -> Iterator[Problem]:
        if key == "each":
            yield from _tried(pointer, path_of, value)
            return
        yield from _tried(pointer, template, value)
        if key == "link" and "{{" not in value and not value.startswith("#") and scheme_of(value) is None:
            yield Problem(pointer, "bad_link", "links are http, https, mailto, tel and # with an id")

    def style(self, name: str, pointer: str) -> Iterator[Problem]:
        try:
            self._styles.named(name)
        except KeyError:
            yield Problem(pointer, "unknown_style", "there is no style of this name, or that it extends")
        except RecursionError:
            yield Problem(pointer, "style_circle", "a style extends itself")

    def font(self, given: dict[str, Any], pointer: str) -> Iterator[Problem]:
        if given.get("font", "sans") not in self._fonts:
            yield Problem(f"{pointer}/font", "unknown_font", "a font is sans, mono or a family of `fonts`")

    def number_format(self, given: dict[str, Any], pointer: str) -> Iterator[Problem]:
        if given["type"] == "currency" and "currency" not in given:
            yield Problem(pointer, "missing_property", "a currency format says its currency")

    def image(self, asset: dict[str, Any], pointer: str) -> Iterator[Problem]:
        try:
            pixels(content_of(asset, self._limits), self._limits)
        except (Unwritable, TooLarge) as error:
            yield Problem(pointer, error.code, error.detail)

    def pictured(self, value: dict[str, Any], pointer: str) -> Iterator[Problem]:
        if ("asset" in value) == ("data" in value):
            yield Problem(pointer, "bad_image", "an image has either an asset or data")
        elif "data" in value:
            yield from self.image(value, f"{pointer}/data")
        elif (asset := self._assets.get(value["asset"])) is None:
            yield Problem(f"{pointer}/asset", "unknown_asset", "there is no asset of this name")
        elif asset.get(CONTENT) is not None and value["asset"] not in self._images:
            self._images.add(value["asset"])
            yield from self.image(asset, f"{pointer}/asset")

    def page(self, given: dict[str, Any], pointer: str) -> Iterator[Problem]:
        page = page_of(given, self._page)
        if page.width - page.left - page.right < ROOM or page.height - page.top - page.bottom < ROOM:
            yield Problem(pointer, "no_room", f"margins leave less than {ROOM:.0f} points")


def _table(value: dict[str, Any], pointer: str) -> Iterator[Problem]:
    count = len(value["columns"])
    header_below = 1 if value.get("header", any("title" in column for column in value["columns"])) else 0
    parts = [("headerRows", value.get("headerRows", []), header_below), ("footer", [value.get("footer", [])], 0)]
    if isinstance(value["rows"], list):
        parts.append(("rows", value["rows"], 0))
        if "groupBy" in value:
            yield Problem(f"{pointer}/groupBy", "not_allowed", "rows are grouped where they come out of the data")
    for name, rows, below in parts:
        for number, what in misplaced(rows, count, below):
            yield Problem(f"{pointer}/{name}" + ("" if name == "footer" else f"/{number}"), "too_many", what)


def _tried(pointer: str, parse: Callable[[Any], object], value: Value) -> Iterator[Problem]:
    try:
        parse(value)
    except BadExpression as error:
        yield Problem(pointer, "bad_expression", str(error))
