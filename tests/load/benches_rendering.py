"""What is measured of rendered documents and written workbooks, and the goals."""

import asyncio
import sys
from collections.abc import Awaitable, Callable, Mapping
from pathlib import Path

from tests.load import rendering
from tests.load.benches import Line, Scale, at_least
from tests.load.field import Field, Figures, Side, medians

PDF_MB = 128
DOCX_MB = 64
XLSX_MB = 64
ALL_S = 300.0  # that all of them may take
WAITED_MS = 1000.0  # from the request to the file, by way of the log
SHEET = 1_048_576  # rows that one holds
FEW = 20


async def render(field: Field, scale: Scale) -> list[Line]:
    """Long tables as PDF, DOCX and XLSX."""
    with rendering.scratch() as directory:
        return await asyncio.to_thread(_measured, Path(directory), scale, field.turns)


def _measured(directory: Path, scale: Scale, turns: int) -> list[Line]:
    few, many = (rendering.document(directory, count) for count in (FEW, scale.pdf_rows))
    lines = [_beside(directory, "pdf", few, many, scale.pdf_rows, rendering.PDFMAKE_RIVAL, turns)]
    lines += [_pages(each) for each in (few, many, rendering.document(directory, scale.pdf_rows, 2))]
    less = scale.pdf_rows // 10  # the peer takes half a minute for a hundred pages
    short = rendering.document(directory, less)
    lines.append(_beside(directory, "pdf", few, short, less, rendering.WEASYPRINT_RIVAL, turns))
    table = rendering.document(directory, scale.docx_rows)
    lines.append(_beside(directory, "docx", few, table, scale.docx_rows, rendering.DOCX_RIVAL, turns))
    long = rendering.document(directory, 10 * scale.docx_rows)
    lines.append(_memory("docx", f"{10 * scale.docx_rows} rows", rendering.ours("docx", long), DOCX_MB))
    small, large, whole = (rendering.cells(directory, count) for count in (FEW, scale.xlsx_rows, SHEET))
    for rival in (rendering.EXCELIZE_RIVAL, rendering.XLSXWRITER_RIVAL):
        lines.append(_beside(directory, "xlsx", small, large, scale.xlsx_rows, rival, turns))
    lines.append(_memory("xlsx", f"{SHEET} rows of 10 cells", rendering.ours("xlsx", whole), XLSX_MB))
    return [line for line in lines if line is not None]


def _beside(
    directory: Path, target: str, few: Path, many: Path, count: int, rival: rendering.Rival, turns: int
) -> Line | None:
    command = rival.command(directory)
    if command is None:
        print(f"not compared with {rival.title}: {rival.package} is not installed", file=sys.stderr)
        return None
    ours, theirs = rendering.compared(target, few, many, count, command, turns)
    note = f"{ours['memory_mb']:.0f} and {theirs['memory_mb']:.0f} MB of memory"
    return at_least(rival.goal, f"{target}: rows of a table of {count}", rival.title, ours, theirs, note)


def _pages(source: Path) -> Line:
    """Of the whole process, its program included: what a document of one page takes is that."""
    took = rendering.ours("pdf", source)
    return _memory("pdf", f"{rendering.pages(source)} pages", took, PDF_MB)


def _memory(target: str, what: str, took: Figures, goal: float) -> Line:
    used = took["memory_mb"]
    return Line(f"{target}, {what}: MB of memory", "none", used, None, used, goal, used < goal)


async def invoice_http(field: Field, scale: Scale) -> list[Line]:
    """Two pages through everything that `headwater up` runs, waited for."""
    lines = []
    async with field.stack() as port:
        for what, tagged in (("quick engine", False), ("a-3b and ua-1", True)):
            side = Side("rendering_http.waited_for", {"port": port, "count": scale.asked_invoices, "tagged": tagged})
            took = medians([await field.turn(side, ALL_S) for _ in range(field.turns)])
            p50, note = took["p50_ms"], f"p95 {took['p95_ms']:.0f} ms"
            title = f"invoice of 2 pages over HTTP, {what}: p50 ms"
            lines.append(Line(title, "none", p50, None, p50, WAITED_MS, p50 < WAITED_MS, note=note))
    return lines


BENCHES: Mapping[str, Callable[[Field, Scale], Awaitable[list[Line]]]] = {
    each.__name__: each for each in (render, invoice_http)
}
