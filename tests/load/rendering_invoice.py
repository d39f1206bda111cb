"""A two-page invoice in a process that has its fonts, as workers do: `python -m tests.load.rendering_invoice COUNT [tagged]`
prints how long each took. Every invoice is another one: other number, other lines."""

import json
import os
import subprocess
import sys
from statistics import median, quantiles
from time import perf_counter, process_time

from bounded_contexts.documents.adapters.engines.rendering import Rendering, prepare, render
from tests.gallery import GALLERY
from tests.load.field import Figures

WARM = 5
FRESH = 40


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
    """Return milliseconds: the median, the 95th of a hundred, of processor time, and the median in fresh workers."""
    words = [sys.executable, "-m", "tests.load.rendering_invoice", str(count), *(["tagged"] if tagged else [])]
    found: Figures = json.loads(subprocess.run(words, check=True, capture_output=True, text=True).stdout)
    return found


def _measured(count: int, *, tagged: bool) -> Figures:
    prepare()
    documents = invoices(count + WARM, tagged=tagged)
    fresh = [_forked(document) for document in documents[:FRESH]]  # before threads that would not survive it
    warm = [_once(document) for document in documents][WARM:]
    times, cpu = zip(*warm, strict=True)
    fresh_times, fresh_cpu = zip(*fresh, strict=True)
    found = {"p50_ms": median(times), "p95_ms": quantiles(times, n=20)[-1], "cpu_ms": median(cpu)}
    return {**found, "fresh_ms": median(fresh_times), "fresh_cpu_ms": median(fresh_cpu)}


def _once(document: bytes) -> tuple[float, float]:
    began, cpu_began = perf_counter(), process_time()
    for _ in render(document, "pdf", Rendering()):
        pass
    return (perf_counter() - began) * 1000, (process_time() - cpu_began) * 1000


def _forked(document: bytes) -> tuple[float, float]:
    """As a worker does it: a fork of a process that has read the fonts."""
    reads, writes = os.pipe()
    if not os.fork():
        os.write(writes, json.dumps(_once(document)).encode())
        os._exit(0)
    times, cpu = json.loads(os.read(reads, 1024))
    os.close(reads)
    os.close(writes)
    os.wait()
    return times, cpu


if __name__ == "__main__":
    print(json.dumps(_measured(int(sys.argv[1]), tagged="tagged" in sys.argv)))
