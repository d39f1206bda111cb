"""One document into one file: bytes in, pieces out. It needs no server and keeps nothing, so it may run in a worker process.

An engine is read when a document is for it: all of them take 20 MB more than one. Processes that fork workers `prepare`."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Final

from bounded_contexts.documents.adapters.engines.font_files import opened
from bounded_contexts.documents.adapters.engines.pictures import Pictures
from bounded_contexts.documents.adapters.engines.streaming import streamed_document
from bounded_contexts.documents.adapters.engines.validating import formats_of, read_document
from bounded_contexts.documents.domain.errors import TooLarge, Unreadable, Unwritable
from bounded_contexts.documents.domain.losses import Losses
from bounded_contexts.documents.domain.rendering.anchoring import anchors
from bounded_contexts.documents.domain.rendering.blocks import Anchor, Resolved
from bounded_contexts.documents.domain.rendering.fidelity import TARGETS, Target
from bounded_contexts.documents.domain.rendering.fonts import families_of
from bounded_contexts.documents.domain.rendering.functions import Context
from bounded_contexts.documents.domain.rendering.limits import TYPESET_LIMITS, RenderLimits
from bounded_contexts.documents.domain.rendering.resolving import resolve
from bounded_contexts.documents.domain.rendering.standards import Profile, profile_of
from bounded_contexts.documents.domain.rendering.streams import STREAMS
from bounded_contexts.documents.domain.rendering.telling import Telling
from infra.worker_frames import Source

_DOT: Final = "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAAAAAA6fptVAAAACklEQVR42mNgAAAAAgAB5Sfe/AAAAABJRU5ErkJggg=="
_SHAPE: Final = (
    "PHN2ZyB4bWxucz0iaHR0cDovL3d3dy53My5vcmcvMjAwMC9zdmciIHdpZHRoPSIxIiBoZWlnaHQ9"
    "IjEiPjxwYXRoIGQ9Ik0wIDBoMSIvPjwvc3ZnPg=="
)
_FIRST: Final = f"""{{"version": "1.0", "locale": "en-GB", "body": [{{"type": "paragraph", "text": "a"}},
    {{"type": "table", "rows": [[1.5]], "columns": [{{"title": "a", "style": {{"numberFormat": {{"type": "number"}}}}}}]}},
    {{"type": "barcode", "symbology": "qr", "value": "1", "alt": "1"}},
    {{"type": "image", "alt": "1", "data": "data:image/png;base64,{_DOT}"}},
    {{"type": "image", "alt": "1", "data": "data:image/svg+xml;base64,{_SHAPE}"}}]}}"""
PASSES: Final = 4  # of a layout that says its own page numbers, at most


@dataclass(slots=True)
class Rendering:
    """One rendering: what it may take, what became other than the document says, the stored assets by reference."""

    limits: RenderLimits = field(default_factory=RenderLimits)
    losses: Losses = field(default_factory=Losses)
    assets: Mapping[str, bytes] = field(default_factory=dict)


def prepare() -> None:
    """Read what every first document would wait for: fonts, the schema, a locale. For processes that fork workers. Typst only
    reads its fonts: its threads do not survive a fork. May be repeated."""
    import pypdfium2  # noqa: F401

    from bounded_contexts.documents.adapters.engines import fonts, typeset, typeset_fonts  # noqa: F401

    typeset_fonts.prepare()
    for file in fonts.FILES.values():
        fonts.face_named(file)
    for target in TARGETS:
        for _ in render(_FIRST.encode(), target, Rendering()):
            pass


def check(data: bytes, limits: RenderLimits | None = None, assets: Mapping[str, bytes] | None = None) -> None:
    """Raise `Invalid` with all that is wrong with a document, `Unreadable` for what is no JSON, `TooLarge`. `assets` are the
    stored ones, by reference."""
    read_document(data, limits or RenderLimits(), assets or {})


def target_of(name: str) -> Target:
    """Return the target that a file's name ends with, or that is named so. Raise `Unreadable` for none."""
    for target in TARGETS:
        if name.lower().rpartition(".")[2] == target:
            return target
    raise Unreadable("unknown_format", f"the end of {name[-40:]!r} names none of {', '.join(TARGETS)}")


def render(data: bytes, target: Target, rendering: Rendering) -> Iterator[bytes]:
    """Yield the file, piece by piece; the same document gives the same bytes.

    Raise `Unreadable`, `Invalid`, `Unwritable` or `TooLarge`, also between two pieces: what was yielded is no file then."""
    yield from render_document(read_document(data, rendering.limits, rendering.assets), target, rendering)


def check_lines(source: Source, rendering: Rendering) -> None:
    """Raise what is wrong with a document or the rows that follow it, as `render_lines` does."""
    with streamed_document(source, rendering.limits, rendering.assets):
        pass


def render_lines(source: Source, target: Target, rendering: Rendering) -> Iterator[bytes]:
    """Yield the file of a document and the rows that follow it line by line, as `render` does; the same bytes as if they stood in
    its data."""
    with streamed_document(source, rendering.limits, rendering.assets) as document:
        yield from render_document(document, target, rendering)


def render_document(document: dict[str, Any], target: Target, rendering: Rendering) -> Iterator[bytes]:
    """Yield the file of a document that has been read and found valid, as `render` does."""
    telling = Telling(target, document.get("strictness", "warn"), rendering.losses)
    pieces = _ENGINES[target](document, telling, rendering.limits)
    total = 0
    for piece in pieces:
        total += len(piece)
        if total > rendering.limits.output_bytes:
            raise TooLarge("output_bytes", rendering.limits.output_bytes)
        yield piece


