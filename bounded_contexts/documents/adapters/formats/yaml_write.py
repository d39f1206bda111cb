"""Values as YAML: the other way of yaml.py. Texts are written so that YAML 1.1 takes them for texts, too."""

import re
from collections.abc import Iterable, Iterator
from typing import Final

import msgspec

from bounded_contexts.documents.adapters.formats.conversion import Conversion, encoded
from bounded_contexts.documents.domain.fitting import as_text
from bounded_contexts.documents.domain.options import Options
from bounded_contexts.documents.domain.values import Document, Single, Value

KINDS: Final = frozenset(
    {
        *("null", "boolean", "integer", "big integer", "unsigned", "decimal", "whole decimal"),
        *("float", "not finite"),
        *("string", "list", "map", "key"),
    }
)
_PLAIN = re.compile(r"[^\W\d][\w./-]*(?: [\w./-]+)*")
_RESERVED: Final = frozenset({"null", "true", "false", "yes", "no", "on", "off", "y", "n", "inf", "nan", "infinity"})
_UNPRINTABLE = re.compile("[\x7f-\x9f\u2028\u2029\ufeff\ufffe\uffff]")  # and no character that JSON escapes
_quoted = msgspec.json.encode


def write(document: Document, conversion: Conversion) -> Iterator[bytes]:
    """Write one document; records as the items of a list, or as documents of their own."""
    return encoded(_text(document, conversion), conversion)


def _text(document: Document, conversion: Conversion) -> Iterator[str]:
    fit, options = conversion.fitting(KINDS).fit, conversion.options
    writing = _Writing(options)
    if isinstance(document, Single):
        yield writing.document(fit(document.value))
        return
    number = 0
    for batch in document.batches:
        values = [fit(value, f"/{number + index}") for index, value in enumerate(batch)]
        number += len(batch)
        if options.framing == "stream":
            yield "".join([f"---\n{writing.document(value)}" for value in values])
        elif values:
            yield writing.items(values)
    if options.framing == "stream" and number < 2:
        conversion.losses.add("record_as_value", "", "of fewer than two documents in a row none is a record")
    elif not number:
        yield "[]\n"


class _Writing:
    """Writes values in the style that was asked for."""

    def __init__(self, options: Options) -> None:
        self._sorts = options.sort_keys
        self._is_flow = options.style == "flow"
        self._quotes = options.quoting == "all"

    def document(self, value: Value) -> str:
        """Return a value that stands by itself."""
        return f"{self._flow(value)}\n" if self._is_flow else "".join(self._block(value, ""))

    def items(self, values: list[Value]) -> str:
        """Return the next items of a list."""
        if self._is_flow:
            return "".join([f"- {self._flow(value)}\n" for value in values])
        return "".join(self._items(values, ""))

    def _keys(self, value: dict[Value, Value]) -> Iterable[Value]:
        return sorted(value, key=lambda key: (type(key).__name__, key)) if self._sorts else value

    def _flow(self, value: Value) -> str:
        if isinstance(value, dict):
            return f"{{{', '.join([f'{self._inline(key)}: {self._flow(value[key])}' for key in self._keys(value)])}}}"
        if isinstance(value, list):
            return f"[{', '.join([self._flow(each) for each in value])}]"
        return self._inline(value)

    def _block(self, value: Value, indent: str) -> Iterator[str]:
        if isinstance(value, dict) and value:
            yield from self._entries(value, indent)
        elif isinstance(value, list) and value:
            yield from self._items(value, indent)
        else:
            yield f"{self._inline(value)}\n"

    def _entries(self, value: dict[Value, Value], indent: str) -> Iterator[str]:
        for number, key in enumerate(self._keys(value)):
            inner = value[key]
            begin = f"{indent if number else ''}{self._inline(key)}:"
            if isinstance(inner, dict) and inner:
                yield f"{begin}\n{indent}  "
                yield from self._entries(inner, f"{indent}  ")
            elif isinstance(inner, list) and inner:
                yield f"{begin}\n{indent}"
                yield from self._items(inner, indent)
            else:
                yield f"{begin} {self._inline(inner)}\n"

    def _items(self, values: list[Value], indent: str) -> Iterator[str]:
        for number, value in enumerate(values):
            yield f"{indent if number else ''}- "
            yield from self._block(value, f"{indent}  ")

    def _inline(self, value: Value) -> str:
        return _scalar(value, quotes=self._quotes)


def _scalar(value: Value, *, quotes: bool) -> str:
    if type(value) is str:
        if not quotes and len(value) <= 200 and _PLAIN.fullmatch(value) and value.lower() not in _RESERVED:
            return value
        return _UNPRINTABLE.sub(_escaped, _quoted(value).decode())
    if value is None:
        return "null"
    if isinstance(value, dict):
        return "{}"
    if isinstance(value, list):
        return "[]"
    if isinstance(value, float) and value - value != 0:
        return ".nan" if value != value else ".inf" if value > 0 else "-.inf"
    return as_text(value)


def _escaped(match: "re.Match[str]") -> str:
    return f"\\u{ord(match[0]):04X}"
