"""Values as XML: the other way of xml.py, which says what stands for what."""

import json
import re
from collections import Counter
from collections.abc import Collection, Iterator
from typing import Final

import msgspec

from bounded_contexts.documents.adapters.formats.conversion import Conversion, codec_of, encoded
from bounded_contexts.documents.adapters.formats.json import KINDS as JSON_KINDS
from bounded_contexts.documents.domain.errors import TooLarge, Unwritable
from bounded_contexts.documents.domain.fitting import as_text
from bounded_contexts.documents.domain.losses import Losses
from bounded_contexts.documents.domain.values import Document, Single, Value

SCHEMA: Final = "http://www.w3.org/2001/XMLSchema-instance"
OWN: Final = "urn:headwater:lossless"
COMMENT: Final = "#comment"
_PREFIX = re.compile(r"(?!xml(?:ns)?$)[^\W\d][\w.-]*")
_NAME = re.compile(r"[^\W\d][\w.-]*(?::[^\W\d][\w.-]*)?")
ESCAPED: Final = re.compile(r"_x([0-9A-F]{4,6})_")
_UNNAMED = re.compile(r"[^\w.-]|_(?=x[0-9A-F]{4,6}_)")
_FORBIDDEN = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")


def write(document: Document, conversion: Conversion) -> Iterator[bytes]:
    """Write one root element; records as its elements, named `row`."""
    return encoded(_text(document, conversion), conversion)


def _text(document: Document, conversion: Conversion) -> Iterator[str]:
    options = conversion.options
    yield f'<?xml version="1.0" encoding="{codec_of(options.output_charset).name.upper()}"?>\n'
    if options.lossless:
        yield from _exact_text(document, conversion)
        return
    writing = _Writing(conversion)
    if isinstance(document, Single):
        value = document.value
        if isinstance(value, dict) and len(value) == 1 and not isinstance(inner := next(iter(value.values())), list):
            yield writing.element(str(next(iter(value))), inner, "")  # what a root was read as
        else:
            yield writing.element(options.root, value if not isinstance(value, list) else {options.row: value}, "")
        return
    yield writing.root()
    number = 0
    for batch in document.batches:
        yield "".join([writing.element(options.row, value, f"/{number + index}") for index, value in enumerate(batch)])
        number += len(batch)
    yield f"</{writing.name(options.root)}>\n"


class _Writing:
    """Writes values as elements, and tells of what does not read back."""

    def __init__(self, conversion: Conversion) -> None:
        self._options = conversion.options
        self._losses: Losses = conversion.losses
        self._depth = conversion.limits.depth
        self._has_comments = conversion.options.comments
        self._names: dict[str, str] = {}
        self._prefixes = Counter({"xml": 1})  # that stand for a namespace where we are
        self._nil = f' xmlns:xsi="{SCHEMA}" xsi:nil="true"'

    def root(self) -> str:
        """Return the beginning of an element that all others stand in."""
        self._nil = ' xsi:nil="true"'
        self._prefixes["xsi"] += 1
        return f'<{self.name(self._options.root)} xmlns:xsi="{SCHEMA}">'

    def name(self, key: str) -> str:
        """Return the key as a name: characters that names lack are escaped, so is the colon of a prefix that nobody declares."""
        if ":" in key and not self._prefixes[key.partition(":")[0]]:
            return _escaped_name(key)
        name = self._names.get(key)
        if name is None:
            name = self._names[key] = key if _NAME.fullmatch(key) and not ESCAPED.search(key) else _escaped_name(key)
        return name

    def element(self, key: str, value: Value, place: str, depth: int = 1) -> str:
        """Return the element, or several of a list."""
        if depth > self._depth:
            raise TooLarge("depth", self._depth)
        if self._has_comments and key == COMMENT:
            return self._comments(value, place)
        if isinstance(value, dict) and value:
            return self._map(key, value, place, depth)
        if isinstance(value, list) and value:
            return self._list(key, value, place, depth)
        name = self.name(key)
        if value is None:
            return f"<{name}{self._nil}/>"
        return f"<{name}>{self._scalar(value, place)}</{name}>"

    def _comments(self, value: Value, place: str) -> str:
        texts = [
            each if type(each) is str else as_text(each) for each in (value if isinstance(value, list) else [value])
        ]
        if any("--" in text or text.endswith("-") or _FORBIDDEN.search(text) for text in texts):
            raise Unwritable("bad_character", f"a comment cannot hold what is at {place}")
        return "".join([f"<!--{text}-->" for text in texts])

    def _list(self, key: str, values: list[Value], place: str, depth: int) -> str:
        if len(values) == 1 and key not in self._options.lists:
            self._losses.add("list_of_one", place, f"reads back as what is in it, unless {key!r} is among `lists`")
        parts = []
        for index, value in enumerate(values):
            at = f"{place}/{index}"
            if isinstance(value, list):
                self._losses.add("list_in_list", at, "reads back as a map of `item`")
                value = {"item": value}
            parts.append(self.element(key, value, at, depth + 1))
        return "".join(parts)

    def _map(self, name: str, value: dict[Value, Value], place: str, depth: int) -> str:
        declared = self._declared(value)
        self._prefixes.update(declared)
        element = self._element_of_map(self.name(name), value, place, depth, declared)
        self._prefixes.subtract(declared)
        return element

    def _declared(self, value: dict[Value, Value]) -> set[str]:
        """Return the prefixes that the map's attributes declare."""
        declaring = f"{self._options.attributes}xmlns:"
        found = [key for key in value if type(key) is str and key.startswith(declaring)]
        named = {key.removeprefix(declaring): value[key] for key in found}
        return {prefix for prefix, uri in named.items() if type(uri) is str and uri and _PREFIX.fullmatch(prefix)}

    def _element_of_map(
        self, name: str, value: dict[Value, Value], place: str, depth: int, declared: Collection[str]
    ) -> str:
        sign, attributes, inner = self._options.attributes, [], []
        for key, each in value.items():
            text = key if type(key) is str else as_text(key)
            at = f"{place}/{text}"
            if type(key) is not str:
                self._losses.add("key_as_text", at, "a name is a text")
            if (
                text.startswith(sign)
                and len(text) > len(sign)
                and not isinstance(each, dict | list)
                and each is not None
            ):
                attribute = text[len(sign) :]
                declares = attribute.removeprefix("xmlns:") in declared
                attributes.append(
                    f' {attribute if declares else self.name(attribute)}="{self._scalar(each, at, quoted=True)}"'
                )
            elif text == self._options.text and not isinstance(each, dict | list):
                inner.append(self._scalar(each, at))
            elif text == "#content" and isinstance(each, list):
                inner.append(self._content(each, at, depth))
            else:
                inner.append(self.element(text, each, at, depth + 1))
        return f"<{name}{''.join(attributes)}>{''.join(inner)}</{name}>"

    def _content(self, parts: list[Value], place: str, depth: int) -> str:
        found = []
        for index, part in enumerate(parts):
            if isinstance(part, dict):
                found += [self.element(str(key), each, f"{place}/{index}", depth + 1) for key, each in part.items()]
            else:
                found.append(self._scalar(part, f"{place}/{index}"))
        return "".join(found)

    def _scalar(self, value: Value, place: str, *, quoted: bool = False) -> str:
        if type(value) is not str:
            if isinstance(value, dict | list):
                self._losses.add("empty_as_text", place, "an element has no empty list or map: it is empty")
                return ""
            self._losses.add("kind_as_text", place, "an element has texts only")
            value = as_text(value)
        return _escaped_text(value, place, quoted=quoted)


