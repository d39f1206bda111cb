"""Values as XML: the other way of xml.py, which says what stands for what."""

import json
from collections.abc import Iterator, Sequence
from itertools import chain
from typing import Final

import msgspec

from bounded_contexts.documents.adapters.formats.conversion import Conversion, codec_of, encoded
from bounded_contexts.documents.adapters.formats.json import KINDS as JSON_KINDS
from bounded_contexts.documents.adapters.formats.xml_maps import Attributes, Scope, is_content
from bounded_contexts.documents.adapters.formats.xml_names import FORBIDDEN, NAME, SCHEMA, escaped_name, escaped_text
from bounded_contexts.documents.domain.errors import TooLarge, Unreadable, Unwritable
from bounded_contexts.documents.domain.fitting import as_text
from bounded_contexts.documents.domain.losses import Losses
from bounded_contexts.documents.domain.values import Document, Records, Single, Value, escaped

OWN: Final = "urn:headwater:lossless"
COMMENT: Final = "#comment"
CONTENT: Final = "#content"
# A processing instruction before the root, where this looks like something else: elements of one name like records, and a
# single record, or none, like a value.
SAID: Final = "headwater"
AS_VALUE, AS_RECORDS = "value", "records"
Place = tuple["Place", Value] | None  # where a value is: within another, at a key or index; None is the document


def write(document: Document, conversion: Conversion) -> Iterator[bytes]:
    """Write one root element; records as its elements, named `row`."""
    return encoded(_text(document, conversion), conversion)


def _text(document: Document, conversion: Conversion) -> Iterator[str]:
    options = conversion.options
    yield f'<?xml version="1.0" encoding="{codec_of(options.output_charset).name.upper()}"?>\n'
    if options.lossless:
        yield from _exact_text(document, conversion)
    elif isinstance(document, Records):
        yield from _records(iter(document.batches), conversion)
    elif isinstance(document.value, list):
        yield from _records(iter((document.value,)), conversion)
    else:
        yield _Writing(conversion).document(document.value)


def _records(batches: Iterator[Sequence[Value]], conversion: Conversion) -> Iterator[str]:
    writing, first = _Writing(conversion), list[Value]()
    for batch in batches:
        first += batch
        if len(first) > 1:
            break
    yield writing.root() if len(first) > 1 else f"<?{SAID} {AS_RECORDS}?>\n{writing.root()}"
    number = 0
    for batch in chain((first,), batches):
        yield "".join([writing.record(value, (None, number + index)) for index, value in enumerate(batch)])
        number += len(batch)
    yield f"</{writing.name(conversion.options.root)}>\n"


