"""JSON (RFC 8259) and lines of it. An array is read and written element by element, in pieces of 64 KiB.

msgspec parses; where elements end it is asked: a prefix of the array that ends behind an element is an array itself, any
other is none. Only when a few guesses fail are brackets counted.
"""

import json as exact
import re
from collections.abc import Iterator, Sequence
from decimal import Decimal
from itertools import chain
from typing import Any, BinaryIO, Final, NoReturn

import msgspec

from bounded_contexts.documents.adapters.formats.conversion import CHUNK, Conversion, Format, utf8, whole
from bounded_contexts.documents.domain.errors import TooLarge, Unreadable
from bounded_contexts.documents.domain.options import Duplicates
from bounded_contexts.documents.domain.values import Document, Plain, Records, Single, Value

KINDS: Final = frozenset(
    {"null", "boolean", "integer", "big integer", "unsigned", "decimal", "whole decimal", "string", "list", "map"}
)
SPACE: Final = b" \t\r\n"
GUESSES: Final = 4
Lines = tuple[int, bytes, Sequence[Value]]
_decode = msgspec.json.Decoder(float_hook=Decimal).decode
_decode_floats = msgspec.json.Decoder().decode
_encode = msgspec.json.Encoder(decimal_format="number").encode
_encode_sorted = msgspec.json.Encoder(decimal_format="number", order="sorted").encode
# What is left of a text by which its depth is seen: every bracket as a square one, and the quotes that others stand in.
_SHAPE: Final = bytes.maketrans(b"{}", b"[]")
_SHAPELESS: Final = bytes(set(range(256)) - set(b'[]{}"'))
_TEXTS = re.compile(rb'"[^"]*"')
_ESCAPE = re.compile(rb"\\.", re.DOTALL)
# Nothing is gone back to (possessive): a text of many megabytes that has not ended is gone through once.
_TOKEN = re.compile(rb'"[^"\\]*+(?:\\.[^"\\]*+)*+"|[\[\]{},"]', re.DOTALL)
_AT = re.compile(r"byte (\d+)")
_MINUS_ZERO = re.compile(rb"-0(?![.0-9eE])")
# Numbers whose digits a float may not hold: of more than 15, or with an exponent. Whatever looks like one counts.
_DIGITS: Final = bytes.maketrans(b"123456789.E", b"0000000000e")
_LONG: Final = (b"0" * 17, b"0e")
_ZEROS = re.compile(rb"\.[0-9]+0(?![0-9])")  # at the end, which floats do not keep


class _Place:
    """How far the text has been read, for errors."""

    def __init__(self) -> None:
        self.offset = 0
        self.line = 1
        self.column = 1

    def pass_(self, text: bytes | bytearray, length: int | None = None) -> None:
        length = len(text) if length is None else length
        self.offset += length
        lines = text.count(b"\n", 0, length)
        self.line += lines
        self.column = length - text.rfind(b"\n", 0, length) if lines else self.column + length

    def refuse(self, text: bytes, at: int, why: str, code: str = "bad_json") -> NoReturn:
        self.pass_(text[:at])
        raise Unreadable(code, why, line=self.line, column=self.column, offset=self.offset)


def read_json(source: BinaryIO, conversion: Conversion) -> Document:
    """Read one text: an array becomes records, anything else a value."""
    pieces = utf8(source, conversion)
    place = _Place()
    buffer = bytearray()
    for piece in pieces:
        buffer += piece
        begin = len(buffer) - len(buffer.lstrip(SPACE))
        place.pass_(buffer[:begin])
        del buffer[:begin]
        if buffer:
            break
    if buffer[:1] == b"[":
        place.pass_(b"[")
        return Records(_elements(buffer[1:], pieces, place, conversion))
    text = bytes(buffer) + whole(pieces, conversion.limits.item_bytes)
    return Single(_parsed(text, place, conversion, 0))


def _elements(
    buffer: bytearray, pieces: Iterator[bytes], place: _Place, conversion: Conversion
) -> Iterator[Sequence[Value]]:
    """Yield the array's elements; `buffer` is what stands behind its bracket."""
    after_comma, enough = False, CHUNK  # bytes that are tried; twice as many when an element is larger
    for piece in chain((b"",), pieces):
        buffer += piece
        while len(buffer) >= enough:
            cut, found = _cut(buffer, conversion, place)
            if found is None:
                enough *= 2
                break
            place.pass_(buffer, cut)
            del buffer[:cut]
            after_comma, enough = True, CHUNK
            yield found
        if len(buffer) > conversion.limits.item_bytes:
            raise TooLarge("item_bytes", conversion.limits.item_bytes)
    rest = bytes(buffer)
    last = _parsed(b"[" + rest, place, conversion, 1)
    if after_comma and not last:
        place.refuse(rest, 0, "an element is missing behind the last comma")
    if last:
        yield last


