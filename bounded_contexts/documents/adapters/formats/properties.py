"""Java's properties (java.util.Properties, load and store): lines of `name=value`, continued, commented and escaped.

Values in each other are named as flattening.py has it. The charset is UTF-8 both ways; `\\uXXXX` is read wherever it stands,
and written for what the output's charset lacks.
"""

import re
from collections.abc import Iterator, Sequence
from typing import BinaryIO, Final

from bounded_contexts.documents.adapters.formats.conversion import Conversion, Format, encoded, utf8, whole
from bounded_contexts.documents.adapters.formats.json import merged
from bounded_contexts.documents.adapters.formats.rows import tokens_of
from bounded_contexts.documents.adapters.formats.tables import Cells, single, unguarded
from bounded_contexts.documents.domain.errors import Unreadable
from bounded_contexts.documents.domain.flattening import steps, unflattened
from bounded_contexts.documents.domain.inference import as_kind, inferred
from bounded_contexts.documents.domain.values import Document, Single, Value

KINDS: Final = frozenset({"string"})
_LINE = re.compile(r"\r\n|\r|\n")
_NAME = re.compile(r"(?:[^\\=: \t\f]|\\.)*", re.DOTALL)
_SEPARATOR = re.compile(r"^[ \t\f]*(?:[=:][ \t\f]*)?")
_ESCAPE = re.compile(r"\\(?:u(.{0,4})|(.))", re.DOTALL)
_SHORT: Final = {"t": "\t", "n": "\n", "r": "\r", "f": "\f"}
_LONG: Final = {ord(char): f"\\{short}" for short, char in _SHORT.items()} | {
    ord("\\"): "\\\\",
    0xFEFF: "\\uFEFF",  # at the beginning it were a byte order mark
}
_IN_NAMES: Final = _LONG | {ord(char): f"\\{char}" for char in "=: "}


def read(source: BinaryIO, conversion: Conversion) -> Document:
    """Read names and texts, nested where that was asked for."""
    text = whole(utf8(source, conversion), conversion.limits.item_bytes).decode()
    lines = list(_logical(text))
    pairs = [_pair(line, number) for number, line in lines]
    options = conversion.options
    if options.duplicates == "error":
        _require_different(pairs, [number for number, _ in lines])
    flat: dict[str, Value] = merged(pairs, options.duplicates)
    if options.restored:
        cells = ((steps(name), unguarded(value)) for name, value in flat.items() if value)
        return Single(unflattened(cells, conversion.limits.depth))
    known, tokens = dict(options.types), tokens_of(options)
    for name, value in flat.items():
        if type(value) is str and value in tokens:
            flat[name] = tokens[value]
        elif type(value) is str:
            flat[name] = as_kind(value, known[name], name) if name in known else inferred(value, options.inference)
            if name not in known:
                conversion.losses.inferred.add(name, [value], [flat[name]])
    if not options.nested:
        return Single(flat)
    return Single(unflattened(((steps(name), value) for name, value in flat.items()), conversion.limits.depth))


def _require_different(pairs: Sequence[tuple[str, str]], numbers: Sequence[int]) -> None:
    """Raise `Unreadable` for a name that is there twice, with the line of the second."""
    seen: set[str] = set()
    for (name, _), number in zip(pairs, numbers, strict=True):
        if name in seen:
            raise Unreadable("duplicate_key", f"the key {name[:40]!r} is there twice", line=number)
        seen.add(name)


def _logical(text: str) -> Iterator[tuple[int, str]]:
    """Yield the lines that are neither empty nor comments, continued ones as one, with the number of the first."""
    begun, first = "", 0
    for number, natural in enumerate(_LINE.split(text), start=1):
        line = natural.lstrip(" \t\f")
        if not begun:
            if not line or line[0] in "#!":
                continue
            first = number
        if (len(line) - len(line.rstrip("\\"))) % 2:
            begun += line[:-1] or ""
            if begun:
                continue
            begun = ""
            continue
        yield first, begun + line
        begun = ""
    if begun:
        yield first, begun


def _pair(line: str, number: int) -> tuple[str, str]:
    name = _NAME.match(line)
    at = name.end() if name else 0
    value = _SEPARATOR.sub("", line[at:], count=1)
    return _unescaped(line[:at], number), _unescaped(value, number)


def _unescaped(text: str, number: int) -> str:
    if "\\" not in text:
        return text
    found = _ESCAPE.sub(lambda match: _character(match, number), text)
    try:
        return found.encode("utf-16", "surrogatepass").decode("utf-16") if "\\u" in text else found
    except UnicodeDecodeError:
        raise Unreadable("bad_escape", "an escape stands for half of a surrogate pair", line=number) from None


def _character(match: "re.Match[str]", number: int) -> str:
    if match[2] is not None:
        return _SHORT.get(match[2], match[2])
    if not re.fullmatch(r"[0-9A-Fa-f]{4}", match[1]):
        raise Unreadable("bad_escape", f"\\u{match[1]} is no escaped character", line=number)
    return chr(int(match[1], 16))


def write(document: Document, conversion: Conversion) -> Iterator[bytes]:
    """Write a line for each leaf."""
    flat = Cells(conversion).only(single(document, conversion.limits.rows))
    names = sorted(flat) if conversion.options.sort_keys else flat
    return encoded((f"{_name(name)}={_value(flat[name])}\n" for name in names), conversion)


def _name(name: str) -> str:
    escaped = name.translate(_IN_NAMES)
    return f"\\{escaped}" if escaped[:1] in ("#", "!") else escaped


def _value(text: str) -> str:
    escaped = text.translate(_LONG)
    return f"\\{escaped}" if escaped[:1] == " " else escaped


PROPERTIES: Final = Format(
    name="properties",
    title="Properties",
    media_type="text/x-java-properties",
    other_media_types=("text/x-properties",),
    extensions=("properties",),
    kinds=KINDS,
    read=read,
    write=write,
    streams_in=False,
    streams_out=True,
)