def _resolved(
    document: dict[str, Any], telling: Telling, limits: RenderLimits, entries: tuple[Anchor, ...] = ()
) -> Resolved:
    streams = document.get(STREAMS, {})
    context = Context(dict(document["data"]), formats_of(document), telling.warn, limits, streams)
    return resolve(document, context, telling, Pictures(), entries)


def _measured(document: dict[str, Any], limits: RenderLimits, *, pages: bool) -> tuple[int, tuple[Anchor, ...]]:
    """How many pages there are and where the headings are, as far as the body says either: what it says moves what follows,
    so it is laid out until that is still."""
    from bounded_contexts.documents.adapters.engines import pdf

    known: tuple[int, tuple[Anchor, ...]] = (0, ())
    shown = [document.get(name) for name in ("body", "partials", "header", "footer")]
    if not _refers(shown) and not (pages and _has(shown[:2], "field", "pages")):
        return known
    quiet = Telling("pdf", "ignore")
    for _ in range(PASSES):
        found = pdf.measured(_resolved(document, quiet, limits, known[1]), quiet, limits, known[0])
        if found == known:
            break
        known = found
    return known


def _anchors(document: dict[str, Any], limits: RenderLimits) -> tuple[Anchor, ...]:
    """What leads somewhere, where there are no pages."""
    if not _refers([document["body"], document.get("partials")]):
        return ()
    return tuple(anchors(_resolved(document, Telling("xlsx", "ignore"), limits).body()))


def _refers(value: Any) -> bool:
    """Whether a document says where something of it is."""
    if isinstance(value, dict):
        if value.get("type") in ("toc", "captions") or "ref" in value or str(value.get("link")).startswith("#"):
            return True
        value = list(value.values())
    return isinstance(value, list) and any(_refers(each) for each in value)


def _has(value: Any, name: str, wanted: str) -> bool:
    if isinstance(value, dict):
        return value.get(name) == wanted or any(_has(each, name, wanted) for each in value.values())
    return isinstance(value, list) and any(_has(each, name, wanted) for each in value)


def _pdf(document: dict[str, Any], telling: Telling, limits: RenderLimits) -> Iterator[bytes]:
    from bounded_contexts.documents.adapters.engines import pdf

    profile = profile_of(document) or (None if _is_quick(document) else Profile())
    if profile is not None:
        yield _noted(_set(document, telling, limits, profile), telling, limits)
        return
    pages, entries = _measured(document, limits, pages=True)
    with pdf.laid_out(_resolved(document, telling, limits, entries), telling, limits, pages) as layout:
        other = _typeset(document, telling, limits) if _has_more(layout.missing) else None
        if other is None:
            telling.losses.notes["pages"] = str(layout.number)
            yield from layout.written()
            return
    yield _noted(other, telling, limits)


def _has_more(missing: set[str]) -> bool:
    """Whether Typst has a font for one of the characters."""
    if not missing:
        return False
    from bounded_contexts.documents.adapters.engines import typeset_fonts

    return any(typeset_fonts.has(each) for each in missing)


def _is_quick(document: dict[str, Any]) -> bool:
    """Whether the quick engine takes the document's own fonts. Raise `Unwritable` for what is no font."""
    files = [opened(file) for family in families_of(document).values() for file in family.files.values()]
    return all(each.is_quick for each in files)


def _noted(made: bytes, telling: Telling, limits: RenderLimits) -> bytes:
    """Note what is known of a file by Typst once it is there. Raise `TooLarge`."""
    import pypdfium2

    with pypdfium2.PdfDocument(made) as pdf_:
        if len(pdf_) > limits.pages:
            raise TooLarge("pages", limits.pages)
        telling.losses.notes |= {"engine": "typst", "pages": str(len(pdf_))}
    return made


def _set(document: dict[str, Any], telling: Telling, limits: RenderLimits, profile: Profile) -> bytes:
    """The document by Typst, which knows itself where the pages of places are: they only have to have one."""
    from bounded_contexts.documents.adapters.engines.typeset import typeset

    places = tuple(replace(each, page=1) for each in _anchors(document, limits))
    return typeset(_resolved(document, telling, limits, places), telling, limits, profile)


def _typeset(document: dict[str, Any], telling: Telling, limits: RenderLimits) -> bytes | None:
    """The document in the fonts of all scripts; None for one that is too long for that, or has what is not tagged."""
    from bounded_contexts.documents.adapters.engines.typeset_blocks import NOT_TAGGED

    other = telling.apart()
    try:
        made = _set(document, other, limits, Profile())
    except TooLarge as error:
        if error.more["limit"] not in TYPESET_LIMITS:
            raise
        return None
    except Unwritable as error:
        if error.code != NOT_TAGGED:
            raise
        return None
    telling.becomes(other)
    return made


def _docx(document: dict[str, Any], telling: Telling, limits: RenderLimits) -> Iterator[bytes]:
    from bounded_contexts.documents.adapters.engines import docx, docx_fonts

    fonts = docx_fonts.embedded(families_of(document), telling)
    _, entries = _measured(document, limits, pages=False)
    return docx.write_docx(_resolved(document, telling, limits, entries), fonts)


def _xlsx(document: dict[str, Any], telling: Telling, limits: RenderLimits) -> Iterator[bytes]:
    from bounded_contexts.documents.adapters.engines import xlsx

    return xlsx.write_xlsx(
        _resolved(document, telling, limits, _anchors(document, limits)), telling, formats_of(document)
    )


_ENGINES: Final[dict[Target, Callable[[dict[str, Any], Telling, RenderLimits], Iterator[bytes]]]] = {
    "pdf": _pdf,
    "docx": _docx,
    "xlsx": _xlsx,
}
