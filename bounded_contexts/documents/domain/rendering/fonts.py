"""Fonts that a document brings with it: stored assets under the names of families, each in up to four cuts."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from hashlib import sha256
from typing import Any, Final, Literal

from bounded_contexts.documents.domain.rendering.assets import CONTENT
from bounded_contexts.documents.domain.rendering.problems import Problem
from bounded_contexts.documents.domain.rendering.schema_parts import BOOLEAN, NAME, Schema, a_list, an_object

OURS: Final = ("sans", "mono")  # families that every document has
FAMILY: Final[Schema] = {"type": "string", "pattern": "^[A-Za-z][A-Za-z0-9 _-]{0,59}$"}
FONTS: Final[Schema] = a_list(
    an_object({"family": FAMILY, "asset": NAME, "bold": BOOLEAN, "italic": BOOLEAN}, "family", "asset"), 40
)
Cut = tuple[bool, bool]  # bold, italic


@dataclass(frozen=True, slots=True)
class Family:
    """A family of a document; `key` follows from its files, by cut. There is a regular one."""

    name: str
    key: str
    files: Mapping[Cut, bytes] = field(compare=False, repr=False)

    def file(self, *, bold: bool, italic: bool) -> bytes:
        """Return the file of a cut, or of that which is most like it."""
        wanted = (bold, italic), (bold, False), (False, italic), (False, False)
        return next(self.files[each] for each in wanted if each in self.files)


Font = Literal["sans", "mono"] | Family


def families_of(document: Mapping[str, Any]) -> dict[str, Family]:
    """Return the families of a document that has been found valid, by name."""
    files: dict[str, dict[Cut, bytes]] = {}
    for each in document.get("fonts", ()):
        content = document["assets"][each["asset"]][CONTENT]
        files.setdefault(each["family"], {})[_cut(each)] = content
    return {name: Family(name, _key(own), own) for name, own in files.items()}


def font_problems(document: Mapping[str, Any]) -> Iterator[Problem]:
    """Yield what is wrong with the fonts of a document."""
    cuts: dict[str, set[Cut]] = {}
    for number, each in enumerate(document.get("fonts", ())):
        pointer, own = f"/fonts/{number}", cuts.setdefault(each["family"], set())
        asset = document.get("assets", {}).get(each["asset"])
        if asset is None:
            yield Problem(f"{pointer}/asset", "unknown_asset", "there is no asset of this name")
        elif "stored" not in asset:
            yield Problem(f"{pointer}/asset", "not_allowed", "a font is a stored asset")
        if each["family"] in OURS or _cut(each) in own:
            yield Problem(f"{pointer}/family", "not_allowed", "there is a font of this family and cut already")
        own.add(_cut(each))
    for name, own in cuts.items():
        if (False, False) not in own:
            yield Problem("/fonts", "missing_property", f"{name} has no font that is neither bold nor italic")


def _cut(font: Mapping[str, Any]) -> Cut:
    return bool(font.get("bold")), bool(font.get("italic"))


def _key(files: Mapping[Cut, bytes]) -> str:
    return sha256(b"".join([sha256(files[cut]).digest() + bytes(cut) for cut in sorted(files)])).hexdigest()[:24]
