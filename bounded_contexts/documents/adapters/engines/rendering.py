"""One document into one file: bytes in, pieces out. It needs no server and keeps nothing, so it may run in a worker process."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any, Final

from bounded_contexts.documents.adapters.engines import docx, pdf, xlsx
from bounded_contexts.documents.adapters.engines.validating import formats_of, read_document
from bounded_contexts.documents.domain.errors import TooLarge, Unreadable
from bounded_contexts.documents.domain.losses import Losses
from bounded_contexts.documents.domain.rendering.blocks import Resolved
from bounded_contexts.documents.domain.rendering.fidelity import TARGETS, Target
from bounded_contexts.documents.domain.rendering.functions import Context
from bounded_contexts.documents.domain.rendering.limits import RenderLimits
from bounded_contexts.documents.domain.rendering.resolving import resolve
from bounded_contexts.documents.domain.rendering.telling import Telling

MEDIA_TYPES: Final[dict[Target, str]] = {
    "pdf": "application/pdf",
    "docx": "application/vnd.openxmlformats-officedocument.wordprocessingml.document",
    "xlsx": "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet",
}


@dataclass(slots=True)
class Rendering:
    """One rendering: what it may take, what became other than the document says."""

    limits: RenderLimits = field(default_factory=RenderLimits)
    losses: Losses = field(default_factory=Losses)


def check(data: bytes, limits: RenderLimits | None = None) -> None:
    """Raise `Invalid` with all that is wrong with a document, `Unreadable` for what is no JSON, `TooLarge`."""
    read_document(data, limits or RenderLimits())


def target_of(name: str) -> Target:
    """Return the target that a file's name ends with, or that is named so. Raise `Unreadable` for none."""
    for target in TARGETS:
        if name.lower().rpartition(".")[2] == target:
            return target
    raise Unreadable("unknown_format", f"the end of {name[-40:]!r} names none of {', '.join(TARGETS)}")


def render(data: bytes, target: Target, rendering: Rendering) -> Iterator[bytes]:
    """Yield the file, piece by piece; the same document gives the same bytes.

    Raise `Unreadable`, `Invalid`, `Unwritable` or `TooLarge`, also between two pieces: what was yielded is no file then."""
    document = read_document(data, rendering.limits)
    telling = Telling(target, document.get("strictness", "warn"), rendering.losses)
    pieces = _ENGINES[target](document, telling, rendering.limits)
    total = 0
    for piece in pieces:
        total += len(piece)
        if total > rendering.limits.output_bytes:
            raise TooLarge("output_bytes", rendering.limits.output_bytes)
        yield piece


def _resolved(document: dict[str, Any], telling: Telling, limits: RenderLimits) -> Resolved:
    context = Context(dict(document["data"]), formats_of(document), telling.warn, limits)
    return resolve(document, context, telling)


def _pdf(document: dict[str, Any], telling: Telling, limits: RenderLimits) -> Iterator[bytes]:
    pages = 0
    if _says_pages(document["body"]):  # its width may move the lines behind it
        quiet = Telling("pdf", "ignore")
        for _ in range(2):
            pages = pdf.count_pages(_resolved(document, quiet, limits), quiet, limits, pages)
    return pdf.write_pdf(_resolved(document, telling, limits), telling, limits, pages)


def _says_pages(value: Any) -> bool:
    if isinstance(value, dict):
        return value.get("field") == "pages" or any(_says_pages(each) for each in value.values())
    return isinstance(value, list) and any(_says_pages(each) for each in value)


def _docx(document: dict[str, Any], telling: Telling, limits: RenderLimits) -> Iterator[bytes]:
    return docx.write_docx(_resolved(document, telling, limits))


def _xlsx(document: dict[str, Any], telling: Telling, limits: RenderLimits) -> Iterator[bytes]:
    return xlsx.write_xlsx(_resolved(document, telling, limits), telling)


_ENGINES: Final[dict[Target, Callable[[dict[str, Any], Telling, RenderLimits], Iterator[bytes]]]] = {
    "pdf": _pdf,
    "docx": _docx,
    "xlsx": _xlsx,
}
