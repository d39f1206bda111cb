"""What pages have beside their blocks: a background and a watermark below them, stamps above. Lengths in points."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any, Final, Literal

from bounded_contexts.documents.domain.rendering.blocks import Image, Page
from bounded_contexts.documents.domain.rendering.drawn import image
from bounded_contexts.documents.domain.rendering.expressions import expression, truth
from bounded_contexts.documents.domain.rendering.images import Pictures
from bounded_contexts.documents.domain.rendering.problems import Problem
from bounded_contexts.documents.domain.rendering.styles import points
from bounded_contexts.documents.domain.rendering.telling import Telling
from bounded_contexts.documents.domain.rendering.texts import Texts

Pages = Literal["all", "first", "last"]
EDGE: Final = 36.0  # from the paper's edges to a stamp that says no place
ROOM: Final = 0.7  # of a page's width and height, that a watermark takes at most unless it says its width
_PICTURED: Final = ("asset", "data")


@dataclass(frozen=True, slots=True)
class Mark:
    """A colour, an image or a text on the paper, none of which moves what else is there. `x` and `right` are distances from
    the paper's left and right edge, `y` and `bottom` from its upper and lower; `angle` is in degrees against the clock."""

    kind: Literal["background", "watermark", "stamp"]
    color: str = "#AA0000"
    image: Image | None = None
    text: str = ""
    pages: Pages = "all"
    has_width: bool = False  # of its own
    angle: float = 0.0
    x: float | None = None
    right: float = EDGE
    y: float | None = EDGE
    bottom: float = EDGE
    size: float = 16.0  # of a text
    has_border: bool = True


@dataclass(frozen=True, slots=True)
class Box:
    """Where a mark stands: its upper left corner from the paper's, before it is turned round its middle."""

    x: float
    y: float
    width: float
    height: float


def box_of(mark: Mark, page: Page, width: float, height: float) -> Box:
    """Return the place on a page of a mark that is so wide and high by itself."""
    if mark.kind == "background":
        return Box(0.0, 0.0, page.width, page.height)
    if mark.kind == "watermark":
        scale = 1.0 if mark.has_width else min(ROOM * page.width / width, ROOM * page.height / height)
        width, height = width * scale, height * scale
        return Box((page.width - width) / 2, (page.height - height) / 2, width, height)
    x = page.width - mark.right - width if mark.x is None else mark.x
    y = page.height - mark.bottom - height if mark.y is None else mark.y
    return Box(x, y, width, height)


class Marks:
    """Makes marks of what a document says."""

    def __init__(self, document: Mapping[str, Any], texts: Texts, telling: Telling, pictures: Pictures) -> None:
        self._document, self._texts, self._telling, self._pictures = document, texts, telling, pictures

    def all(self) -> tuple[Mark, ...]:
        """Return those whose conditions hold, the lower ones first; a watermark of text is none of them. Raise `Unwritable`,
        `TooLarge`."""
        return tuple(self._marks())

    def _marks(self) -> Iterator[Mark]:
        background, watermark = self._document.get("background"), self._document.get("watermark")
        if background is not None and self._holds(background, "background"):
            if "color" in background:
                yield Mark("background", background["color"])
            if _has_image(background):
                yield Mark("background", image=self._image(background))
        if watermark is not None and _has_image(watermark) and self._holds(watermark, "watermark"):
            width, angle = "width" in watermark, float(watermark.get("angle", 0.0))
            yield Mark("watermark", image=self._image(watermark, 0.15), has_width=width, angle=angle)
        for number, stamp in enumerate(self._document.get("stamps", ())):
            if self._holds(stamp, f"stamps/{number}"):
                yield self._stamp(stamp)

    def _holds(self, given: Mapping[str, Any], pointer: str) -> bool:
        self._telling.pointer = f"/{pointer}"
        if not truth(expression(given.get("when", True))(self._texts.context)):
            return False
        feature = {"background": "background", "watermark": "image as watermark"}.get(pointer, "stamp")
        self._telling.uses(feature)
        return True

    def _stamp(self, given: Mapping[str, Any]) -> Mark:
        said: dict[str, Any] = {name: given[name] for name in ("color", "pages") if name in given}
        said |= {name: points(given[name]) for name in ("x", "right", "y", "bottom") if name in given}
        said |= {name: float(given[name]) for name in ("angle", "size") if name in given}
        if "bottom" in said:
            said["y"] = None
        made = Mark("stamp", has_border=given.get("border", True), **said)
        if _has_image(given):
            return replace(made, image=self._image(given))
        return replace(made, text=" ".join(self._texts.filled(given["text"]).split()))

    def _image(self, given: Mapping[str, Any], opacity: float = 1.0) -> Image:
        wanted = {name: given[name] for name in (*_PICTURED, "width") if name in given}
        made = image({**wanted, "alt": ""}, self._document.get("assets", {}), self._texts, self._pictures)
        opacity = float(given.get("opacity", opacity))
        if opacity >= 1.0:
            return made
        return replace(made, data=self._pictures.faded(made.data, opacity), media_type="image/png", vector=None)


def _has_image(given: Mapping[str, Any]) -> bool:
    return any(name in given for name in _PICTURED)


def marked(document: Mapping[str, Any]) -> Iterator[tuple[dict[str, Any], str]]:
    """Yield the marks that a document says, and their places."""
    for name in ("background", "watermark"):
        if name in document:
            yield document[name], f"/{name}"
    for number, stamp in enumerate(document.get("stamps", ())):
        yield stamp, f"/stamps/{number}"


def mark_problems(given: dict[str, Any], pointer: str) -> Iterator[Problem]:
    """Yield what is wrong with a mark but its image."""
    said = [name for name in ("text", *_PICTURED) if name in given]
    if pointer == "/background":
        if not said and "color" not in given:
            yield Problem(pointer, "missing_property", "a background has a color, or an image, or both")
    elif len(said) != 1:
        yield Problem(pointer, "not_allowed", "it has either a text, an asset or data")
    if "text" in said and "opacity" in given and pointer != "/watermark":
        yield Problem(f"{pointer}/opacity", "not_allowed", "a stamp of text is opaque")
    for one, other in (("x", "right"), ("y", "bottom")):
        if one in given and other in given:
            yield Problem(f"{pointer}/{other}", "not_allowed", f"a place is said by {one} or by {other}")
