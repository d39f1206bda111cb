"""What a pool of workers, the process they are forked from and the workers say to each other (docs/adr/0048).

Pool and forking process: one message a packet. Into a worker: the task behind its length, then the input as it is, to the end of
the stream. Out of it: frames, the last of which is no piece."""

import struct
from collections.abc import Callable, Generator
from typing import Protocol

import msgspec

# What a frame is: some output; what the task came to; an error that nobody expected; the limit that was passed.
PIECE, RESULT, FAILED, LIMIT = range(4)
HEADER = struct.Struct("<BI")  # kind and length of a frame
LENGTH = struct.Struct("<I")  # of the task
PIECE_BYTES = 64 * 1024  # smaller pieces go together
TOLD_BYTES = 1 << 20  # of the longest frame that is no piece
PACKET = 65_536


class Source(Protocol):
    """A task's input."""

    def read(self, size: int, /) -> bytes:
        """Return some bytes, `size` at most, none at the end. Wait until there are any."""


# Takes the task and its input; yields the output, returns what it came to. Runs in a worker.
Work = Callable[[bytes, Source], Generator[bytes, None, bytes]]


class Fork(msgspec.Struct, tag=True, frozen=True):
    """Fork a worker; one end of its connection comes with the message. `memory_bytes` is what its address space may grow by,
    `file_bytes` the size of a file that it may write."""

    worker: int
    memory_bytes: int
    cpu_s: int
    file_bytes: int


class Kill(msgspec.Struct, tag=True, frozen=True):
    worker: int


class Ended(msgspec.Struct, tag=True, frozen=True):
    worker: int
    code: int  # as `subprocess` has it: a signal's number is negative
