"""How blocks of Avro containers are packed. What unpacks is told how much it may become."""

import bz2
import lzma
import zlib
from collections.abc import Callable
from typing import Final

from backports import zstd

from bounded_contexts.documents.domain.errors import TooLarge, Unreadable

WINDOW_LOG: Final = 27  # zstandard may look back 128 MiB: what its command line writes at most by itself


def _deflated(data: bytes) -> bytes:
    packer = zlib.compressobj(6, zlib.DEFLATED, -15)
    return packer.compress(data) + packer.flush()


def _inflate(data: bytes, limit: int) -> bytes:
    parser = zlib.decompressobj(-15)
    return _ended(parser.decompress(data, limit + 1), parser.eof, limit)


def _bunzip(data: bytes, limit: int) -> bytes:
    parser = bz2.BZ2Decompressor()
    return _ended(parser.decompress(data, limit + 1), parser.eof, limit)


def _unxz(data: bytes, limit: int) -> bytes:
    parser = lzma.LZMADecompressor(memlimit=2 * limit)
    return _ended(parser.decompress(data, limit + 1), parser.eof, limit)


def _unzstd(data: bytes, limit: int) -> bytes:
    parser = zstd.ZstdDecompressor(options={zstd.DecompressionParameter.window_log_max: WINDOW_LOG})
    return _ended(parser.decompress(data, limit + 1), parser.eof, limit)


def _ended(data: bytes, is_end: bool, limit: int) -> bytes:
    if len(data) > limit:
        raise TooLarge("item_bytes", limit)
    if not is_end:
        raise ValueError("ends too early")
    return data


def _unsnappy(data: bytes, limit: int) -> bytes:
    """Return the raw Snappy stream, whose checksum follows it, as bytes (github.com/google/snappy, format_description.txt)."""
    size, at = _length(data)
    if size > limit:
        raise TooLarge("item_bytes", limit)
    out = bytearray()
    end = len(data) - 4
    while at < end:
        tag = data[at]
        at += 1
        if tag & 3 == 0:
            length = tag >> 2
            if length >= 60:
                extra = length - 59
                length = int.from_bytes(data[at : at + extra], "little")
                at += extra
            out += data[at : at + length + 1]
            at += length + 1
        else:
            length, offset, at = _copy(data, tag, at)
            _repeat(out, offset, length)
        if len(out) > size:
            break
    if at != end or len(out) != size or zlib.crc32(out).to_bytes(4, "big") != data[end:]:
        raise ValueError("a damaged Snappy stream")
    return bytes(out)


def _length(data: bytes) -> tuple[int, int]:
    size = shift = at = 0
    while True:
        byte = data[at]
        at += 1
        size |= (byte & 0x7F) << shift
        if byte < 0x80:
            return size, at
        shift += 7
        if shift > 28:
            raise ValueError("a length of too many bytes")


def _copy(data: bytes, tag: int, at: int) -> tuple[int, int, int]:
    match tag & 3:
        case 1:
            return (tag >> 2 & 7) + 4, (tag >> 5) << 8 | data[at], at + 1
        case 2:
            return (tag >> 2) + 1, int.from_bytes(data[at : at + 2], "little"), at + 2
        case _:
            return (tag >> 2) + 1, int.from_bytes(data[at : at + 4], "little"), at + 4


def _repeat(out: bytearray, offset: int, length: int) -> None:
    if not 0 < offset <= len(out):
        raise ValueError("a copy from nowhere")
    begin = len(out) - offset
    part = out[begin : begin + length]
    out += (part * (length // len(part) + 1))[:length]  # what is copied may begin to be part of the copy


PACK: Final[dict[str, Callable[[bytes], bytes]]] = {
    "null": bytes,
    "deflate": _deflated,
    "bzip2": bz2.compress,
    "xz": lzma.compress,
    "zstandard": zstd.compress,
}
UNPACK: Final[dict[str, Callable[[bytes, int], bytes]]] = {
    "null": lambda data, _: data,
    "deflate": _inflate,
    "bzip2": _bunzip,
    "xz": _unxz,
    "snappy": _unsnappy,
    "zstandard": _unzstd,
}


def unpacked(codec: str, data: bytes, limit: int, offset: int) -> bytes:
    """Return the block. Raise `Unreadable` for a damaged one, `TooLarge` past the limit in bytes."""
    try:
        return UNPACK[codec](data, limit)
    except (ValueError, IndexError, OSError, EOFError, zlib.error, lzma.LZMAError, zstd.ZstdError):
        raise Unreadable("bad_avro", f"a block is not packed with {codec}", offset=offset) from None