class _Writing:
    """Writes values as elements, and tells of what does not read back."""

    def __init__(self, conversion: Conversion) -> None:
        self._options = conversion.options
        self._losses: Losses = conversion.losses
        self._depth = conversion.limits.depth
        self._has_comments = conversion.options.comments
        self._names: dict[str, str] = {}
        self._scope = Scope(conversion.options.attributes)

    def document(self, value: Value) -> str:
        """Return the root element: what a root was read as, or one that has a name of its own."""
        key, inner = next(iter(value.items())) if isinstance(value, dict) and len(value) == 1 else (None, [])
        if isinstance(inner, list):
            self.lose("wrapped", None, f"a document is one element: it is {self._options.root!r}")
            text, inner, place = self._options.root, value, None
        else:
            text, place = self._key(key, value, None, set()), (None, key)
        said = f"<?{SAID} {AS_VALUE}?>\n" if isinstance(inner, dict) and self._looks_like_records(inner) else ""
        return f"{said}{self.element(text, inner, place)}"

    def _looks_like_records(self, root: dict[Value, Value]) -> bool:
        for key, value in root.items():
            is_scalar = value is not None and not isinstance(value, dict | list)
            if not (is_scalar and type(key) is str and key.startswith(self._options.attributes)):
                return isinstance(value, list)
        return False

    def root(self) -> str:
        """Return the beginning of an element that all others stand in."""
        self._scope.enter({"xsi": SCHEMA})
        return f'<{self.name(self._options.root)} xmlns:xsi="{SCHEMA}">'

    def name(self, key: str) -> str:
        """Return the key as a name: characters that names lack are escaped, so is the colon of a prefix that nobody declares."""
        if ":" in key and not self._scope.uri(key.partition(":")[0]):
            return escaped_name(key)
        name = self._names.get(key)
        if name is None:
            name = self._names[key] = key if NAME.fullmatch(key) and "_x" not in key else escaped_name(key)
        return name

    def lose(self, code: str, place: Place, detail: str) -> None:
        """Report what becomes of the value at the place."""
        self._losses.add(code, "" if self._losses.are_told else _pointer(place), detail)

    def record(self, value: Value, place: Place) -> str:
        """Return the element of a record."""
        return self._one(self._options.row, value, place, 1)

    def element(self, key: str, value: Value, place: Place, depth: int = 1) -> str:
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
            declared = "" if self._scope.uri("xsi") == SCHEMA else f' xmlns:xsi="{SCHEMA}"'
            return f'<{name}{declared} xsi:nil="true"/>'
        return f"<{name}>{self._scalar(value, place)}</{name}>"

    def _comments(self, value: Value, place: Place) -> str:
        texts = [
            each if type(each) is str else as_text(each) for each in (value if isinstance(value, list) else [value])
        ]
        if any("--" in text or text.endswith("-") or FORBIDDEN.search(text) for text in texts):
            raise Unwritable("bad_character", f"a comment cannot hold what is at {_pointer(place)}")
        return "".join([f"<!--{text}-->" for text in texts])

    def _list(self, key: str, values: list[Value], place: Place, depth: int) -> str:
        if len(values) == 1 and key not in self._options.lists:
            self.lose("list_of_one", place, f"reads back as what is in it, unless {key!r} is among `lists`")
        return "".join([self._one(key, value, (place, index), depth + 1) for index, value in enumerate(values)])

    def _one(self, key: str, value: Value, place: Place, depth: int) -> str:
        if not (isinstance(value, list) and value):
            return self.element(key, value, place, depth)
        if depth > self._depth:
            raise TooLarge("depth", self._depth)
        self.lose("list_in_list", place, "reads back as a map of `item`")
        name = self.name(key)
        return f"<{name}>{self._list('item', value, place, depth + 1)}</{name}>"

    def _map(self, key: str, value: dict[Value, Value], place: Place, depth: int) -> str:
        declared = self._scope.declared(value)
        for attribute in self._scope.enter(declared):
            self.lose("declaration_dropped", (place, attribute), "it says what is so already")
        element = self._element_of_map(self.name(key), value, place, depth)
        self._scope.leave(declared)
        return element

    def _element_of_map(self, name: str, value: dict[Value, Value], place: Place, depth: int) -> str:
        sign, attributes = self._options.attributes, Attributes(self._scope)
        inner: list[str] = []
        text: str | None = None
        content: list[Value] | None = None
        taken: set[str] = set()
        for key, each in value.items():
            word, at = key if type(key) is str else self._key(key, value, place, taken), (place, key)
            is_scalar = each is not None and not isinstance(each, dict | list)
            if is_scalar and word.startswith(sign) and len(word) > len(sign):
                attribute = word[len(sign) :]
                as_name = attributes.declaration(attribute, each) or self.name(attribute)
                attributes.add(as_name, self._scalar(each, at, quoted=True))
            elif word == self._options.text and (is_scalar or each is None):
                text = self._scalar(each, at)
                inner.append(text)
            elif word == CONTENT and isinstance(each, list):
                content = each
                inner.append(self._content(each, at, depth))
            else:
                inner.append(self.element(word, each, at, depth + 1))
        self._tell_of_texts(place, text, content, len(inner), attributes)
        return f"<{name}{attributes.text}>{''.join(inner)}</{name}>"

    def _tell_of_texts(
        self, place: Place, text: str | None, content: list[Value] | None, parts: int, attributes: Attributes
    ) -> None:
        """Report where texts stand so that the element reads back as another value than a map of what is in it."""
        if content is not None and not (parts == 1 and is_content(content)):
            self.lose("content_rearranged", place, "texts and elements are told apart by what is between them")
        elif text is not None and content is None and parts > 1:
            self.lose("content_rearranged", place, f"a text among elements is part of {CONTENT!r}")
        elif not attributes.are_read and (text is not None or not parts):
            self.lose("map_as_text", place, "an element without attributes and elements is its text")
        elif attributes.say_nil and (text is not None or not parts):
            self.lose("map_as_null", place, "its attribute says so")
        elif text == "":
            self.lose("text_dropped", (place, self._options.text), "an empty text is none")

    def _key(self, key: Value, value: dict[Value, Value], place: Place, taken: set[str]) -> str:
        if type(key) is str:
            return key
        text = as_text(key)
        if text in value or text in taken:
            raise Unreadable("duplicate_key", "two keys are the same text", pointer=_pointer((place, key)))
        taken.add(text)
        self.lose("key_as_text", (place, key), "a name is a text")
        return text

    def _content(self, parts: list[Value], place: Place, depth: int) -> str:
        found = []
        for index, part in enumerate(parts):
            at = (place, index)
            if isinstance(part, dict):
                found += [
                    self.element(self._key(key, part, at, set()), each, (at, key), depth + 1)
                    for key, each in part.items()
                ]
            elif isinstance(part, list):
                found.append(self.element("item", part, at, depth + 1))
            else:
                found.append(self._scalar(part, at))
        return "".join(found)

    def _scalar(self, value: Value, place: Place, *, quoted: bool = False) -> str:
        if type(value) is not str:
            if isinstance(value, dict | list):
                self.lose("empty_as_text", place, "an element has no empty list or map: it is empty")
                return ""
            if value is None:
                self.lose("null_as_text", place, "a text among others is not null: it is empty")
                return ""
            self.lose("kind_as_text", place, "an element has texts only")
            value = as_text(value)
        if FORBIDDEN.search(value):
            raise Unwritable(
                "bad_character",
                f"XML has no such character as in {_pointer(place) or 'the value'}; `lossless` has a way",
            )
        return escaped_text(value, quoted=quoted)


