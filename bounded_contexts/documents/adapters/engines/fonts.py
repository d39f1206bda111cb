"""The fonts that PDF documents are set in and carry a subset of: Noto Sans and Cascadia Mono (SIL Open Font License).

A character that neither has is told and stands as a question mark, never as a silent box. Scripts whose letters change with their
neighbours or run from right to left count as missing here: they are set by Typst (`typeset.py`).
"""

import io
import unicodedata
from collections.abc import Iterator
from functools import lru_cache
from typing import Final

import pymupdf_fonts
from reportlab.pdfbase import pdfmetrics
from reportlab.pdfbase.ttfonts import TTFont

from bounded_contexts.documents.adapters.engines import font_files
from bounded_contexts.documents.domain.errors import Unwritable
from bounded_contexts.documents.domain.rendering.blocks import Style
from bounded_contexts.documents.domain.rendering.fonts import Family, Font
from bounded_contexts.documents.domain.rendering.telling import Telling

FILES: Final = {
    ("sans", False, False): "notos",
    ("sans", True, False): "notosbo",
    ("sans", False, True): "notosit",
    ("sans", True, True): "notosbi",
    ("mono", False, False): "cascadia",
    ("mono", True, False): "cascadiab",
    ("mono", False, True): "cascadiai",
    ("mono", True, True): "cascadiabi",
}
FAMILIES: Final = {"sans": "Noto Sans", "mono": "Cascadia Mono"}
UNKNOWN: Final = "?"
_SHAPED: Final = (
    (0x0590, 0x1100),
    (0x1780, 0x1880),
    (0x200E, 0x2010),
    (0x202A, 0x202F),
    (0xA8E0, 0xA900),
    (0xFB1D, 0xFE00),
)


class Face:
    """One cut of a font: what it has, and how wide that is."""

    def __init__(self, name: str, file: bytes) -> None:
        self.font = TTFont(f"headwater-{name}", io.BytesIO(file))
        pdfmetrics.registerFont(self.font)
        face = self.font.face
        self.widths: dict[str, float] = {
            chr(code): face.charWidths.get(code, face.defaultWidth) / 1000
            for code in face.charToGlyph
            if not any(first <= code < end for first, end in _SHAPED)
        }
        self.ascent, self.descent = float(face.ascent / 1000), float(-face.descent / 1000)
        self._has = frozenset(self.widths)
        self.of_word = lru_cache(maxsize=20_000)(self._of_word)  # words come again and again

    def has(self, text: str) -> bool:
        """Return whether it has all characters of the text."""
        return self._has.issuperset(text)

    def _of_word(self, word: str) -> float:
        return sum(map(self.widths.__getitem__, word))

    def width(self, text: str, size: float) -> float:
        """Return how wide the text is, in points."""
        return float(sum(map(self.widths.__getitem__, text)) * size)


@lru_cache(maxsize=len(FILES))
def face_named(file: str) -> Face:
    """Return the face, read when it is first asked for."""
    return Face(file, pymupdf_fonts.myfont(file))


@lru_cache(maxsize=font_files.KEPT)
def own_face(file: bytes) -> Face | None:
    """Return the face of a document's own font, None where it is none for this engine: Typst sets such a document. Raise
    `Unwritable`."""
    if not font_files.opened(file).is_quick:
        return None
    try:
        return Face(font_files.name_of(file), file)
    except Exception:  # the library has many ways to say no
        raise Unwritable("bad_font", "a font cannot be read") from None


def family_name(font: Font) -> str:
    """Return what programs call a font."""
    return font.name if isinstance(font, Family) else FAMILIES[font]


def face_of(style: Style) -> Face:
    """Return what a style is set in."""
    font = style.font
    if isinstance(font, Family):
        own = own_face(font.file(bold=style.bold, italic=style.italic))
        return own or face_named(FILES["sans", style.bold, style.italic])
    return face_named(FILES[font, style.bold, style.italic])


def _others(style: Style) -> list[Face]:
    """What is asked for a character that the font does not have."""
    names = ("sans", "mono") if isinstance(style.font, Family) else ("mono" if style.font == "sans" else "sans",)
    return [face_named(FILES[name, style.bold, style.italic]) for name in names]


def cuts(text: str, style: Style, missing: set[str]) -> Iterator[tuple[str, Face]]:
    """Yield the text in stretches of one face; add the characters that none has to `missing`."""
    face = face_of(style)
    if face.has(text):
        yield text, face
        return
    text = unicodedata.normalize("NFC", text)
    faces = face, *_others(style)
    stretch, in_face = "", face
    for each in text:
        found = next((each_face for each_face in faces if each in each_face.widths), face)
        if each not in found.widths:
            if each.strip() and each not in "\u200b\u200c\u200d\ufe0f\u00ad":
                missing.add(each)
                each = UNKNOWN
            else:
                each = " " if each.isspace() else ""
        if found is not in_face and stretch:
            yield stretch, in_face
            stretch = ""
        in_face = found
        stretch += each
    if stretch:
        yield stretch, in_face


def named(missing: set[str]) -> str:
    """Return the characters' numbers, the first ten."""
    return ", ".join(f"U+{ord(each):04X}" for each in sorted(missing)[:10])


def tell_missing(missing: set[str], telling: Telling) -> None:
    """Tell of the characters that no font has. Raise `Unwritable` where the document wants no such result."""
    if missing:
        telling.pointer = ""
        telling.warn("missing_glyph", f"no font has {named(missing)}")
