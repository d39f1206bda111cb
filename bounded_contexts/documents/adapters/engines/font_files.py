"""Font files that others have made: looked through before anything else reads them, and named anew for Typst."""

import io
import struct
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import lru_cache
from hashlib import sha256
from itertools import pairwise
from typing import Any, Final

import uharfbuzz
from fontTools.ttLib import TTFont
from fontTools.ttLib.tables.DefaultTable import DefaultTable

from bounded_contexts.documents.domain.errors import TooLarge, Unwritable

TRUETYPE: Final = (b"\0\1\0\0", b"true")
OPENTYPE: Final = (b"OTTO",)
TABLES: Final = 64
NEEDED: Final = ("head", "hhea", "maxp", "hmtx", "cmap", "name", "OS/2")
DEPTH: Final = 12  # of glyphs made of glyphs
PARTS: Final = 1_000  # that a glyph is made of, all in all
WEIGHT, SELECTION, MAC_STYLE = 4, 62, 44  # places in OS/2 and head
CHARACTERS: Final = 200_000
KEPT: Final = 40  # files: a document has no more
# What a font says of embedding (OpenType, OS/2, fsType): one of the first three bits, the most permissive holds
RESTRICTED, MILDER, WHOLE, BITMAPS, EDITABLE, USES = 0x0002, 0x000C, 0x0100, 0x0200, 0x0008, 0x000E
_MANY, _WORDS, _SCALE, _SCALES, _MATRIX, _MORE = -1, 0x0001, 0x0008, 0x0040, 0x0080, 0x0020


@dataclass(frozen=True, slots=True)
class FontFile:
    """What is known of a font. `middle` is what letters rise above the base line more than they fall below it, of the size;
    `is_quick` says that the quick engine takes it, `is_editable` that whoever opens what it is in may write with it."""

    family: str
    style: str
    glyphs: int
    characters: frozenset[str]
    middle: float
    is_quick: bool
    is_editable: bool


@lru_cache(maxsize=KEPT)
def opened(data: bytes) -> FontFile:
    """Return what is known of a font. Raise `Unwritable` for what is none, is built to harm, or may not be embedded."""
    if data[:4] not in TRUETYPE + OPENTYPE or int.from_bytes(data[4:6], "big") > TABLES:
        raise Unwritable("bad_font", "a font is one OpenType or TrueType file")
    try:
        with TTFont(io.BytesIO(data), lazy=True) as font:
            return _looked_through(font, data)
    except (Unwritable, TooLarge):
        raise
    except Exception:  # the library has many ways to say no
        raise Unwritable("bad_font", "a font cannot be read") from None


def renamed(data: bytes, family: str, *, bold: bool, italic: bool) -> bytes:
    """Return the font as that cut of a family, whatever it calls itself: the same bytes for the same font. Raise `Unwritable`."""
    try:
        return _renamed(data, family, bold=bold, italic=italic)
    except Exception:  # the library has many ways to say no
        raise Unwritable("bad_font", "a font cannot be read") from None


