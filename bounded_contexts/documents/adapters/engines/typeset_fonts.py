"""The fonts of documents that Typst sets: those of the quick engine, behind them those of further scripts, asked in order.

Typst reads files, so what a package has in Python is written into a directory of this process, once."""

import unicodedata
from collections.abc import Iterable
from functools import lru_cache
from importlib.resources import files
from pathlib import Path
from typing import Final

import pymupdf_fonts
import typst
import uharfbuzz

from bounded_contexts.documents.adapters.engines.font_files import renamed
from bounded_contexts.documents.adapters.engines.fonts import FAMILIES, FILES, UNKNOWN
from bounded_contexts.documents.domain.rendering.fonts import Family
from infra.scratch import Scratch

SYMBOLS: Final = {"symbol1": "Noto Sans Symbols", "symbol2": "Noto Sans Symbols2", "math": "Noto Sans Math"}
SCRIPTS: Final = {  # IBM's Arabic letters are whole ones, which readers find again; Noto's have their dots apart, and are more
    "IBM Plex Sans Arabic": (
        "fontpkg_ibm_plex_sans_arabic",
        ("files/IBMPlexSansArabic-Regular.ttf", "files/IBMPlexSansArabic-Bold.ttf"),
    ),
    "Noto Sans Arabic": ("pylopdf_fonts_ar", ("NotoSansArabic-Variable.ttf",)),
    "Noto Sans Hebrew": ("pylopdf_fonts_he", ("NotoSansHebrew-Variable.ttf",)),
    "Noto Sans Devanagari": ("pylopdf_fonts_hi", ("NotoSansDevanagari-Variable.ttf",)),
    "Noto Sans Thai": ("pylopdf_fonts_th", ("NotoSansThai-Variable.ttf",)),
    "Noto Emoji": ("manimgx_fonts", ("NotoEmoji[wght].ttf",)),  # of one colour, which is that of the text
}
CJK_FILE: Final = "NotoSansCJK-VF.otf.ttc"
CJK: Final = {"ja": "JP", "ko": "KR", "zh-hk": "HK", "zh-mo": "HK", "zh-tw": "TC", "zh-hant": "TC"}
DROPPED: Final = dict.fromkeys([0x00AD, 0x200B, 0xFE0E, 0xFE0F, 0xFEFF], "")  # unseen where no font has them
# negated signs: a font that has the sign and the stroke alone would put them beside each other
NEGATED: Final = frozenset(
    [chr(code) for code in range(0x2190, 0x2300) if unicodedata.decomposition(chr(code)).endswith("0338")]
)
UNSEEN: Final = frozenset("\n\u200c\u200d\u200e\u200f\u202a\u202b\u202c\u202d\u202e\u2060\u2066\u2067\u2068\u2069")


@lru_cache(maxsize=1)
def directory() -> Scratch:
    """Return the directory of fonts and of an empty root, which goes when the process ends."""
    made = Scratch("fonts")
    fonts = made.path / "fonts"
    fonts.mkdir()
    (made.path / "root").mkdir()
    for name in (*FILES.values(), *SYMBOLS):
        (fonts / f"{name}.ttf").write_bytes(pymupdf_fonts.myfont(name))
    for package, names in (*SCRIPTS.values(), ("manimgx_fonts_cjk", (CJK_FILE,))):
        for name in names:
            path = Path(str(files(package)), name)
            (fonts / path.name).symlink_to(path)
    return made


@lru_cache(maxsize=1)
def fonts() -> typst.Fonts:
    """Return what Typst may use."""
    return typst.Fonts(False, False, [directory().path / "fonts"])


def fonts_with(families: Iterable[Family], place: Path) -> typst.Fonts:
    """Return what Typst may use for a document with fonts of its own, which are written to a directory that there is none of
    yet. They go by their keys: what they call themselves may be a name of ours."""
    place.mkdir()
    for family in families:
        for (bold, italic), file in family.files.items():
            name = f"{family.key}-{bold:d}{italic:d}.otf"
            (place / name).write_bytes(renamed(file, family.key, bold=bold, italic=italic))
    return typst.Fonts(False, False, [directory().path / "fonts", place])


def prepare() -> None:
    """Read what forks of this process would read. May be repeated."""
    fonts()
    _coverage()
    _coverage_of_cjk()


def chain(first: str, language: str) -> list[str]:
    """Return the families that are asked one after the other, beginning with `sans` or `mono`. The language says whose Chinese
    characters are meant."""
    tag = language.lower()
    region = next((name for key, name in CJK.items() if tag.startswith(key)), "SC")
    others = [f"Noto Sans CJK {each}" for each in dict.fromkeys([region, "SC", "JP", "KR"])]
    given = [FAMILIES[first], FAMILIES["sans"], *SYMBOLS.values(), *SCRIPTS, *others, FAMILIES["mono"]]
    return list(dict.fromkeys(given))


def chains(language: str, own: Iterable[str]) -> dict[str, list[str]]:
    """Return which families are asked one after the other, by the name of the first: `sans`, `mono` and those of a document."""
    found = {name: chain(name, language) for name in FAMILIES}
    return found | {name: [name, *found["sans"]] for name in own}


@lru_cache(maxsize=1)
def _coverage() -> frozenset[str]:
    here = directory().path / "fonts"
    first = [Path(names[0]).name for _, names in SCRIPTS.values()]
    return frozenset().union(
        *[
            _characters(here / name)
            for name in ("notos.ttf", "cascadia.ttf", *first, *[f"{each}.ttf" for each in SYMBOLS])
        ]
    )


@lru_cache(maxsize=1)
def _coverage_of_cjk() -> frozenset[str]:
    return _characters(directory().path / "fonts" / CJK_FILE)


def _characters(path: Path) -> frozenset[str]:
    face = uharfbuzz.Face(uharfbuzz.Blob.from_file_path(str(path)))
    return frozenset(map(chr, face.unicodes))


def has(text: str) -> bool:
    """Return whether the fonts have all characters of the text."""
    return not _lacking(text)


def _lacking(text: str) -> set[str]:
    lacking = set(text) - _coverage() - UNSEEN
    return lacking - _coverage_of_cjk() if lacking else lacking


def shown(text: str, missing: set[str], own: frozenset[str] = frozenset()) -> str:
    """Return the text as the fonts can show it; add the characters that none has to `missing`. `own` are those of the font that
    is asked before these."""
    if text.isascii() and "\t" not in text:
        return text
    text = unicodedata.normalize("NFC", text).translate(DROPPED).replace("\t", "    ")
    lacking = _lacking(text) - own
    if not lacking:
        return text
    blanks = {each for each in lacking if each.isspace()}
    missing.update(lacking - blanks)
    return "".join([" " if each in blanks else UNKNOWN if each in lacking else each for each in text])