def _pointer(place: Place) -> str:
    tokens: list[str] = []
    while place is not None:
        place, key = place
        tokens.append(f"/{escaped(key if type(key) is str else as_text(key))}")
    return "".join(reversed(tokens))


def _exact_text(document: Document, conversion: Conversion) -> Iterator[str]:
    fit = conversion.fitting(JSON_KINDS).fit
    own = f' xmlns:hw="{OWN}"'
    if isinstance(document, Single):
        yield _exact_element(conversion.options.root, fit(document.value), own, is_root=True) + "\n"
        return
    yield f'<root{own} hw:kind="list">'
    for batch in document.batches:
        yield "".join([_exact_element("item", fit(value)) for value in batch])
    yield "</root>\n"


def _exact_element(key: str, value: Value, more: str = "", *, is_root: bool = False) -> str:
    name = key if NAME.fullmatch(key) and ":" not in key and key.isascii() else "_"
    if name != key:
        more += f' hw:key="{escaped_text(json.dumps(key), quoted=True)}"'
    if isinstance(value, dict):
        return f'<{name}{more} hw:kind="map">{"".join([_exact_element(str(k), each) for k, each in value.items()])}</{name}>'
    if isinstance(value, list):
        return f'<{name}{more} hw:kind="list">{"".join([_exact_element("item", each) for each in value])}</{name}>'
    if isinstance(value, str) and not FORBIDDEN.search(value):
        more += ' hw:kind="string"' if is_root else ""
        return f"<{name}{more}>{escaped_text(value)}</{name}>"
    kind = "text" if isinstance(value, str) else "decimal" if not isinstance(value, bool | None) else "word"
    text = json.dumps(value) if kind == "text" else msgspec.json.Encoder(decimal_format="number").encode(value).decode()
    return f'<{name}{more} hw:kind="{kind}">{escaped_text(text)}</{name}>'