def _escaped_text(text: str, place: str, *, quoted: bool = False) -> str:
    if _FORBIDDEN.search(text):
        raise Unwritable(
            "bad_character", f"XML has no such character as in {place or 'the value'}; `lossless` has a way"
        )
    text = text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;").replace("\r", "&#13;")
    return text.replace('"', "&quot;").replace("\n", "&#10;").replace("\t", "&#9;") if quoted else text


def _escaped_name(key: str) -> str:
    if not key:
        return "_x0000_"
    name = _UNNAMED.sub(lambda match: f"_x{ord(match[0]):04X}_", key)
    return (
        name
        if re.match(r"[^\W\d]", name)
        else f"_x{ord(key[0]):04X}_{_UNNAMED.sub(lambda match: f'_x{ord(match[0]):04X}_', key[1:])}"
    )


def _exact_text(document: Document, conversion: Conversion) -> Iterator[str]:
    fit = conversion.fitting(JSON_KINDS).fit
    own = f' xmlns:hw="{OWN}"'
    if isinstance(document, Single):
        yield _exact_element(conversion.options.root, fit(document.value), own) + "\n"
        return
    yield f'<root{own} hw:kind="list">'
    for batch in document.batches:
        yield "".join([_exact_element("item", fit(value)) for value in batch])
    yield "</root>\n"


def _exact_element(key: str, value: Value, more: str = "") -> str:
    name = key if _NAME.fullmatch(key) and ":" not in key and key.isascii() else "_"
    if name != key:
        more += f' hw:key="{_escaped_text(json.dumps(key), "", quoted=True)}"'
    if isinstance(value, dict):
        return f'<{name}{more} hw:kind="map">{"".join([_exact_element(str(k), each) for k, each in value.items()])}</{name}>'
    if isinstance(value, list):
        return f'<{name}{more} hw:kind="list">{"".join([_exact_element("item", each) for each in value])}</{name}>'
    if isinstance(value, str) and not _FORBIDDEN.search(value):
        return f"<{name}{more}>{_escaped_text(value, '')}</{name}>"
    kind = "text" if isinstance(value, str) else "decimal" if not isinstance(value, bool | None) else "word"
    text = json.dumps(value) if kind == "text" else msgspec.json.Encoder(decimal_format="number").encode(value).decode()
    return f'<{name}{more} hw:kind="{kind}">{_escaped_text(text, "")}</{name}>'
