"""YAML 1.2 with the core schema (yaml.org/spec/1.2.2, 10.3). rapidyaml parses; what plain scalars mean is said here.

Most documents have nothing that the parser's own JSON says wrongly: they go that way, which is five times faster than the walk
over its tree."""

import base64
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from decimal import Decimal
from typing import Any, BinaryIO, Final, NoReturn

import ryml

from bounded_contexts.documents.adapters.formats.conversion import Conversion, Format, utf8, whole
from bounded_contexts.documents.adapters.formats.json import merged
from bounded_contexts.documents.adapters.formats.yaml_11 import plain as plain_11
from bounded_contexts.documents.adapters.formats.yaml_by_json import by_json
from bounded_contexts.documents.adapters.formats.yaml_write import KINDS, write
from bounded_contexts.documents.domain.errors import TooLarge, Unreadable, quoted
from bounded_contexts.documents.domain.values import Document, Records, Single, Tagged, Value

INTEGER: Final = re.compile(r"[-+]?[0-9]+")
FLOAT: Final = re.compile(r"[-+]?(?:\.[0-9]+|[0-9]+(?:\.[0-9]*)?)(?:[eE][-+]?[0-9]+)?")
WORDS: Final[dict[str, Value]] = {
    **dict.fromkeys(("", "~", "null", "Null", "NULL")),
    **dict.fromkeys(("true", "True", "TRUE"), True),
    **dict.fromkeys(("false", "False", "FALSE"), False),
    **{f"{sign}.{word}": float(f"{sign}inf") for sign in ("", "+", "-") for word in ("inf", "Inf", "INF")},
    **dict.fromkeys((".nan", ".NaN", ".NAN"), float("nan")),
}
_NO_BEGINNING: Final = ("-\t", "?\t", "---\t", "@", "`")  # of no scalar: the parser takes these for text
_TAGS: Final = "tag:yaml.org,2002:"
Plain = Callable[[str], Value]  # what a plain scalar stands for
_HANDLES = re.compile(rb"^%TAG[ \t]+(!(?:[\w-]*!)?)[ \t]+(\S+)", re.MULTILINE)


def read(source: BinaryIO, conversion: Conversion) -> Document:
    """Read one document, or several as records."""
    text = whole(utf8(source, conversion), conversion.limits.item_bytes)
    try:
        tree = ryml.parse_in_arena(text)
    except ryml.ExceptionBasic as error:
        _refuse(error)
    if tree.size() == 1 and not tree.is_seq(0) and not tree.is_map(0) and not tree.has_val(0):
        return Single(None)
    is_11 = conversion.options.yaml == "1.1"
    if not is_11 and (found := by_json(tree, text, conversion)) is not None:
        return found
    meaning, kinds = (plain_11, KINDS | {"date", "datetime", "bytes"}) if is_11 else (plain, None)
    walk = _Walk(tree, conversion, _Tags(text, meaning, keeps=conversion.options.tags == "keep"), meaning)
    root = tree.root_id()
    if not tree.is_stream(root):
        return Single(walk.value(root, 0), kinds)
    documents = [walk.value(node, 0) for node in walk.children(root)]
    return Single(documents[0], kinds) if len(documents) == 1 else Records(iter((documents,)), kinds=kinds)


def _refuse(error: Any) -> NoReturn:
    place = getattr(error, "errdata_parse", None)
    line, column = (place.ymlloc.line, place.ymlloc.col) if place else (None, None)
    raise Unreadable("bad_yaml", error.msg.splitlines()[0], line=line, column=column) from None


