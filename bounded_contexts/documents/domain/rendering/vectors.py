"""SVG as documents may hold it: shapes, and nothing that runs, fetches or grows.

What an editor left for itself (elements and attributes of other namespaces) is left out; all else that is not listed is refused.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from html import escape  # that of xml.sax.saxutils comes with a client of HTTP, of 6 MB
from typing import Final
from xml.parsers import expat

from bounded_contexts.documents.domain.errors import Unwritable

SVG: Final = "http://www.w3.org/2000/svg"
ELEMENTS: Final = 20_000
SIMPLE: Final = 1_000  # elements of what is drawn as vectors: many take long, and are quick as an image
SHORT: Final = 128 * 1024  # bytes of the same
DEPTH: Final = 64
_PLAIN: Final = frozenset(("svg", "g", "path", "rect", "circle", "ellipse", "line", "polyline", "polygon"))
_SILENT: Final = frozenset(("title", "desc", "metadata"))  # said to others than eyes
# programs that have no gradients draw these otherwise
_RICH: Final = frozenset(("defs", "linearGradient", "radialGradient", "stop", "clipPath"))
_ATTRIBUTES: Final = frozenset(
    {
        "id",
        "width",
        "height",
        "viewBox",
        "preserveAspectRatio",
        "transform",
        "d",
        "x",
        "y",
        "x1",
        "y1",
        "x2",
        "y2",
        "cx",
        "cy",
        "r",
        "rx",
        "ry",
        "points",
        "fill",
        "fill-rule",
        "fill-opacity",
        "stroke",
        "stroke-width",
        "stroke-linecap",
        "stroke-linejoin",
        "stroke-miterlimit",
        "stroke-dasharray",
        "stroke-dashoffset",
        "stroke-opacity",
        "opacity",
        "color",
        "display",
        "visibility",
        "offset",
        "stop-color",
        "stop-opacity",
        "gradientUnits",
        "gradientTransform",
        "spreadMethod",
        "fx",
        "fy",
        "clip-path",
        "clip-rule",
        "clipPathUnits",
        "style",
        "version",
    }
)
_URL = re.compile(r"url\(\s*['\"]?#[\w.-]+['\"]?\s*\)")
_UNSAFE = re.compile(r"url\s*\(|expression|@import|javascript:|[\\<>{}]|/\*", re.IGNORECASE)
_LENGTH = re.compile(r"\s*(\d{1,6}(?:\.\d{1,9})?|\.\d{1,9})\s*(px|pt|mm|cm|in|pc)?\s*")
_PIXELS: Final = {"": 1.0, "px": 1.0, "pt": 96 / 72, "mm": 96 / 25.4, "cm": 96 / 2.54, "in": 96.0, "pc": 16.0}


@dataclass(frozen=True, slots=True)
class Vector:
    """An SVG that has been looked through. Width and height in pixels, 96 to the inch. `is_plain`: there are only shapes of
    one colour each in it, and not too many."""

    svg: bytes
    width: float
    height: float
    is_plain: bool


def looks_like_svg(data: bytes) -> bool:
    """Return whether data is meant as an SVG."""
    return b"<svg" in data[:4_096]


def vector(data: bytes) -> Vector:
    """Return the SVG. Raise `Unwritable` for what is none, or has what is not drawn."""
    reading = _Reading()
    parser = expat.ParserCreate(namespace_separator=" ")
    parser.StartElementHandler, parser.EndElementHandler = reading.start, reading.end
    parser.StartDoctypeDeclHandler = reading.doctype
    try:
        parser.Parse(data, True)
    except (expat.ExpatError, LookupError, ValueError):  # the latter two for charsets that expat does not read
        raise _refused("an SVG is well-formed XML") from None
    width, height = reading.size()
    svg = "".join(reading.out).encode()
    return Vector(svg, width, height, reading.is_plain and len(reading.out) <= 2 * SIMPLE and len(svg) <= SHORT)


def _refused(detail: str) -> Unwritable:
    return Unwritable("bad_image", detail)


@dataclass(slots=True)
class _Reading:
    out: list[str] = field(default_factory=list)
    is_plain: bool = True
    _root: dict[str, str] = field(default_factory=dict)
    _open: list[str] = field(default_factory=list)
    _skipped: int = 0  # how deep in what is left out
    _count: int = 0

    def doctype(self, name: str, system: str | None, public: str | None, has_internal_subset: int) -> None:
        if has_internal_subset:
            raise _refused("an SVG declares no entities")

    def start(self, name: str, attributes: Mapping[str, str]) -> None:
        space, _, local = name.rpartition(" ")
        self._count += 1
        if self._count > ELEMENTS or len(self._open) + self._skipped > DEPTH:
            raise _refused(f"an SVG has {ELEMENTS} elements at most, and {DEPTH} in each other")
        if self._skipped or (self._open and space != SVG) or local in _SILENT:
            self._skipped += 1
            return
        if not self._open and (space, local) != (SVG, "svg"):
            raise _refused("an SVG begins with svg in its namespace")
        if local not in _PLAIN and local not in _RICH:
            raise _refused(f"an SVG has no {local[:40]}: only shapes, groups, gradients and clips are drawn")
        self.is_plain = self.is_plain and local in _PLAIN
        kept = {key: self._kept(key.rpartition(" ")[2], value) for key, value in attributes.items() if _is_kept(key)}
        if not self._open:
            self._root = kept
        said = "".join([f' {key}="{escape(value)}"' for key, value in kept.items()])
        namespace = "" if self._open else f' xmlns="{SVG}"'
        self.out.append(f"<{local}{namespace}{said}>")
        self._open.append(local)

    def _kept(self, key: str, value: str) -> str:
        if key.startswith("on") or key in ("href", "filter", "mask"):
            raise _refused(f"an SVG has no attribute {key[:40]}")
        without = _URL.sub("", value)
        if _UNSAFE.search(without):
            raise _refused(f"an SVG refers to nothing outside, as {key[:40]} does")
        if without != value or "opacity" in key or "opacity" in value:
            self.is_plain = False
        return value

    def end(self, name: str) -> None:
        if self._skipped:
            self._skipped -= 1
            return
        self.out.append(f"</{self._open.pop()}>")

    def size(self) -> tuple[float, float]:
        """Return how large the root says it is."""
        box = [float(each) for each in re.findall(r"-?\d{1,9}(?:\.\d{1,9})?", self._root.get("viewBox", ""))]
        sides = (box[2], box[3]) if len(box) == 4 else (0.0, 0.0)
        found = [_length(self._root.get(name)) or side for name, side in zip(("width", "height"), sides, strict=True)]
        if not all(0 < each <= 100_000 for each in found):
            raise _refused("an SVG says its width and height, or has a viewBox")
        return found[0], found[1]


def _is_kept(name: str) -> bool:
    """Return whether an attribute is looked at: those that draw, and those that are refused. Links have a namespace."""
    space, _, local = name.rpartition(" ")
    return local == "href" or (
        not space and (local in _ATTRIBUTES or local.startswith("on") or local in ("filter", "mask"))
    )


def _length(text: str | None) -> float:
    match = _LENGTH.fullmatch(text or "")
    return float(match[1]) * _PIXELS[match[2] or ""] if match else 0.0
