"""Compressed documents, in and out, in bounded memory."""

import zlib
from collections.abc import Callable, Iterator, Mapping
from typing import Final, Protocol

import brotli
from backports import zstd

from bounded_contexts.documents.adapters.formats.conversion import CHUNK
from bounded_contexts.documents.application.ports import Packing
from bounded_contexts.documents.domain.errors import TooLarge, Unreadable
from bounded_contexts.documents.domain.limits import Limits

GZIP = zlib.MAX_WBITS | 16
RATIO_FROM = 1 << 20  # bytes: what is small may be as dense as it likes
WINDOW_LOG = 23  # zstd may look back 8 MiB (RFC 9659)
ZSTD_LEVEL = 1  # costs a tenth of the conversion at most
GZIP_LEVEL, BROTLI_QUALITY = 1, 1


class Source(Protocol):
    def read(self, size: int, /) -> bytes: ...


class Counted:
    """A source that knows how much was read, and ends past a limit."""

    def __init__(self, source: Source, limit: int) -> None:
        self._source, self._limit = source, limit
        self.size = 0

    def read(self, size: int, /) -> bytes:
        """Return some bytes, none at the end. Raise `TooLarge`."""
        piece = self._source.read(size)
        self.size += len(piece)
        if self.size > self._limit:
            raise TooLarge("input_bytes", self._limit)
        return piece


class Unpacked:
    """What is in a compressed source. Raises `Unreadable`, and `TooLarge` for what swells."""

    def __init__(self, packed: Counted, packing: Packing, limits: Limits) -> None:
        self._pieces = _inflated(packed, packing)
        self._packed, self._limits = packed, limits
        self._rest = b""
        self._size = 0

    def read(self, size: int, /) -> bytes:
        """Return some bytes, none at the end."""
        if not self._rest:
            self._rest = next(self._pieces, b"")
            self._count(len(self._rest))
        piece, self._rest = self._rest[:size], self._rest[size:]
        return piece

    def _count(self, size: int) -> None:
        self._size += size
        if self._size > self._limits.inflated_bytes:
            raise TooLarge("inflated_bytes", self._limits.inflated_bytes)
        if self._size > RATIO_FROM and self._size > self._packed.size * self._limits.inflation_ratio:
            raise TooLarge("inflation_ratio", self._limits.inflation_ratio)


def _inflated(packed: Counted, packing: Packing) -> Iterator[bytes]:
    """Yield what is in it, no piece much longer than `CHUNK`."""
    inflate = {"gzip": _gzip, "deflate": _deflate, "br": _brotli, "zstd": _zstd}[packing]
    try:
        for piece in inflate(packed):
            if piece:
                yield piece
    except (zlib.error, brotli.error, zstd.ZstdError):
        raise Unreadable("bad_packing", f"the body is no whole {packing}") from None


def _gzip(packed: Counted) -> Iterator[bytes]:
    inflater = zlib.decompressobj(GZIP)
    while data := packed.read(CHUNK):
        while data:
            if inflater.eof:  # members stand one behind the other
                inflater = zlib.decompressobj(GZIP)
            yield from _in_pieces(inflater, data)
            data = inflater.unused_data
    _require_end(inflater.eof)


def _deflate(packed: Counted) -> Iterator[bytes]:
    data = packed.read(CHUNK)
    # RFC 9110 means zlib's format by it, some senders have never heard of that.
    is_zlib = len(data) > 1 and data[0] & 0x0F == zlib.DEFLATED and (data[0] << 8 | data[1]) % 31 == 0
    inflater = zlib.decompressobj(zlib.MAX_WBITS if is_zlib else -zlib.MAX_WBITS)
    while data and not inflater.eof:
        yield from _in_pieces(inflater, data)
        data = packed.read(CHUNK)
    _require_end(inflater.eof)


def _in_pieces(inflater: "zlib._Decompress", data: bytes) -> Iterator[bytes]:
    while True:
        piece = inflater.decompress(data, CHUNK)
        yield piece
        data = inflater.unconsumed_tail
        if inflater.eof or (not data and len(piece) < CHUNK):
            return


def _require_end(is_there: bool) -> None:
    if not is_there:
        raise zlib.error("the end is missing")


def _brotli(packed: Counted) -> Iterator[bytes]:
    inflater = brotli.Decompressor()
    while not inflater.is_finished() and (data := packed.read(CHUNK)):
        yield inflater.process(data, output_buffer_limit=CHUNK)
        while not inflater.is_finished() and not inflater.can_accept_more_data():
            yield inflater.process(b"", output_buffer_limit=CHUNK)
    if not inflater.is_finished():
        raise brotli.error("the end is missing")


def _zstd(packed: Counted) -> Iterator[bytes]:
    inflater = _zstd_frame()
    while data := packed.read(CHUNK):
        while data:
            if inflater.eof:  # frames stand one behind the other
                inflater = _zstd_frame()
            yield inflater.decompress(data, CHUNK)
            while not (inflater.eof or inflater.needs_input):
                yield inflater.decompress(b"", CHUNK)
            data = inflater.unused_data if inflater.eof else b""
    if not inflater.eof:
        raise zstd.ZstdError("the end is missing")


def _zstd_frame() -> zstd.ZstdDecompressor:
    return zstd.ZstdDecompressor(options={zstd.DecompressionParameter.window_log_max: WINDOW_LOG})


def packed(pieces: Iterator[bytes], packing: str) -> Iterator[bytes]:
    """Yield the pieces compressed, if that is asked for; quickly rather than small."""
    if packing == "identity":
        yield from pieces
        return
    compress, finish = PACKERS[packing]()
    for piece in pieces:
        if done := compress(piece):
            yield done
    yield finish()


def _to_zstd() -> "Packer":
    packer = zstd.ZstdCompressor(level=ZSTD_LEVEL)
    return packer.compress, packer.flush


def _to_gzip() -> "Packer":
    packer = zlib.compressobj(GZIP_LEVEL, wbits=GZIP)
    return packer.compress, packer.flush


def _to_brotli() -> "Packer":
    packer = brotli.Compressor(quality=BROTLI_QUALITY)
    return packer.process, packer.finish


Packer = tuple[Callable[[bytes], bytes], Callable[[], bytes]]  # compresses a piece; ends what was compressed
PACKERS: Final[Mapping[str, Callable[[], Packer]]] = {"zstd": _to_zstd, "gzip": _to_gzip, "br": _to_brotli}