class _Tags:
    """Says what tags make of what they stand at. Those of the core schema are known, and `!!binary`."""

    def __init__(self, text: bytes, meaning: Plain, *, keeps: bool) -> None:
        self._keeps = keeps
        self._meaning = meaning
        self._handles = {handle.decode(): prefix.decode() for handle, prefix in _HANDLES.findall(text)}

    def full(self, tag: str) -> str:
        """Return the tag with its handle resolved; those of YAML itself as `!!name`."""
        if tag.startswith("<"):
            name = tag[1:-1]
        elif (handle := tag[: tag.find("!", 1) + 1] or "!") in self._handles:
            name = self._handles[handle] + tag[len(handle) :]
        elif handle in ("!", "!!"):
            return tag
        else:
            raise Unreadable("bad_tag", f"no %TAG says what {quoted(handle)} is")
        return "!!" + name.removeprefix(_TAGS) if name.startswith(_TAGS) else name

    def scalar(self, tag: str, text: str) -> Value:
        """Return the scalar. Raise `Unreadable` for one that is not what the tag says, or a tag that is not known."""
        name = self.full(tag)
        make = _OF_TAG.get(name)
        if make is None:
            return self._other(name, text)
        try:
            return make(text, self._meaning)
        except (ValueError, ArithmeticError):
            raise Unreadable("bad_tag", f"{quoted(text)} is no {name[:40]}") from None

    def collection(self, tag: str, kind: str, value: Value) -> Value:
        """Return the list or map. Raise `Unreadable` for a tag that is not its own."""
        name = self.full(tag)
        return value if name in ("!", f"!!{kind}") else self._other(name, value)

    def _other(self, name: str, value: Value) -> Value:
        if not self._keeps or name in _OF_TAG or name in ("!!map", "!!seq"):
            raise Unreadable("tag_refused", f"the tag {quoted(name)}")
        return Tagged(name, value)


@dataclass(slots=True)
class _Anchored:
    """What an alias stands for, and of how many nodes it is; none as long as its value is being made."""

    value: Value = None
    nodes: int = 0


class _Walk:
    """Walks the parser's tree. An alias stands for a copy of what it names: the value is made once, and there is a budget for
    the nodes that copies would have, since they are written out."""

    def __init__(self, tree: Any, conversion: Conversion, tags: _Tags, meaning: Plain) -> None:
        self._tree = tree
        self._meaning = meaning
        self._tags = tags
        self._duplicates = conversion.options.duplicates
        self._depth = conversion.limits.depth
        self._budget = conversion.limits.alias_nodes
        self._left = self._budget
        self._nodes = 0  # of the document so far, with those of copies
        self._anchors: dict[str, _Anchored] = {}

    def children(self, node: int) -> Iterator[int]:
        """Yield the node's children in order."""
        child = self._tree.first_child(node)
        while child != ryml.NONE:
            yield child
            child = self._tree.next_sibling(child)

    def value(self, node: int, depth: int) -> Value:
        """Return what the node stands for. Raise `Unreadable` and `TooLarge`."""
        tree = self._tree
        if depth > self._depth:
            raise TooLarge("depth", self._depth)
        before, anchored = self._nodes, _Anchored()
        self._nodes += 1
        if tree.has_val_anchor(node):
            self._anchors[_text(tree.val_anchor(node))] = anchored
        tag = _text(tree.val_tag(node)) if tree.has_val_tag(node) else ""
        if tree.is_map(node):
            found: Value = self._map(node, depth)
            found = self._tags.collection(tag, "map", found) if tag else found
        elif tree.is_seq(node):
            found = [self.value(child, depth + 1) for child in self.children(node)]
            found = self._tags.collection(tag, "seq", found) if tag else found
        elif tree.is_val_ref(node):
            found = self._copy(_text(tree.val_ref(node)))
        else:
            text = _text(tree.val(node)) if tree.val(node) is not None else ""
            found = self._scalar(text, tree.is_val_quoted(node), tag)
        anchored.value, anchored.nodes = found, self._nodes - before
        return found

    def _copy(self, name: str) -> Value:
        anchored = self._anchors.get(name)
        if anchored is None:
            raise Unreadable("bad_alias", f"nothing is called {quoted(name)} before its alias")
        if not anchored.nodes:
            raise Unreadable("bad_alias", f"{quoted(name)} is part of itself")
        self._left -= anchored.nodes
        if self._left < 0:
            raise TooLarge("alias_nodes", self._budget)
        self._nodes += anchored.nodes
        return anchored.value

    def _map(self, node: int, depth: int) -> dict[Value, Value]:
        pairs: list[tuple[Value, Value]] = []
        inherited: dict[Value, Value] = {}
        for child in self.children(node):
            key = self._key(child)
            value = self.value(child, depth + 1)
            if key == "<<" and not self._tree.is_key_quoted(child) and (taken := _mergeable(value)) is not None:
                for each in taken:
                    for name, part in each.items():
                        inherited.setdefault(name, part)
            else:
                pairs.append((key, value))
        return {**inherited, **merged(pairs, self._duplicates)} if inherited else merged(pairs, self._duplicates)

    def _key(self, node: int) -> Value:
        tree = self._tree
        if tree.is_key_ref(node):
            key = self._copy(_text(tree.key_ref(node)))
            if isinstance(key, dict | list | Tagged):
                raise Unreadable("bad_key", "a key that is a list, a map or of a type of its own")
            return key
        tag = _text(tree.key_tag(node)) if tree.has_key_tag(node) else ""
        key = self._scalar(_text(tree.key(node)) if tree.key(node) is not None else "", tree.is_key_quoted(node), tag)
        if isinstance(key, Tagged):
            raise Unreadable("tag_refused", f"the tag {quoted(key.tag)} at a key")
        if tree.has_key_anchor(node):
            self._anchors[_text(tree.key_anchor(node))] = _Anchored(key, 1)
        return key

    def _scalar(self, text: str, is_quoted: bool, tag: str) -> Value:
        if tag:
            return self._tags.scalar(tag, text)
        return text if is_quoted else self._meaning(text)


