"""Lengths, pages and styles as a document says them, as engines take them."""

import re
from collections.abc import Mapping
from dataclasses import replace
from decimal import Decimal
from typing import Any, Final

from bounded_contexts.documents.domain.rendering.blocks import NumberFormat, Page, Style, Width
from bounded_contexts.documents.domain.rendering.fonts import Family
from bounded_contexts.documents.domain.rendering.schema import SIZES
from bounded_contexts.documents.domain.values import Value

POINTS: Final = {"mm": 72 / 25.4, "cm": 72 / 2.54, "in": 72.0, "pt": 1.0}
_NAMES: Final = {
    "spaceBefore": "space_before",
    "spaceAfter": "space_after",
    "lineHeight": "line_height",
    "keepWithNext": "keep_with_next",
    "numberFormat": "number_format",
}
_LENGTHS: Final = ("spaceBefore", "spaceAfter", "indent")
_BUILT_IN: Final[dict[str, dict[str, Any]]] = {
    **{
        f"heading{level}": {"size": size, "bold": True, "spaceBefore": 10.0, "spaceAfter": 4.0, "keepWithNext": True}
        for level, size in enumerate((20, 16, 13, 11.5, 10.5, 10), 1)
    },
    "quote": {"indent": 18.0, "italic": True, "color": "#404040"},
    "code": {"font": "mono", "size": 9, "background": "#F2F2F2"},
    "caption": {"italic": True, "keepWithNext": True},
    "footnote": {"size": 8, "bold": False, "italic": False, "spaceBefore": 0.0, "spaceAfter": 1.0},
    "title": {"bold": True, "background": "#E8ECF0"},
    "group": {"bold": True},
    "subtotal": {"bold": True},
    "total": {"bold": True},
}


def points(length: Value) -> float:
    """Return a length in points."""
    if not isinstance(length, str):
        return float(length)
    return round(float(length[:-2]) * POINTS[length[-2:]], 4)


def width_of(width: Value) -> Width:
    """Return the width of a column."""
    if width == "auto":
        return Width("auto")
    if isinstance(width, str) and width.endswith("fr"):
        return Width("share", float(width[:-2]) or 1.0)
    return Width("points", points(width))


def page_of(given: Mapping[str, Value], outer: Page) -> Page:
    """Return a page; what is not said is as outside."""
    width, height = (outer.width, outer.height) if "size" not in given else SIZES[given["size"]]
    width = points(given["width"]) if "width" in given else width
    height = points(given["height"]) if "height" in given else height
    if given.get("orientation", "") and (given["orientation"] == "landscape") != (width > height):
        width, height = height, width
    margins = {side: points(length) for side, length in given.get("margins", {}).items() if not side.startswith("x-")}
    return replace(outer, width=width, height=height, **margins)


class Styles:
    """The named styles of a document over those that are built in."""

    def __init__(self, named: Mapping[str, Mapping[str, Value]], families: Mapping[str, Family] | None = None) -> None:
        """`families` are those that the document brings with it, by name."""
        self._named, self._families = named, families or {}
        self._known: dict[tuple[Style, str], Style] = {}

    def named(self, name: str) -> dict[str, Value]:
        """Return all properties of a named style, of those it extends too. Raise `KeyError` for no style, `RecursionError`
        for a circle."""
        return self._with_outer(name, ())

    def _with_outer(self, name: str, seen: tuple[str, ...]) -> dict[str, Value]:
        if name in seen:
            raise RecursionError(name)
        own = self._named[name] if name in self._named else _BUILT_IN[name]
        outer = own.get("extends")
        # a document's own heading1 stands on the built-in one
        below = _BUILT_IN.get(name, {}) if outer is None else self._with_outer(outer, (*seen, name))
        return {**below, **own}

    def over(self, base: Style, given: Value) -> Style:
        """Return the base with what a name or an object of properties says."""
        if given is None:
            return base
        if isinstance(given, str):
            key = (base, given)
            if key not in self._known:
                self._known[key] = self._with_font(with_properties(base, self.named(given)))
            return self._known[key]
        return self._with_font(with_properties(base, given))

    def _with_font(self, style: Style) -> Style:
        if not isinstance(style.font, str) or style.font not in self._families:
            return style
        return replace(style, font=self._families[style.font])


def with_properties(base: Style, properties: Mapping[str, Value]) -> Style:
    """Return the base with the properties, as documents name them."""
    changes: dict[str, Any] = {}
    for name, value in properties.items():
        if name in _LENGTHS:
            changes[_NAMES.get(name, name)] = points(value)
        elif name == "numberFormat":
            changes["number_format"] = number_format_of(value)
        elif name in _NAMES or name in Style.__dataclass_fields__:
            changes[_NAMES.get(name, name)] = (
                float(value) if isinstance(value, int | Decimal) and not isinstance(value, bool) else value
            )
    return replace(base, **changes) if changes else base


def number_format_of(given: Mapping[str, Value] | None) -> NumberFormat | None:
    """Return a format of numbers as a document says it; None where it says none."""
    if given is None:
        return None
    kind = given["type"]
    argument = given.get({"currency": "currency", "date": "pattern"}.get(kind, "digits"))
    if kind in ("number", "percent") and argument is not None:
        argument = int(argument)
    return NumberFormat(kind, argument if argument is not None else {"currency": "XXX", "date": "medium"}.get(kind))


def scheme_of(link: str) -> str | None:
    """Return the scheme of a link that may be written, None for one that may not."""
    match = re.match(r"(https?|mailto|tel):[^\x00-\x20\x7f<>\"\\^`{|}]+\Z", link, re.IGNORECASE)
    return match[1].lower() if match else None
