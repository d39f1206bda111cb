"""What a worker does: unpack, convert, pack. It runs in a process of its own, which may die of it (docs/adr/0048)."""

import gc
from collections.abc import Generator
from typing import BinaryIO, cast

from bounded_contexts.documents.adapters import catalogue
from bounded_contexts.documents.adapters.converting import GARBAGE, convert
from bounded_contexts.documents.adapters.formats import read_later
from bounded_contexts.documents.adapters.formats.conversion import Conversion
from bounded_contexts.documents.adapters.unpacking import Counted, Source, Unpacked, packed
from bounded_contexts.documents.adapters.worker_messages import Done, Job, encode, failed, job_of
from bounded_contexts.documents.application.ports import Report, ToldLoss
from bounded_contexts.documents.domain.losses import Losses
from bounded_contexts.documents.domain.options import options_of
from shared_kernel.errors import Refused

HEAD = 4096  # bytes that tell a format


def prepare() -> None:
    """Read the code of all formats, before workers are forked. May be repeated."""
    read_later.prepare()


class _Peeked:
    """A source whose first bytes can be seen without taking them."""

    def __init__(self, source: Source) -> None:
        self._source = source
        self._head = b""

    def peek(self) -> bytes:
        """Return the first bytes, up to `HEAD` or the end."""
        while len(self._head) < HEAD and (piece := self._source.read(HEAD)):
            self._head += piece
        return self._head

    def read(self, size: int, /) -> bytes:
        """Return some bytes, none at the end."""
        if self._head:
            piece, self._head = self._head[:size], self._head[size:]
            return piece
        return self._source.read(size)


def work(task: bytes, source: Source) -> Generator[bytes, None, bytes]:
    """Convert as the task, a `Job`, says. Return an outcome as worker_messages.py has it; a refusal is one, too."""
    gc.set_threshold(*GARBAGE)
    job = job_of(task)
    given = Counted(source, job.limits.input_bytes)
    try:
        report = yield from _converted(job, given)
    except Refused as error:
        return encode(failed(error))
    return encode(Done(report))


def _converted(job: Job, given: Counted) -> Generator[bytes, None, Report]:
    task = job.task
    conversion = Conversion(options_of(task.options), job.limits, Losses(told=task.told))
    unpacked = given if task.packing == "identity" else Unpacked(given, task.packing, job.limits)
    peeked = _Peeked(unpacked)
    read = catalogue.named(task.read) if task.read else catalogue.of_content(peeked.peek())
    written = 0
    # Readers use `read` alone.
    pieces = convert(cast("BinaryIO", peeked), read, catalogue.named(task.write), conversion)
    for piece in packed(pieces, task.packed):
        written += len(piece)
        yield piece
    losses = conversion.losses
    return Report(
        dict(losses.counts),
        tuple(ToldLoss(each.code, each.pointer, each.detail) for each in losses.to_be_told),
        {"from": read.name, **losses.all_notes},
        given.size,
        written,
    )