def _mergeable(value: Value) -> list[dict[Value, Value]] | None:
    if isinstance(value, dict):
        return [value]
    if isinstance(value, list) and value and all(isinstance(each, dict) for each in value):
        return value
    return None


def _text(given: Any) -> str:
    try:
        return given if isinstance(given, str) else bytes(given).decode()
    except UnicodeDecodeError:
        raise Unreadable("bad_charset", "an escape stands for half of a surrogate pair") from None


def plain(text: str) -> Value:
    """Return what a plain scalar stands for."""
    if text in WORDS:
        return WORDS[text]
    first = text[0]
    if first not in "-+.0123456789?@`":
        return text
    if text.startswith(_NO_BEGINNING):
        raise Unreadable("bad_yaml", "no scalar begins with @, `, or a tab behind an indicator")
    if INTEGER.fullmatch(text):
        return _integer(text)
    if text.startswith("0o") and re.fullmatch(r"0o[0-7]+", text):
        return int(text, 0)
    if text.startswith("0x") and re.fullmatch(r"0x[0-9a-fA-F]+", text):
        return int(text, 0)
    return _decimal(text) if FLOAT.fullmatch(text) else text


def _decimal(text: str) -> Decimal:
    try:
        return Decimal(f"{text}0" if text[-1] == "." else text)
    except ArithmeticError:  # 1e9999999999999999999
        raise Unreadable("number_too_long", "a number whose exponent has too many digits") from None


def _integer(text: str) -> int | Decimal:
    try:
        return Decimal("-0") if text == "-0" else int(text)
    except ValueError:
        raise Unreadable("number_too_long", "an integer has too many digits") from None


def _known(kind: type) -> Callable[[str, Plain], Value]:
    def make(text: str, meaning: Plain) -> Value:
        value = meaning(text)
        if type(value) is not kind:
            raise ValueError(text)
        return value

    return make


def _float(text: str, meaning: Plain) -> Value:
    value = meaning(text)
    if type(value) is int:
        return Decimal(value)
    if type(value) in (Decimal, float):
        return value
    raise ValueError(text)


_OF_TAG: Final[dict[str, Callable[[str, Plain], Value]]] = {
    "!": lambda text, _: text,
    "!!str": lambda text, _: text,
    "!!int": _known(int),
    "!!float": _float,
    "!!bool": _known(bool),
    "!!null": _known(type(None)),
    "!!binary": lambda text, _: base64.b64decode("".join(text.split()), validate=True),
}


YAML: Final = Format(
    name="yaml",
    title="YAML",
    media_type="application/yaml",
    other_media_types=("text/yaml", "application/x-yaml", "text/x-yaml"),
    extensions=("yaml", "yml"),
    kinds=KINDS,
    read=read,
    write=write,
    streams_in=False,
    streams_out=True,
)
