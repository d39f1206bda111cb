"""What a worker does that renders: read the instructions, write a file, a page of it, or what is wrong. It runs in a process of
its own, which may die of it (docs/adr/0048)."""

import gc
import io
from collections.abc import Generator, Mapping
from importlib.metadata import version
from typing import Final

import pypdfium2

from bounded_contexts.documents.adapters import lines_instructions
from bounded_contexts.documents.adapters.asset_instructions import unpacked as with_assets
from bounded_contexts.documents.adapters.converting import GARBAGE
from bounded_contexts.documents.adapters.engines import rendering
from bounded_contexts.documents.adapters.engines.examining import examined
from bounded_contexts.documents.adapters.engines.rendering import Rendering
from bounded_contexts.documents.adapters.render_messages import (
    Examine,
    Examined,
    Find,
    Found,
    Inspect,
    Inspected,
    Outcome,
    Preview,
    Render,
    Rendered,
    Shown,
    Wrong,
    encode,
    task_of,
)
from bounded_contexts.documents.adapters.template_instructions import unpacked
from bounded_contexts.documents.adapters.templates.filling import Manner, fill, inspected
from bounded_contexts.documents.adapters.worker_messages import failed
from bounded_contexts.documents.application.document_ports import Findings, RenderReport, TargetFindings
from bounded_contexts.documents.application.template_ports import Inspection
from bounded_contexts.documents.domain.losses import Losses
from bounded_contexts.documents.domain.rendering.fidelity import Target
from bounded_contexts.documents.domain.rendering.media_types import MEDIA_TYPES
from bounded_contexts.documents.domain.rendering.problems import Invalid, Problem
from infra.worker_frames import Source
from shared_kernel.errors import NotFound, Refused

READ: Final = 1 << 20
PIXELS: Final = 16_000_000  # of a preview; a page may be long and narrow
ENGINES: Final[dict[Target, str]] = {  # the packages that write the files, unless a rendering notes another
    "pdf": "reportlab",
    "docx": "headwater",
    "xlsx": "xlsxwriter",
}


def prepare() -> None:
    """Read fonts and the like, before workers are forked. May be repeated."""
    rendering.prepare()


def work(task: bytes, source: Source) -> Generator[bytes, None, bytes]:
    """Do the task. Return an outcome as render_messages.py has it; a refusal is one, too."""
    gc.set_threshold(*GARBAGE)
    asked = task_of(task)
    try:
        is_lines, given = lines_instructions.begun(source)
        if is_lines and isinstance(asked, Render):
            return encode((yield from _rendered_lines(given, asked)))
        data, assets = with_assets(_all(given, asked.limits.input_bytes + asked.limits.asset_bytes))
        match asked:
            case Render():
                outcome: Outcome = yield from _rendered(data, assets, asked)
            case Find():
                outcome = Found(_findings(data, assets, asked))
            case Preview():
                outcome = yield from _shown(data, assets, asked)
            case Examine():
                outcome = Examined(examined(asked.media_type, data, asked.limits))
            case Inspect():
                kind, variables = inspected(data, asked.limits)
                outcome = Inspected(Inspection(kind, tuple(variables)))
    except Invalid as error:
        return encode(Wrong(error.problems))
    except Refused as error:
        return encode(failed(error))
    return encode(outcome)


def _all(source: Source, limit: int) -> bytes:
    """Return the instructions; of those that are too long so much that whoever reads them sees it."""
    data = bytearray()
    while len(data) <= limit and (piece := source.read(READ)):
        data += piece
    return bytes(data)


def _rendered(data: bytes, assets: Mapping[str, bytes], task: Render) -> Generator[bytes, None, Rendered]:
    made = Rendering(task.limits, Losses(told=task.told), assets)
    if templated := unpacked(data):
        manner = Manner(templated.locale, templated.time_zone, templated.strictness)
        yield from fill(templated.template, templated.data, task.target, made, manner)
    else:
        yield from rendering.render(data, task.target, made)
    return _report(made.losses, task)


def _rendered_lines(source: Source, task: Render) -> Generator[bytes, None, Rendered]:
    made = Rendering(task.limits, Losses(told=task.told), lines_instructions.assets_of(source))
    yield from rendering.render_lines(source, task.target, made)
    return _report(made.losses, task)


def _report(losses: Losses, task: Render) -> Rendered:
    engine = losses.notes.get("engine", ENGINES[task.target])
    warnings, first = dict(losses.counts), tuple(losses.to_be_told)
    return Rendered(RenderReport(MEDIA_TYPES[task.target], _pages(losses), warnings, first, engine, version(engine)))


def _findings(data: bytes, assets: Mapping[str, bytes], task: Find) -> Findings:
    try:
        rendering.check(data, task.limits, assets)
    except Invalid as error:
        return Findings(error.problems, None, {})
    pages: int | None = None
    targets: dict[str, TargetFindings] = {}
    for target in task.targets:
        made = Rendering(task.limits, Losses(told=task.told), assets)
        refusal = None
        try:
            for _ in rendering.render(data, target, made):
                pass
        except Invalid as error:
            refusal = error.problems[0]
        except Refused as error:
            refusal = Problem(str(error.more.get("pointer", "")), error.code, error.detail)
        losses = made.losses
        targets[target] = TargetFindings(dict(losses.counts), tuple(losses.to_be_told), refusal)
        pages = _pages(losses) if target == "pdf" and refusal is None else pages
    return Findings((), pages, targets)


def _shown(data: bytes, assets: Mapping[str, bytes], task: Preview) -> Generator[bytes, None, Shown]:
    made = b"".join(rendering.render(data, "pdf", Rendering(task.limits, assets=assets)))
    with pypdfium2.PdfDocument(made) as pdf:
        pages = len(pdf)
        if task.page > pages:
            raise NotFound("page_not_found", f"it has {pages} pages")
        yield _png(pdf[task.page - 1], task.width)
    return Shown(pages)


def _png(page: pypdfium2.PdfPage, width: int) -> bytes:
    across, down = page.get_size()
    scale = min(width / across, (PIXELS / (across * down)) ** 0.5)
    image = page.render(scale=scale).to_pil()
    out = io.BytesIO()
    image.save(out, "PNG")
    return out.getvalue()


def _pages(losses: Losses) -> int | None:
    pages = losses.notes.get("pages")
    return int(pages) if pages else None
