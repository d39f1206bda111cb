"""What a map's keys are in XML that is written: attributes, declarations of namespaces, and texts between elements."""

from collections.abc import Mapping
from functools import lru_cache
from typing import Final

from lxml import etree

from bounded_contexts.documents.adapters.formats.xml_names import PREFIX, RESERVED, SCHEMA, escaped_name, escaped_text
from bounded_contexts.documents.domain.errors import Unwritable
from bounded_contexts.documents.domain.fitting import as_text
from bounded_contexts.documents.domain.values import Value

DECLARES: Final = "xmlns"


class Scope:
    """The namespaces that prefixes stand for where we are; the empty prefix is that of names without one."""

    def __init__(self, sign: str) -> None:
        self._declares = f"{sign}{DECLARES}"
        self._sign = sign
        self._uris: dict[str, list[str]] = {"xml": [RESERVED[0]]}

    def uri(self, prefix: str) -> str:
        """Return what the prefix stands for, nothing if nobody declares it."""
        known = self._uris.get(prefix)
        return known[-1] if known else ""

    def declared(self, value: Mapping[Value, Value]) -> dict[str, str]:
        """Return prefix → namespace of the attributes that declare one."""
        found: dict[str, str] = {}
        for key, uri in value.items():
            if (
                type(key) is str
                and key.startswith(self._declares)
                and uri is not None
                and not isinstance(uri, dict | list)
            ):
                prefix = key.removeprefix(self._declares)
                text = uri if type(uri) is str else as_text(uri)
                if declares(prefix, text):
                    found[prefix[1:]] = text
        return found

    def enter(self, declared: Mapping[str, str]) -> list[str]:
        """Go into an element that declares these. Return the keys of those that stood for the same before: a reader sees
        nothing new."""
        known = [
            f"{self._declares}{':' * bool(prefix)}{prefix}"
            for prefix, uri in declared.items()
            if self.uri(prefix) == uri
        ]
        for prefix, uri in declared.items():
            self._uris.setdefault(prefix, []).append(uri)
        return known

    def leave(self, declared: Mapping[str, str]) -> None:
        """Leave the element that declares these."""
        for prefix in declared:
            self._uris[prefix].pop()

    def is_new(self, prefix: str) -> bool:
        """Return whether the element where we are, which declares the prefix, has it stand for something new."""
        known = self._uris[prefix]
        return len(known) == 1 or known[-2] != known[-1]


def declares(prefix: str, uri: str) -> bool:
    """Return whether the rest of an attribute's name behind `xmlns` declares that namespace."""
    if uri in RESERVED or (prefix and not (prefix[0] == ":" and PREFIX.fullmatch(prefix[1:]))):
        return False
    return bool(uri) and _is_uri(uri)


@lru_cache(maxsize=1_000)
def _is_uri(text: str) -> bool:
    """Return whether the parser takes the text for one: it refuses documents with others."""
    try:
        etree.fromstring(f'<a xmlns="{escaped_text(text, quoted=True)}"/>')
    except etree.XMLSyntaxError:
        return False
    return True


class Attributes:
    """The attributes of an element, as they are written."""

    def __init__(self, scope: Scope) -> None:
        self._scope = scope
        self._qualified: set[tuple[str, str]] = set()
        self._parts: list[str] = []
        self.are_read = False  # whether a reader finds any
        self.say_nil = False  # whether they say that the element is null

    def declaration(self, attribute: str, value: Value) -> str:
        """Return the name of an attribute that declares a namespace, or is called as if it did; nothing for others."""
        if not attribute.startswith(DECLARES):
            self.are_read = True
            return ""
        prefix = attribute.removeprefix(DECLARES)
        if declares(prefix, value if type(value) is str else as_text(value)):
            self.are_read = self.are_read or self._scope.is_new(prefix[1:])
            return attribute
        self.are_read = True
        return escaped_name(":" + attribute)[len("_x003A_") :] if prefix else f"_x{ord('x'):04X}_{DECLARES[1:]}"

    def add(self, name: str, text: str) -> None:
        """Add an attribute. Raise `Unwritable` for two that are one, since their prefixes stand for one namespace."""
        prefix, _, local = name.rpartition(":")
        if prefix and prefix != DECLARES:
            known = self._scope.uri(prefix), local
            if known in self._qualified:
                raise Unwritable("duplicate_key", f"two attributes are {local[:40]!r} of one namespace")
            self._qualified.add(known)
            self.say_nil = self.say_nil or (known == (SCHEMA, "nil") and text in ("true", "1"))
        self._parts.append(f' {name}="{text}"')

    @property
    def text(self) -> str:
        """Return what stands behind the element's name."""
        return "".join(self._parts)


def is_content(parts: list[Value]) -> bool:
    """Return whether texts and elements read back as these parts: one element each, no two texts beside each other, none empty,
    and text that is not only space."""
    has_element = has_text = is_text = False
    for part in parts:
        if isinstance(part, dict):
            if len(part) != 1 or (isinstance(inner := next(iter(part.values())), list) and len(inner) > 1):
                return False
            has_element, is_text = True, False
        else:
            text = "" if part is None or isinstance(part, list) else part if type(part) is str else as_text(part)
            if is_text or not text:
                return False
            has_text, is_text = has_text or not text.isspace(), True
    return has_element and has_text
