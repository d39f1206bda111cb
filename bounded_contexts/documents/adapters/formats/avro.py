"""Avro's object containers: a schema, and blocks of values of it. The schema is found by looking at all values: they wait in a
file.

fastavro is not used: it takes counts in the input at their word, and goes as deep as the input says (docs/adr/0050)."""

import hashlib
import pickle
import struct
import tempfile
from collections.abc import Iterator, Sequence
from typing import IO, Any, BinaryIO, Final

import msgspec

from bounded_contexts.documents.adapters.formats.avro_codecs import PACK, UNPACK, unpacked
from bounded_contexts.documents.adapters.formats.avro_decode import Decode, Decoders, long_at
from bounded_contexts.documents.adapters.formats.avro_encode import Encoders, Shape, long_of, put_bytes
from bounded_contexts.documents.adapters.formats.conversion import Conversion, pieces_of
from bounded_contexts.documents.adapters.formats.read_later import AVRO_KINDS, AVRO_SCALARS, MAGIC
from bounded_contexts.documents.adapters.formats.tables import records_of
from bounded_contexts.documents.domain.errors import TooLarge, Unreadable
from bounded_contexts.documents.domain.values import Document, Records, Single, Value

SYNC: Final = 16  # bytes of the mark that ends each block
SPOOLED: Final = 4 << 20  # bytes of values that wait in memory for their schema; more of them wait in a file
BATCH: Final = 1_000  # values
BLOCK: Final = 64 * 1024  # bytes


class _Source:
    """The container's bytes, as many as are asked for."""

    def __init__(self, source: BinaryIO, conversion: Conversion) -> None:
        self._pieces = pieces_of(source, conversion.limits.input_bytes)
        self._buffer = bytearray()
        self._limit = conversion.limits.item_bytes
        self.offset = 0

    def taken(self, size: int) -> bytes:
        """Return so many bytes. Raise `Unreadable` where there are no more."""
        if size > self._limit:
            raise TooLarge("item_bytes", self._limit)
        while len(self._buffer) < size:
            piece = next(self._pieces, b"")
            if not piece:
                self.refuse("the container ends too early")
            self._buffer += piece
        found = bytes(self._buffer[:size])
        del self._buffer[:size]
        self.offset += size
        return found

    def ends(self) -> bool:
        """Return whether there is nothing more."""
        while not self._buffer:
            piece = next(self._pieces, b"")
            if not piece:
                return True
            self._buffer += piece
        return False

    def long(self) -> int:
        """Return an integer that is no less than 0."""
        data = self.taken(1)
        while data[-1] >= 0x80 and len(data) < 10:
            data += self.taken(1)
        try:
            number, _ = long_at(data, 0)
        except (IndexError, ValueError):
            self.refuse("no length")
        if number < 0:
            self.refuse("no length")
        return number

    def refuse(self, why: str) -> Any:
        """Raise `Unreadable` for this place."""
        raise Unreadable("bad_avro", why, offset=self.offset)


def read(source: BinaryIO, conversion: Conversion) -> Document:
    """Read the values of a container as records."""
    given = _Source(source, conversion)
    if given.taken(len(MAGIC)) != MAGIC:
        raise Unreadable("bad_avro", "no Avro container", offset=0)
    header = _header(given, conversion)
    codec = header.get("avro.codec", b"null").decode("ascii", "replace")
    if codec not in UNPACK:
        raise Unreadable("bad_avro", f"blocks packed with {codec[:40]!r}, which is none of {', '.join(UNPACK)}")
    decoders = Decoders(conversion)
    try:
        decode = decoders.of(msgspec.json.decode(header.get("avro.schema", b"")))
    except (ValueError, RecursionError, KeyError, TypeError):  # of JSON, of UTF-8, of what is no schema
        raise Unreadable("bad_avro", "the schema is none") from None
    conversion.losses.notes["codec"] = codec
    sync = given.taken(SYNC)
    return Records(_values(given, decoders, decode, codec, sync, conversion))


def _header(given: _Source, conversion: Conversion) -> dict[str, bytes]:
    found: dict[str, bytes] = {}
    total = 0
    while count := _counted(given):
        for _ in range(count):
            name, value = given.taken(given.long()), given.taken(given.long())
            found[name.decode("utf-8", "replace")] = value
            total += len(name) + len(value) + 1
            if total > conversion.limits.item_bytes:
                raise TooLarge("item_bytes", conversion.limits.item_bytes)
    return found


