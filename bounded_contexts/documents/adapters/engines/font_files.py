"""Font files that others have made: looked through before anything else reads them, and named anew for Typst."""

import io
import struct
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import lru_cache
from hashlib import sha256
from itertools import pairwise
from typing import Any, Final

from fontTools.ttLib import TTFont

from bounded_contexts.documents.domain.errors import Unwritable

TRUETYPE: Final = (b"\0\1\0\0", b"true")
OPENTYPE: Final = (b"OTTO",)
TABLES: Final = 64
NEEDED: Final = ("head", "hhea", "maxp", "hmtx", "cmap", "name", "OS/2")
DEPTH: Final = 12  # of glyphs made of glyphs
PARTS: Final = 1_000  # that a glyph is made of, all in all
KEPT: Final = 40  # files: a document has no more
# What a font says of embedding (OpenType, OS/2, fsType): one of the first three bits, the most permissive holds
RESTRICTED, MILDER, WHOLE, BITMAPS = 0x0002, 0x000C, 0x0100, 0x0200
_MANY, _WORDS, _SCALE, _SCALES, _MATRIX, _MORE = -1, 0x0001, 0x0008, 0x0040, 0x0080, 0x0020


@dataclass(frozen=True, slots=True)
class FontFile:
    """What is known of a font. `middle` is what letters rise above the base line more than they fall below it, of the size;
    `is_quick` says that the quick engine takes it."""

    family: str
    style: str
    glyphs: int
    characters: frozenset[str]
    middle: float
    is_quick: bool


@lru_cache(maxsize=KEPT)
def opened(data: bytes) -> FontFile:
    """Return what is known of a font. Raise `Unwritable` for what is none, is built to harm, or may not be embedded."""
    if data[:4] not in TRUETYPE + OPENTYPE or int.from_bytes(data[4:6], "big") > TABLES:
        raise Unwritable("bad_font", "a font is one OpenType or TrueType file")
    try:
        with TTFont(io.BytesIO(data), lazy=True) as font:
            return _looked_through(font, data)
    except Unwritable:
        raise
    except Exception:  # the library has many ways to say no
        raise Unwritable("bad_font", "a font cannot be read") from None


def renamed(data: bytes, family: str, *, bold: bool, italic: bool) -> bytes:
    """Return the font as that cut of a family, whatever it calls itself: the same bytes for the same font."""
    with TTFont(io.BytesIO(data), lazy=True, recalcBBoxes=False, recalcTimestamp=False) as font:
        names = font["name"]
        names.names = [each for each in names.names if each.nameID not in (1, 2, 4, 16, 17, 21, 22)]
        cut = " ".join([word for word, is_so in (("Bold", bold), ("Italic", italic)) if is_so]) or "Regular"
        for number, text in ((1, family), (2, cut), (4, f"{family} {cut}")):
            names.setName(text, number, 3, 1, 0x409)
        font["OS/2"].usWeightClass = 700 if bold else 400
        font["OS/2"].fsSelection = (
            font["OS/2"].fsSelection & ~0x261 | bold << 5 | italic | (not bold and not italic) << 6
        )
        font["head"].macStyle = bold | italic << 1
        out = io.BytesIO()
        font.save(out, reorderTables=None)
    return out.getvalue()


def name_of(data: bytes) -> str:
    """Return a name that follows from the file."""
    return sha256(data).hexdigest()[:24]


def _looked_through(font: Any, data: bytes) -> FontFile:
    if any(name not in font for name in NEEDED) or not ("glyf" in font or "CFF " in font or "CFF2" in font):
        raise Unwritable("bad_font", "a font has outlines, names and metrics")
    _may_be_embedded(font["OS/2"].fsType)
    units = font["head"].unitsPerEm
    if not 16 <= units <= 16_384:
        raise Unwritable("bad_font", "a font has 16 to 16,384 units")
    if "glyf" in font:
        _is_finite(dict(_composites(font.reader["glyf"], list(font["loca"]))))
    name = font["name"]
    return FontFile(
        (name.getBestFamilyName() or "")[:100],
        (name.getBestSubFamilyName() or "")[:100],
        font["maxp"].numGlyphs,
        frozenset(map(chr, font.getBestCmap() or ())),
        (font["hhea"].ascent + font["hhea"].descent) / units,
        data[:4] in TRUETYPE and "glyf" in font,
    )


def _may_be_embedded(said: int) -> None:
    if said & RESTRICTED and not said & MILDER:
        raise Unwritable("font_not_embeddable", "its maker does not allow it to be embedded (OS/2 fsType)")
    if said & (WHOLE | BITMAPS):
        raise Unwritable("font_not_embeddable", "its maker does not allow parts of it to be embedded (OS/2 fsType)")


def _composites(glyf: bytes, places: list[int]) -> Iterator[tuple[int, list[int]]]:
    """Yield glyphs that are made of others, and of which."""
    for glyph, (begin, end) in enumerate(pairwise(places)):
        if end - begin >= 10 and struct.unpack_from(">h", glyf, begin)[0] <= _MANY:
            yield glyph, list(_parts(glyf, begin + 10))


def _parts(glyf: bytes, at: int) -> Iterator[int]:
    flags = _MORE
    while flags & _MORE:
        flags, part = struct.unpack_from(">HH", glyf, at)
        yield part
        at += 4 + (4 if flags & _WORDS else 2)
        at += 2 if flags & _SCALE else 4 if flags & _SCALES else 8 if flags & _MATRIX else 0


def _is_finite(composites: Mapping[int, list[int]]) -> None:
    known: dict[int, tuple[int, int]] = {}  # how many parts, and how many within each other

    def parts(glyph: int, outside: int) -> tuple[int, int]:
        if outside > DEPTH:
            raise Unwritable("bad_font", "a glyph is made of itself, or of too much")
        if glyph not in known:
            inner = [parts(each, outside + 1) for each in composites.get(glyph, ())]
            known[glyph] = 1 + sum([count for count, _ in inner]), 1 + max([height for _, height in inner], default=0)
        return known[glyph]

    for glyph in composites:
        count, height = parts(glyph, 0)
        if count > PARTS or height > DEPTH:
            raise Unwritable("bad_font", "a glyph is made of itself, or of too much")