def _cut(buffer: bytearray, conversion: Conversion, place: _Place) -> tuple[int, Sequence[Value] | None]:
    """Return how long the longest known run of whole elements is, its comma included, and the elements."""
    first = buffer.lstrip(SPACE)[:1]
    closing = {b"{": b"}", b"[": b"]", b'"': b'"'}.get(bytes(first), b"")
    end = len(buffer)
    for _ in range(GUESSES):
        comma = buffer.rfind(closing + b",", 0, end)
        if comma < 0:
            break
        end = comma + len(closing)
        text = b"".join((b"[", memoryview(buffer)[:end], b"]"))
        try:
            elements = _elements_of(text, conversion)
        except (msgspec.DecodeError, RecursionError, ArithmeticError):
            continue
        return end + 1, _checked(text, elements, place, conversion, 1)
    end = _last_comma(buffer, conversion.limits.depth)
    if end < 0:
        return 0, None
    text = bytes(buffer[:end])
    return end + 1, _parsed(b"[" + text + b"]", place, conversion, 1)


def _elements_of(text: bytes, conversion: Conversion, lines: Sequence[bytes] = ()) -> Sequence[Value]:
    """Return the list that the text is, or what each of the lines is that the text is made of. Numbers are floats, if targets
    have only these and they hold what all the numbers say. Raise as the parser does."""
    if conversion.floats:
        values = Plain(map(_decode_floats, lines) if lines else _decode_floats(text))
        if _encode(values) == msgspec.json.format(text, indent=-1):
            return values
        digits = text.translate(_DIGITS)
        if not any(long in digits for long in _LONG) and not _ZEROS.search(text):
            return values
    return [_decode(line) for line in lines] if lines else _decode(text)


def _last_comma(buffer: bytearray, limit: int) -> int:
    """Return where the last comma between elements is, -1 without one."""
    depth, found = 0, -1
    for token in _TOKEN.finditer(buffer):
        match token[0]:
            case b"[" | b"{":
                depth += 1
                if depth > limit:
                    raise TooLarge("depth", limit)
            case b"]" | b"}":
                depth -= 1
                if depth < 0:
                    break
            case b'"':  # of a text that has not ended
                break
            case b"," if depth == 0:
                found = token.start()
    return found


def _parsed(text: bytes, place: _Place, conversion: Conversion, before: int) -> Any:
    """Return the value; the first `before` bytes of the text are not the input's."""
    try:
        value = _decode(text)
    except RecursionError:
        raise TooLarge("depth", conversion.limits.depth) from None
    except ArithmeticError:  # 1e9999999999999999999
        place.refuse(text[before:], 0, "a number whose exponent has too many digits", "number_too_long")
    except msgspec.DecodeError as error:
        _refuse(text, error, place, before)
    return _checked(text, value, place, conversion, before)


def _refuse(text: bytes, error: msgspec.DecodeError, place: _Place, before: int) -> NoReturn:
    why = str(error)
    at = int(match[1]) if (match := _AT.search(why)) else len(text)
    if "out of range" in why:
        place.refuse(text[before:], 0, "an integer has too many digits", "number_too_long")
    reason = why.removeprefix("JSON is malformed: ").split(" (byte")[0]
    place.refuse(text[before:], max(0, at - before), "the text ends too early" if "truncated" in why else reason)


def _is_deeper(text: bytes, limit: int) -> bool:
    """Return whether more than `limit` lists and maps stand in each other. The text is known to be JSON."""
    if b"\\" in text:
        text = _ESCAPE.sub(b"", text)
    shape = text.translate(_SHAPE, _SHAPELESS).replace(b'""', b"")
    if b'"' in shape:
        shape = _TEXTS.sub(b"", shape)
    for _ in range(limit):
        if not shape:
            return False
        shape = shape.replace(b"[]", b"")
    return bool(shape)


def _checked(text: bytes, value: Any, place: _Place, conversion: Conversion, before: int) -> Any:
    """Return the value with second keys treated as asked, and `-0` as it was; refuse what is too deep or cannot be written again.

    The parser keeps the last of equal keys. If writing the value gives the text again, there were none, and nothing else was
    lost. In a text that is spaced otherwise there were some exactly if fewer colons come back; escaped ones would count as none.
    """
    if _is_deeper(text, conversion.limits.depth + before):
        raise TooLarge("depth", conversion.limits.depth)
    try:
        again = _encode(value)
    except UnicodeEncodeError:
        place.refuse(text[before:], 0, "half of a surrogate pair stands alone", "bad_charset")
    if again == text or (
        text.count(b":") == again.count(b":") and b"\\u003" not in text and not _MINUS_ZERO.search(text)
    ):
        return value
    duplicates = conversion.options.duplicates

    def pairs(items: list[tuple[str, Value]]) -> dict[str, Value]:
        keys = dict(items)
        return keys if len(keys) == len(items) else merged(items, duplicates)

    try:
        return exact.loads(text, object_pairs_hook=pairs, parse_float=Decimal, parse_int=_integer)
    except Unreadable as error:
        place.refuse(text[before:], 0, f"{error.detail}, in a value that begins at or behind this place", error.code)


