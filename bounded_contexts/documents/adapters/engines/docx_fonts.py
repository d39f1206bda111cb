"""Fonts that a document brings with it, in its WordprocessingML package (ECMA-376 part 1, 17.8.1)."""

from collections.abc import Iterator, Mapping
from itertools import cycle
from typing import Final
from uuid import UUID

from bounded_contexts.documents.adapters.engines.docx_parts import HEAD, OFFICE, WORD, Relations
from bounded_contexts.documents.adapters.engines.font_files import name_of, opened, renamed
from bounded_contexts.documents.domain.rendering.fonts import Cut, Family
from bounded_contexts.documents.domain.rendering.telling import Telling

CONTENT_TYPE: Final = (
    '<Default Extension="odttf" ContentType="application/vnd.openxmlformats-officedocument.obfuscatedFont"/>'
)
_CUTS: Final[Mapping[Cut, str]] = {
    (False, False): "Regular",
    (True, False): "Bold",
    (False, True): "Italic",
    (True, True): "BoldItalic",
}
_HIDDEN: Final = 32  # bytes of a font


def embedded(families: Mapping[str, Family], telling: Telling) -> list[Family]:
    """Return the families that go into the package, and tell of the others. Raise `Unwritable` for what is no font, and where the
    document wants no such result."""
    found = []
    telling.pointer = "/fonts"
    for family in families.values():
        files = [opened(file) for file in family.files.values()]
        if all(file.is_quick and file.is_editable for file in files):
            found.append(family)
        else:
            telling.warn("font_not_embedded", f"{family.name} is named: DOCX carries TrueType that may be edited with")
    return found


def table(families: list[Family], relations: Relations) -> str:
    """Return the list of fonts, whose files the relations take."""
    fonts = "".join([f'<w:font w:name="{each.name}">{"".join(_cuts(each, relations))}</w:font>' for each in families])
    return f'{HEAD}<w:fonts xmlns:w="{WORD}" xmlns:r="{OFFICE}">{fonts}</w:fonts>'


def _cuts(family: Family, relations: Relations) -> Iterator[str]:
    for cut, name in _CUTS.items():
        if cut in family.files:
            bold, italic = cut
            file = renamed(family.files[cut], family.name, bold=bold, italic=italic)
            key = UUID(hex=f"{name_of(file)}{0:08x}")
            target = f"fonts/{name_of(file)}.odttf"
            relations.media[target] = _obfuscated(file, key)
            yield f'<w:embed{name} r:id="{relations.to("font", target)}" w:fontKey="{{{str(key).upper()}}}"/>'


def _obfuscated(file: bytes, key: UUID) -> bytes:
    """Return the font as it lies in packages: its beginning combined with the key, whose last byte comes first."""
    mask = zip(file[:_HIDDEN], cycle(key.bytes[::-1]), strict=False)
    return bytes([byte ^ other for byte, other in mask]) + file[_HIDDEN:]
