"""One hash chain per partition: each kept record's hash covers the record and the hash before it."""

import hashlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Literal

from shared_kernel.records import Record

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
FIRST_MS, LAST_MS = -62_135_596_800_000, 253_402_300_799_999  # of the years 1 to 9999
GENESIS = bytes(32)  # what stands before the first record of a chain
NULL = b"\xff\xff\xff\xff"
TEXT_LIMIT = 200  # characters of what is copied out of a header for look-ups; the header itself is kept whole


@dataclass(frozen=True, slots=True, kw_only=True)
class Kept:
    """A record in the log."""

    topic: str
    partition: int
    offset: int
    previous_offset: int | None  # of the record before it in the chain
    timestamp_ms: int
    event_id: str | None
    type: str | None
    correlation_id: str | None
    causation_id: str | None
    key: bytes | None
    value: bytes | None
    header_names: Sequence[str]
    header_values: Sequence[bytes | None]
    hash: bytes


@dataclass(frozen=True, slots=True)
class Head:
    """The last record of a chain."""

    topic: str
    partition: int
    offset: int
    hash: bytes


@dataclass(frozen=True, slots=True)
class Broken:
    """The first place where a chain is not what was kept."""

    offset: int
    kind: Literal["changed", "removed", "inserted"]
    detail: str


def chained(records: Sequence[Record], head: Head | None) -> Iterator[Kept]:
    """Yield consecutive records of a partition as they continue the chain."""
    previous_hash, previous_offset = (head.hash, head.offset) if head else (GENESIS, None)
    for record in records:
        headers = {name: (value or b"").decode("utf-8", "replace") for name, value in record.headers}
        fields = {
            "topic": record.topic,
            "partition": record.partition,
            "offset": record.offset,
            "previous_offset": previous_offset,
            "timestamp_ms": record.timestamp_ms,
            "event_id": _text(headers.get("ce_id")),
            "type": _text(headers.get("ce_type")),
            "correlation_id": _text(headers.get("ce_correlationid")),
            "causation_id": _text(headers.get("ce_causationid")),
            "key": record.key,
            "value": record.value,
            "header_names": [name for name, _ in record.headers],
            "header_values": [value for _, value in record.headers],
        }
        unhashed = Kept(**fields, hash=b"")  # type: ignore[arg-type]
        previous_hash, previous_offset = hash_of(previous_hash, unhashed), record.offset
        yield Kept(**fields, hash=previous_hash)  # type: ignore[arg-type]


def hash_of(previous: bytes, kept: Kept) -> bytes:
    """Return SHA-256 of the hash before and every column, each as its length (4 bytes, big endian) and its bytes.

    Null is the length 2³²-1 alone; numbers are decimal; headers are their number and then name and value of each."""
    columns = [
        kept.topic.encode(),
        b"%d" % kept.partition,
        b"%d" % kept.offset,
        None if kept.previous_offset is None else b"%d" % kept.previous_offset,
        b"%d" % kept.timestamp_ms,
        _bytes(kept.event_id),
        _bytes(kept.type),
        _bytes(kept.correlation_id),
        _bytes(kept.causation_id),
        kept.key,
        kept.value,
        b"%d" % len(kept.header_names),
    ]
    for name, value in zip(kept.header_names, kept.header_values, strict=True):
        columns += [name.encode(), value]
    parts = [NULL if each is None else len(each).to_bytes(4, "big") + each for each in columns]
    return hashlib.sha256(previous + b"".join(parts)).digest()


def follows(kept: Kept, before: Kept | None) -> bool:
    """Return whether the record is what was kept after `before`."""
    previous, offset = (before.hash, before.offset) if before else (GENESIS, None)
    try:
        return kept.previous_offset == offset and hash_of(previous, kept) == kept.hash
    except (ValueError, TypeError, AttributeError):  # columns as nobody here fills them
        return False


def blame(before: Kept | None, kept: Kept, following: Kept | None) -> Broken:
    """Return what happened where `kept` does not follow `before`."""
    said, found = kept.previous_offset, before.offset if before else None
    if following and follows(following, before):
        return Broken(kept.offset, "inserted", f"record {following.offset} was kept directly after {found}")
    if said is not None and (found is None or found < said < kept.offset):
        return Broken(said, "removed", f"record {kept.offset} was kept directly after {said}, which is not there")
    if (
        said is None and found is not None and not follows(kept, None)
    ):  # it is not the first record, which it says it is
        return Broken(kept.offset, "inserted", f"it was not kept after {found}")
    if before and (said is None or said < before.offset):
        return Broken(before.offset, "inserted", f"record {kept.offset} was kept directly after {said}")
    return Broken(kept.offset, "changed", "the record and the one before it do not give its hash")


def moment_of(milliseconds: int) -> datetime:
    """Return the time of a record, UTC. Whoever produced it wrote it: beyond what a calendar has, its first or last moment."""
    return EPOCH + timedelta(milliseconds=min(max(milliseconds, FIRST_MS), LAST_MS))


def _text(header: str | None) -> str | None:
    """Return what a text column takes."""
    return None if header is None else header.replace("\0", "\N{REPLACEMENT CHARACTER}")[:TEXT_LIMIT]


def _bytes(text: str | None) -> bytes | None:
    return None if text is None else text.encode()