def _integer(text: str) -> int | Decimal:
    return Decimal(text) if text == "-0" else int(text)


def merged(items: Sequence[tuple[Any, Value]], duplicates: Duplicates) -> dict[Any, Value]:
    """Return the pairs as a map, equal keys treated as asked."""
    result: dict[Any, Value] = {}
    several: set[Any] = set()
    for key, value in items:
        if key not in result or duplicates == "last":
            result[key] = value
        elif duplicates == "error":
            raise Unreadable("duplicate_key", f"the key {str(key)[:40]!r} is there twice")
        elif duplicates == "list":
            result[key] = [*(result[key] if key in several else [result[key]]), value]
            several.add(key)
    return result


def read_lines(source: BinaryIO, conversion: Conversion) -> Document:
    """Read one JSON text a line; empty lines are none."""
    return Records(values for _, _, values in lines_of(source, conversion))


def lines_of(source: BinaryIO, conversion: Conversion, before: bytes = b"") -> Iterator[Lines]:
    """Yield lines, some at a time: the number of the first one, their text, and a value for each that is not empty. What stood
    `before` them counts for the places that errors tell."""
    place, rest = _Place(), b""
    place.pass_(before)
    for piece in utf8(source, conversion):
        rest += piece
        end = rest.rfind(b"\n") + 1
        if not end:
            if len(rest) > conversion.limits.item_bytes:
                raise TooLarge("item_bytes", conversion.limits.item_bytes)
            continue
        yield place.line, rest[:end], _of_lines(rest[:end], place, conversion)
        rest = rest[end:]
    if rest.strip(SPACE):
        yield place.line, rest, _of_lines(rest, place, conversion)


def _of_lines(text: bytes, place: _Place, conversion: Conversion) -> Sequence[Value]:
    lines = [line for line in text.split(b"\n") if line.strip(SPACE)]
    try:
        together = b"[" + b",".join(lines) + b"]"
        values = _elements_of(together, conversion, lines)  # each by itself: brackets may not span lines
        found: Sequence[Value] = _checked(together, values, place, conversion, 1)
        place.pass_(text)
        return found
    except (msgspec.DecodeError, RecursionError, ArithmeticError, Unreadable):
        pass
    found = []
    for line in text.splitlines(keepends=True):  # one of them is wrong: say which
        if line.strip(SPACE):
            found.append(_parsed(line.rstrip(b"\r\n"), place, conversion, 0))
        place.pass_(line)
    return found


def write_json(document: Document, conversion: Conversion) -> Iterator[bytes]:
    """Write one text."""
    encode = _encode_sorted if conversion.options.sort_keys else _encode
    pretty = conversion.options.pretty
    if isinstance(document, Single):
        text = encode(document.value)
        yield msgspec.json.format(text, indent=2) + b"\n" if pretty else text
        return
    between = b"["
    for batch in document.batches:
        if batch:
            text = encode(batch)
            inner = msgspec.json.format(text, indent=2)[1:-2] if pretty else text[1:-1]
            yield between + inner
            between = b","
    ending = b"\n]\n" if pretty else b"]"
    yield ending if between == b"," else b"[]\n" if pretty else b"[]"


def write_lines(document: Document, conversion: Conversion) -> Iterator[bytes]:
    """Write one value a line; of a list, each of its elements."""
    encoder = msgspec.json.Encoder(decimal_format="number", order="sorted" if conversion.options.sort_keys else None)
    if isinstance(document, Single):
        value = document.value
        if not isinstance(value, list):
            conversion.losses.add("value_as_record", "", "one value is the only one of its records")
        yield encoder.encode_lines(value) if isinstance(value, list) else encoder.encode(value) + b"\n"
        return
    for batch in document.batches:
        if batch:
            yield encoder.encode_lines(batch)


JSON: Final = Format(
    name="json",
    title="JSON",
    media_type="application/json",
    other_media_types=("text/json",),
    extensions=("json",),
    kinds=KINDS,
    read=read_json,
    write=write_json,
    streams_in=True,
    streams_out=True,
)
NDJSON: Final = Format(
    name="ndjson",
    title="JSON lines",
    media_type="application/x-ndjson",
    other_media_types=("application/ndjson", "application/jsonl", "application/x-jsonlines"),
    extensions=("ndjson", "jsonl"),
    kinds=KINDS,
    read=read_lines,
    write=write_lines,
    streams_in=True,
    streams_out=True,
)
