"""PDF by Typst: tagged, by standards, and in scripts that the quick engine cannot set. docs/adr/0062

Typst is given a template of ours, which no document changes, and a document's blocks as data. It sees its fonts and the files it
is given: its root is an empty directory, and nothing it imports leads into a network."""

from contextlib import closing
from datetime import UTC, datetime
from functools import lru_cache
from importlib.resources import files
from typing import Final

import msgspec
import typst

from bounded_contexts.documents.adapters.engines.typeset_blocks import Setting
from bounded_contexts.documents.adapters.engines.typeset_fonts import fonts, fonts_with
from bounded_contexts.documents.domain.errors import Unwritable
from bounded_contexts.documents.domain.rendering.blocks import Resolved
from bounded_contexts.documents.domain.rendering.functions import moment_of
from bounded_contexts.documents.domain.rendering.limits import RenderLimits
from bounded_contexts.documents.domain.rendering.problems import Invalid
from bounded_contexts.documents.domain.rendering.standards import Profile
from bounded_contexts.documents.domain.rendering.telling import Telling
from infra.scratch import Scratch

MAIN: Final = "main.typ"


def typeset(resolved: Resolved, telling: Telling, limits: RenderLimits, profile: Profile) -> bytes:
    """Return the file, the same bytes for the same document. Raise `Invalid` with all that the standards refuse, `TooLarge`,
    `Unwritable`."""
    setting = Setting(resolved, telling, limits, profile)
    taken = setting.taken()
    if setting.problems:
        raise Invalid(sorted(set(setting.problems)))
    created = _created(resolved.meta.created)
    taken.data["meta"]["created"] = created
    with closing(Scratch("typeset")) as scratch:
        taken.data["attachments"] = []
        for number, each in enumerate(resolved.attachments):
            taken.files[f"attachment-{number}"] = each.data
            said = {"name": each.name, "type": each.media_type, "file": f"attachment-{number}"}
            more = {"relationship": each.relationship, "description": each.description}
            taken.data["attachments"].append(said | more)
        for name, data in taken.files.items():
            (scratch.path / name).write_bytes(data)
        used = fonts_with(taken.families, scratch.path / "fonts") if taken.families else fonts()
        texts = {MAIN: _template(), "data.json": msgspec.json.encode(taken.data)}
        return _compiled(texts, str(scratch.path), profile, used)


def _compiled(texts: dict[str, bytes], root: str, profile: Profile, used: typst.Fonts) -> bytes:
    compiler = typst.Compiler(
        texts,  # type: ignore[type-var]  # its stubs do not know of several files
        root=root,
        font_paths=used,
        ignore_system_fonts=True,
        package_path=root,
        package_cache_path=root,
    )
    try:
        made = compiler.compile(format="pdf", pdf_standards=list(profile.standards), timestamp=0)  # type: ignore[arg-type]
    except typst.TypstError as error:
        raise _refused(error) from None
    return bytes(made)  # type: ignore[arg-type]


@lru_cache(maxsize=1)
def _template() -> bytes:
    return (files(__package__) / "typeset.typ").read_bytes()


def _created(created: str | None) -> list[int] | None:
    moment = moment_of(created)
    if not isinstance(moment, datetime):
        return None
    at = moment.astimezone(UTC)
    return [at.year, at.month, at.day, at.hour, at.minute, at.second]


def _refused(error: typst.TypstError) -> Unwritable:
    if "decode" in error.message and "image" in error.message:
        return Unwritable("bad_image", "an image cannot be decoded")
    if "failed to process font" in error.message:
        return Unwritable("bad_font", "a font cannot be read")
    if "failed to load PDF" in error.message:
        return Unwritable("bad_pdf", "a PDF cannot be read")
    if "no_room" in error.message:
        return Unwritable("no_room", "header, footer and margins leave no room on a page")
    return Unwritable("not_in_standard", error.message[:300])