def _counted(given: _Source) -> int:
    first = given.taken(1)
    if first[0] < 0x80 and not first[0] & 1:
        return first[0] >> 1
    while first[-1] >= 0x80 and len(first) < 10:
        first += given.taken(1)
    try:
        count, _ = long_at(first, 0)
    except (IndexError, ValueError):
        given.refuse("no length")
    if count < 0:
        given.long()
    return abs(count)


def _values(
    given: _Source, decoders: Decoders, decode: Decode, codec: str, sync: bytes, conversion: Conversion
) -> Iterator[Sequence[Value]]:
    limit, total = conversion.limits.item_bytes, 0
    while not given.ends():
        count, begin = given.long(), given.offset
        data = unpacked(codec, given.taken(given.long()), limit, begin)
        if given.taken(SYNC) != sync:
            given.refuse("a block does not end as the header says")
        total += count
        if total > conversion.limits.rows:
            raise TooLarge("rows", conversion.limits.rows)
        yield from _block(data, count, decoders, decode, begin)


def _block(data: bytes, count: int, decoders: Decoders, decode: Decode, offset: int) -> Iterator[Sequence[Value]]:
    at, batch = 0, []
    try:
        for _ in range(count):
            value, end = decode(data, at, 1)
            if end == at:
                decoders.spend()
            at = end
            batch.append(value)
            if len(batch) >= BATCH:
                yield batch
                batch = []
    except UnicodeDecodeError:
        raise Unreadable(
            "bad_charset", "a text that is no UTF-8, in the block that begins here", offset=offset
        ) from None
    except (IndexError, ValueError, OverflowError, struct.error):
        raise Unreadable("bad_avro", "a block that is not as its schema says begins here", offset=offset) from None
    if at != len(data):
        raise Unreadable("bad_avro", "more than its values is in the block that begins here", offset=offset)
    yield batch


def write(document: Document, conversion: Conversion) -> Iterator[bytes]:
    """Write a container of the document's records."""
    options, losses = conversion.options, conversion.losses
    fit = conversion.fitting(AVRO_SCALARS if options.lossless else AVRO_KINDS).fit
    shape = Shape()
    with tempfile.SpooledTemporaryFile(SPOOLED) as spool:
        number = 0
        is_one = isinstance(document, Single) and not isinstance(document.value, list)
        for records in records_of(document, losses):
            for start in range(0, len(records), BATCH):
                values = enumerate(records[start:][:BATCH], start=number)
                batch = [fit(value, "" if is_one else f"/{index}") for index, value in values]
                number += len(batch)
                for value in batch:
                    shape.grow(value, conversion.limits.columns)
                pickle.dump(batch, spool)
        end = spool.tell()
        encoders = Encoders(losses, lossless=options.lossless)
        schema, encode = encoders.of(shape)
        text = msgspec.json.encode(schema)
        sync = hashlib.sha256(text).digest()[:SYNC]  # the same document is the same bytes
        yield _begun(text, options.codec) + sync
        spool.seek(0)
        out, count = bytearray(), 0
        for number, value in enumerate(_kept(spool, end)):
            encoders.begin(None if is_one else number)
            encode(value, out)
            count += 1
            if len(out) >= BLOCK:
                yield _packed(out, count, options.codec) + sync
                out, count = bytearray(), 0
        if count:
            yield _packed(out, count, options.codec) + sync


def _kept(spool: IO[bytes], end: int) -> Iterator[Value]:
    while spool.tell() < end:
        yield from pickle.load(spool)  # noqa: S301 – this process has written it, and nobody else can


def _begun(schema: bytes, codec: str) -> bytes:
    out = bytearray(MAGIC)
    out += long_of(2)
    for name, value in (("avro.schema", schema), ("avro.codec", codec.encode())):
        put_bytes(name.encode(), out)
        put_bytes(value, out)
    return bytes(out + b"\0")


def _packed(block: bytearray, count: int, codec: str) -> bytes:
    data = PACK[codec](bytes(block))
    return long_of(count) + long_of(len(data)) + data
