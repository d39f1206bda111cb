"""YAML 1.2 with the core schema (yaml.org/spec/1.2.2, 10.3). rapidyaml parses; what plain scalars mean is said here.

Most documents have nothing that the parser's own JSON says wrongly: they go that way, which is five times faster than the walk
over its tree."""

import base64
import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Any, BinaryIO, Final

import ryml

from bounded_contexts.documents.adapters.formats.conversion import Conversion, utf8
from bounded_contexts.documents.adapters.formats.json import KINDS as JSON_KINDS
from bounded_contexts.documents.adapters.formats.json import merged
from bounded_contexts.documents.adapters.formats.yaml_11 import plain as plain_11
from bounded_contexts.documents.adapters.formats.yaml_by_json import by_json
from bounded_contexts.documents.adapters.formats.yaml_directives import handles, silent
from bounded_contexts.documents.adapters.formats.yaml_parts import Parts
from bounded_contexts.documents.adapters.formats.yaml_write import KINDS
from bounded_contexts.documents.domain.errors import TooLarge, Unreadable, quoted
from bounded_contexts.documents.domain.values import Document, JsonBatch, Records, Single, Tagged, Value, written_out

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


def read(source: BinaryIO, conversion: Conversion) -> Document:
    """Read a list as records, other values as one; several documents as records."""
    parts = Parts(utf8(source, conversion))
    is_11 = conversion.options.yaml == "1.1"
    kinds = KINDS | {"date", "datetime", "bytes"} if is_11 else None
    if parts.kind != "whole":
        return Records(_in_parts(parts, _Reading(conversion, b"")), kinds=kinds)
    text = parts.whole(conversion.limits.item_bytes)
    nodes = text.count(b"\n") + text.count(b",") + text.count(b"[") + text.count(b"{") + 2 * text.count(b"- -")
    if nodes > conversion.limits.nodes:  # that there may be
        raise TooLarge("nodes", conversion.limits.nodes)
    reading = _Reading(conversion, text)
    found = reading.quickly(tree := _tree(text, 0), text)
    if found is not None:
        return _document(found, JSON_KINDS)
    documents = reading.documents(tree)
    return (
        _document(documents[0] if documents else None, kinds)
        if len(documents) < 2
        else Records(iter((documents,)), kinds=kinds)
    )


def _document(value: Value, kinds: frozenset[str] | None) -> Document:
    return Records(iter((value,)), kinds=kinds) if isinstance(value, list) else Single(value, kinds)


def _in_parts(parts: Parts, reading: "_Reading") -> Iterator[Sequence[Value]]:
    text, line, enough, limit = b"", 0, 0, reading.limits.item_bytes
    for part in parts.each(limit):
        text, line = (text + part.text, line) if text else (part.text, part.line)
        if len(text) < enough and not part.is_last:
            continue
        try:
            tree = _tree(text, line)
        except Unended:
            if part.is_last:
                raise
            if len(text) > limit:
                raise TooLarge("item_bytes", limit) from None
            enough = 2 * len(text)  # a text or a list in brackets goes on there
            continue
        if parts.kind == "documents":
            yield reading.documents(tree)
        else:
            yield reading.items(tree, text)
        text, enough = b"", 0


class Unended(Unreadable):
    """The text ends too early."""


def _tree(text: bytes, line: int) -> Any:
    """Return the parser's tree. Raise `Unreadable`; `line` is how many lines are before the text."""
    try:
        with silent():
            return ryml.parse_in_arena(text)
    except ryml.ExceptionBasic as error:
        found = getattr(error, "errdata_parse", None)
        why = error.msg.splitlines()[0]
        if found is None:
            raise Unreadable("bad_yaml", why) from None
        place = found.ymlloc
        kind = Unended if place.offset >= len(text.rstrip()) else Unreadable
        raise kind("bad_yaml", why, line=place.line + line, column=place.col) from None


class _Reading:
    """Makes values of trees, which are parts of one text."""

    def __init__(self, conversion: Conversion, text: bytes) -> None:
        meaning = plain_11 if conversion.options.yaml == "1.1" else plain
        self._conversion = conversion
        self.limits = conversion.limits
        self._is_quick = conversion.options.yaml != "1.1"
        self._tags = _Tags(text, meaning, keeps=conversion.options.tags == "keep")
        self._walk = _Walk(conversion, self._tags, meaning)

    def quickly(self, tree: Any, text: bytes) -> Value:
        """Return the value, if the quick way is for it and it is not null, else None."""
        found = by_json(tree, text, self._conversion) if self._is_quick and not _is_empty(tree) else None
        return found.value if found else None

    def items(self, tree: Any, text: bytes) -> Sequence[Value]:
        """Return the items of the list that is in the tree."""
        found = self.quickly(tree, text)
        if isinstance(found, list):
            return JsonBatch(found)
        if _is_empty(tree):
            return []
        if not tree.is_seq(tree.root_id()):
            raise Unreadable("bad_yaml", "something else stands beside the items of a list")
        self._walk.tree = tree
        return [self._walk.value(node, 1) for node in self._walk.children(tree.root_id())]

    def documents(self, tree: Any) -> list[Value]:
        """Return the documents that are in the tree."""
        if _is_empty(tree):
            return []
        self._walk.tree = tree
        root, found = tree.root_id(), list[Value]()
        for number, node in enumerate(self._walk.children(root) if tree.is_stream(root) else (root,)):
            self._tags.begin(number)
            found.append(self._walk.value(node, 0))
        return found


def _is_empty(tree: Any) -> bool:
    return tree.size() == 1 and not tree.is_seq(0) and not tree.is_map(0) and not tree.has_val(0)


class _Tags:
    """Says what tags make of what they stand at. Those of the core schema are known, and `!!binary`."""

    def __init__(self, text: bytes, meaning: Plain, *, keeps: bool) -> None:
        self._keeps = keeps
        self._meaning = meaning
        self._said = handles(text)
        self._handles: dict[str, str] = {}

    def begin(self, number: int) -> None:
        """Say which document of the text is read next."""
        self._handles = self._said[number] if number < len(self._said) else {}

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

    def __init__(self, conversion: Conversion, tags: _Tags, meaning: Plain) -> None:
        self.tree: Any = None
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
        child = self.tree.first_child(node)
        while child != ryml.NONE:
            yield child
            child = self.tree.next_sibling(child)

    def value(self, node: int, depth: int) -> Value:
        """Return what the node stands for. Raise `Unreadable` and `TooLarge`."""
        tree = self.tree
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
            if key == "<<" and not self.tree.is_key_quoted(child) and (taken := _mergeable(value)) is not None:
                for each in taken:
                    for name, part in each.items():
                        inherited.setdefault(name, part)
            else:
                pairs.append((key, value))
        return {**inherited, **merged(pairs, self._duplicates)} if inherited else merged(pairs, self._duplicates)

    def _key(self, node: int) -> Value:
        tree = self.tree
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
        return _integer(text, 8)
    if text.startswith("0x") and re.fullmatch(r"0x[0-9a-fA-F]+", text):
        return _integer(text, 16)
    return _decimal(text) if FLOAT.fullmatch(text) else text


def _decimal(text: str) -> Decimal:
    try:
        return Decimal(f"{text}0" if text[-1] == "." else text)
    except ArithmeticError:  # 1e9999999999999999999
        raise Unreadable("number_too_long", "a number whose exponent has too many digits") from None


def _integer(text: str, base: int = 10) -> int | Decimal:
    try:
        return Decimal("-0") if text == "-0" else written_out(int(text, base))
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
