"""A two-page invoice in a process that has its fonts, as workers do: `python -m tests.load.rendering_invoice COUNT [tagged]`
prints how long each took. Every invoice is another one: other number, other lines."""

import json
import subprocess
import sys
from statistics import median, quantiles
from time import perf_counter, process_time

from bounded_contexts.documents.adapters.engines.rendering import Rendering, render
from tests.gallery import GALLERY
from tests.load.field import Figures

WARM = 5


def invoices(count: int, *, tagged: bool) -> list[bytes]:
    """Return the gallery's invoice, so many times, each with data of its own."""
    document = json.loads((GALLERY / "invoice.json").read_bytes())
    document["output"] = {"pdf": {"standard": ["a-3b", "ua-1"]}} if tagged else {}
    made = []
    for number in range(count):
        document["data"]["invoice"]["no"] = f"2026-{number:04}"
        for at, line in enumerate(document["data"]["invoice"]["lines"]):
            line["qty"], line["name"] = (number + at) % 90 + 1, f"Part {number * 31 + at}"
        made.append(json.dumps(document).encode())
    return made


def took(count: int, *, tagged: bool) -> Figures:
    """Return the milliseconds of the median, of the 95th of a hundred and of processor time, in a process of its own."""
    words = [sys.executable, "-m", "tests.load.rendering_invoice", str(count), *(["tagged"] if tagged else [])]
    found: Figures = json.loads(subprocess.run(words, check=True, capture_output=True, text=True).stdout)
    return found


def _measured(count: int, *, tagged: bool) -> Figures:
    times, cpu = [], []
    for document in invoices(count + WARM, tagged=tagged):
        began, cpu_began = perf_counter(), process_time()
        for _ in render(document, "pdf", Rendering()):
            pass
        times.append((perf_counter() - began) * 1000)
        cpu.append((process_time() - cpu_began) * 1000)
    return {"p50_ms": median(times[WARM:]), "p95_ms": quantiles(times[WARM:], n=20)[-1], "cpu_ms": median(cpu[WARM:])}


if __name__ == "__main__":
    print(json.dumps(_measured(int(sys.argv[1]), tagged="tagged" in sys.argv)))