def _renamed(data: bytes, family: str, *, bold: bool, italic: bool) -> bytes:
    with TTFont(io.BytesIO(data), lazy=True, recalcBBoxes=False, recalcTimestamp=False) as font:
        names = font["name"]
        names.names = [each for each in names.names if each.nameID not in (1, 2, 4, 16, 17, 21, 22)]
        cut = " ".join([word for word, is_so in (("Bold", bold), ("Italic", italic)) if is_so]) or "Regular"
        for number, text in ((1, family), (2, cut), (4, f"{family} {cut}")):
            names.setName(text, number, 3, 1, 0x409)
        metrics = bytearray(font.reader["OS/2"])
        selection = struct.unpack_from(">H", metrics, SELECTION)[0] & ~0x261
        selection |= bold << 5 | italic | (not bold and not italic) << 6
        struct.pack_into(">H", metrics, WEIGHT, 700 if bold else 400)
        struct.pack_into(">H", metrics, SELECTION, selection)
        head = bytearray(font.reader["head"])
        struct.pack_into(">H", head, MAC_STYLE, bold | italic << 1)
        for tag, table in (("OS/2", metrics), ("head", head)):
            font[tag] = DefaultTable(tag)  # as bytes: to write it as more, the library would read all characters
            font[tag].data = bytes(table)
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
    if any(each.offset + each.length > len(data) for each in font.reader.tables.values()):
        raise Unwritable("bad_font", "a font ends early")
    units = font["head"].unitsPerEm
    if not 16 <= units <= 16_384:
        raise Unwritable("bad_font", "a font has 16 to 16,384 units")
    if "glyf" in font:
        glyf, places = font.reader["glyf"], list(font["loca"])
        if len(places) <= font["maxp"].numGlyphs or places != sorted(places) or places[-1] > len(glyf):
            raise Unwritable("bad_font", "a font has other glyphs than it says")
        _is_finite(dict(_composites(glyf, places)), font["maxp"].numGlyphs)
    if sum(_spans(font.reader["cmap"])) > CHARACTERS:
        raise TooLarge("font_characters", CHARACTERS)
    characters = frozenset(map(chr, uharfbuzz.Face(uharfbuzz.Blob(data)).unicodes))
    name = font["name"]
    return FontFile(
        (name.getBestFamilyName() or "")[:100],
        (name.getBestSubFamilyName() or "")[:100],
        font["maxp"].numGlyphs,
        characters,
        (font["hhea"].ascent + font["hhea"].descent) / units,
        data[:4] in TRUETYPE and "glyf" in font,
        not font["OS/2"].fsType & USES or bool(font["OS/2"].fsType & EDITABLE),
    )


def _may_be_embedded(said: int) -> None:
    if said & RESTRICTED and not said & MILDER:
        raise Unwritable("font_not_embeddable", "its maker does not allow it to be embedded (OS/2 fsType)")
    if said & (WHOLE | BITMAPS):
        raise Unwritable("font_not_embeddable", "its maker does not allow parts of it to be embedded (OS/2 fsType)")


def _spans(cmap: bytes) -> Iterator[int]:
    """Yield how many characters each range of a font goes over: readers walk through all of them, also where one is said to go
    over four thousand million, or as many ranges over the same (OpenType, cmap, formats 4, 12 and 13)."""
    count = struct.unpack_from(">H", cmap, 2)[0]
    places = {struct.unpack_from(">I", cmap, 8 + 8 * number)[0] for number in range(count)}
    if len(places) > TABLES:
        raise Unwritable("bad_font", "a font has more lists of characters than any needs")
    for at in places:
        kind = struct.unpack_from(">H", cmap, at)[0]
        if kind == 4:
            segments = struct.unpack_from(">H", cmap, at + 6)[0] // 2
            ends = struct.unpack_from(f">{segments}H", cmap, at + 14)
            starts = struct.unpack_from(f">{segments}H", cmap, at + 16 + 2 * segments)
            yield from (max(end - start, 0) for start, end in zip(starts, ends, strict=True))
        elif kind in (12, 13):
            groups = struct.unpack_from(">I", cmap, at + 12)[0]
            said = struct.iter_unpack(">III", cmap[at + 16 : at + 16 + 12 * groups])
            yield from (max(end - start, 0) for start, end, _ in said)


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


def _is_finite(composites: Mapping[int, list[int]], glyphs: int) -> None:
    known: dict[int, tuple[int, int]] = {}  # how many parts, and how many within each other

    def parts(glyph: int, outside: int) -> tuple[int, int]:
        if outside > DEPTH or glyph >= glyphs:
            raise Unwritable("bad_font", "a glyph is made of itself, or of too much")
        if glyph not in known:
            inner = [parts(each, outside + 1) for each in composites.get(glyph, ())]
            known[glyph] = 1 + sum([count for count, _ in inner]), 1 + max([height for _, height in inner], default=0)
        return known[glyph]

    for glyph in composites:
        count, height = parts(glyph, 0)
        if count > PARTS or height > DEPTH:
            raise Unwritable("bad_font", "a glyph is made of itself, or of too much")
