"""Texts of a document as typeset.typ takes them: runs of numbered styles, in characters that the fonts have."""

import re
import unicodedata
from dataclasses import replace
from typing import Any, Final

from bounded_contexts.documents.adapters.engines import typeset_fonts
from bounded_contexts.documents.adapters.engines.canvas import RISE
from bounded_contexts.documents.adapters.engines.font_files import opened
from bounded_contexts.documents.adapters.engines.fonts import named
from bounded_contexts.documents.adapters.engines.lines import SMALLER
from bounded_contexts.documents.domain.errors import TooLarge
from bounded_contexts.documents.domain.rendering.blocks import Run, Runs, Style
from bounded_contexts.documents.domain.rendering.fonts import Family, Font
from bounded_contexts.documents.domain.rendering.limits import RenderLimits
from bounded_contexts.documents.domain.rendering.problems import Problem
from bounded_contexts.documents.domain.rendering.standards import Profile
from bounded_contexts.documents.domain.rendering.telling import Telling

Json = dict[str, Any]
MIDDLE: Final = {"sans": 0.776, "mono": 0.743}  # what letters rise above the base line more than they fall below it
FROM_RIGHT: Final = frozenset({"ar", "arc", "ckb", "dv", "fa", "he", "ps", "sd", "ug", "ur", "yi"})  # languages
MIRRORED: Final = {"left": "right", "right": "left"}
# Words that may be wider than a line, which Typst would let run off the page: in scripts whose letters may be parted.
_LONG = re.compile(r"[!-~\u00c0-\u024f\u0370-\u052f]{40,}")
_TEN = re.compile(r".{10}(?=.)")
MAY_BREAK: Final = "\u200b"
_OF_TEXT: Final = ("font", "size", "bold", "italic", "underline", "strike", "color", "line_height", "script")


class Texts:
    """`styles` are those that runs name by their number, `missing` the characters that no font has, `negated` signs that want a
    font of their own, `problems` what the standards refuse."""

    def __init__(self, language: str, telling: Telling, limits: RenderLimits, profile: Profile) -> None:
        self._telling, self._limits, self._profile = telling, limits, profile
        self.from_right = language.split("-")[0].lower() in FROM_RIGHT
        self.styles: list[Json] = []
        self.missing: set[str] = set()
        self.negated: set[str] = set()
        self.problems: list[Problem] = []
        self._numbers: dict[Style, int] = {}
        self._characters = 0
        self.families: dict[str, Family] = {}  # of the document's own, by key

    def style(self, style: Style) -> int:
        """Return the number of a style."""
        if (known := self._numbers.get(style)) is not None:
            return known
        wanted = replace(Style(), **{name: getattr(style, name) for name in _OF_TEXT})
        if (number := self._numbers.get(wanted)) is None:
            number = self._numbers[wanted] = len(self.styles)
            size = style.size if style.script == "normal" else round(style.size * SMALLER, 2)
            above = size * (style.line_height + self._middle(style.font)) / 2
            self.styles.append(
                {
                    "font": style.font.key if isinstance(style.font, Family) else style.font,
                    "size": size,
                    "bold": style.bold,
                    "italic": style.italic,
                    "color": style.color,
                    "above": round(above, 3),
                    "below": round(size * style.line_height - above, 3),
                    "rise": RISE.get(style.script, 0.0) * size,
                    "underline": style.underline,
                    "strike": style.strike,
                }
            )
        self._numbers[style] = number
        return number

    def _middle(self, font: Font) -> float:
        if not isinstance(font, Family):
            return MIDDLE[font]
        self.families[font.key] = font
        return opened(font.file(bold=False, italic=False)).middle

    def shown(self, text: str, pointer: str = "", style: Style | None = None) -> str:
        """Return the text as the fonts can show it, those of the style before all others. Raise `TooLarge`."""
        self._characters += len(text)
        if self._characters > self._limits.typeset_characters:
            raise TooLarge("typeset_characters", self._limits.typeset_characters)
        missing: set[str] = set()
        text = typeset_fonts.shown(text, missing, _own(style))
        if not text.isascii():
            self.negated.update(typeset_fonts.NEGATED.intersection(text))
        if missing and self._profile.standards:
            self.refuse("missing_glyph", f"no font has {named(missing)}", pointer)
        else:
            self.missing |= missing
        return text

    def run(self, run: Run) -> list[Any]:
        """Return a run: its style, its text, and what is special about it."""
        if run.note is not None:
            note = {"runs": [self.run(each) for each in run.note.runs], "style": self.style(run.note.style)}
            return [self.style(replace(run.style, script="normal")), "", {"note": note}]
        text = _LONG.sub(_breakable, self.shown(run.text, style=run.style))
        said: list[Any] = [self.style(run.style), text]
        more = {"link": None, "to": None, "field": run.field, "page": run.page_of}
        if run.link:
            more["to" if run.link.startswith("#") else "link"] = run.link.removeprefix("#")
        if any(more.values()):
            said.append(more)
        return said

    def said(self, runs: Runs, style: Style, *, in_column: bool = False) -> Json:
        """Return what all that has lines says: its runs, how they stand, and how high it is when it says nothing. In a column
        all stand on one side, that of the document."""
        text = "".join([run.text for run in runs if run.note is None])
        from_right = self._direction(text)
        is_mirrored = self.from_right if from_right is None or in_column else from_right
        is_empty = not any(run.text or run.field for run in runs)
        return {
            "runs": [] if is_empty else [self.run(run) for run in runs if run.text or run.field],
            "empty": style.size * style.line_height if is_empty else 0,
            "align": MIRRORED.get(style.align, style.align) if is_mirrored else style.align,
            "rtl": from_right,
            "background": style.background,
        }

    def _direction(self, text: str) -> bool | None:
        """Whether the text runs from right to left, where that is other than the document's language does."""
        if text.isascii() and not self.from_right:
            return None
        for each in text:
            kind = unicodedata.bidirectional(each)
            if kind in ("L", "R", "AL"):
                return None if (kind != "L") == self.from_right else not self.from_right
        return None

    def refuse(self, code: str, detail: str, pointer: str = "") -> None:
        """Add what a standard refuses, here unless another place is given."""
        self.problems.append(Problem(pointer or self._telling.pointer, code, detail))


def _own(style: Style | None) -> frozenset[str]:
    """The characters of the document's own font that a style is set in."""
    if style is None or not isinstance(style.font, Family):
        return frozenset()
    return opened(style.font.file(bold=style.bold, italic=style.italic)).characters


def _breakable(word: "re.Match[str]") -> str:
    return _TEN.sub(rf"\g<0>{MAY_BREAK}", word[0])
