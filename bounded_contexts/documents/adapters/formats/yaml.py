"""YAML 1.2 with the core schema (yaml.org/spec/1.2.2, 10.3). rapidyaml parses; what plain scalars mean is said here.

Most documents have nothing that the parser's own JSON says wrongly: they go that way, which is five times faster than the walk
over its tree."""

import re
from collections.abc import Callable, Iterator
from decimal import Decimal
from typing import Any, BinaryIO, Final, NoReturn

import msgspec
import ryml

from bounded_contexts.documents.adapters.formats.conversion import Conversion, Format, encoded, utf8, whole
from bounded_contexts.documents.adapters.formats.json import KINDS as JSON_KINDS
from bounded_contexts.documents.adapters.formats.json import merged
from bounded_contexts.documents.domain.errors import TooLarge, Unreadable
from bounded_contexts.documents.domain.fitting import as_text
from bounded_contexts.documents.domain.values import Document, Records, Single, Value

KINDS: Final = frozenset(
    {
        *("null", "boolean", "integer", "big integer", "unsigned", "decimal", "float", "not finite"),
        *("string", "list", "map", "key"),
    }
)
INTEGER: Final = re.compile(r"[-+]?[0-9]+")
FLOAT: Final = re.compile(r"[-+]?(?:\.[0-9]+|[0-9]+(?:\.[0-9]*)?)(?:[eE][-+]?[0-9]+)?")
WORDS: Final[dict[str, Value]] = {
    **dict.fromkeys(("", "~", "null", "Null", "NULL")),
    **dict.fromkeys(("true", "True", "TRUE"), True),
    **dict.fromkeys(("false", "False", "FALSE"), False),
    **{f"{sign}.{word}": float(f"{sign}inf") for sign in ("", "+", "-") for word in ("inf", "Inf", "INF")},
    **dict.fromkeys((".nan", ".NaN", ".NAN"), float("nan")),
}
# What the parser's JSON does not say as it is: properties of nodes, merge keys, further documents. They are looked for where one of
# their marks is.
_MARKS: Final = (b"&", b"*", b"!", b"<<", b"? ", b"?\n", b"?\t", b"?\r", b"---", b"...", b"%")
_PROPERTIES = re.compile(rb"(?:^|[\s\[{,:-])(?:[&*!]\S|<<\s*:|\?\s)|^(?:---|\.\.\.|%)", re.MULTILINE)
# Texts in that JSON that may have been plain scalars of another meaning, and the plain scalars that become such texts: where
# there are none of them, the texts were quoted and are what they seem.
_BEGIN: Final = rb"[\s,\[{:](?<!\w:)"
_END: Final = rb"(?=[ \t]*(?:[\r\n,\]}:#]|$))"
_NUMBER: Final = rb"[-+]?(?:\.[0-9]+|[0-9]+(?:\.[0-9]*)?)(?:[eE][-+]?[0-9]+)?|0o[0-7]+|0x[0-9a-fA-F]+"
_WORD: Final = rb"~|null|N(?:ull|ULL)|true|T(?:rue|RUE)|false|F(?:alse|ALSE)|[-+]?\.(?:inf|Inf|INF)|\.(?:nan|NaN|NAN)"
_COLON: Final = rb":(?=[\s,\[\]{}]|$)"
_MISSAID: Final = tuple(
    (re.compile(said), re.compile(_BEGIN + meant))
    for said, meant in (
        (r'"[-+]?0[0-9oxeE]', rb"[-+]?0[0-9oxeE][0-9a-fA-F.+-]*" + _END),
        (
            r'"(?:~|N(?:ull|ULL)|T(?:rue|RUE)|F(?:alse|ALSE))"',
            rb"(?:~|N(?:ull|ULL)|T(?:rue|RUE)|F(?:alse|ALSE))" + _END,
        ),
        (r'"[-+]?\.(?:inf|nan|I|N)', rb"[-+]?\.?(?:[iI]nf|INF|infinity|[nN]a[nN]|NAN)" + _END),
        (  # keys
            r'"(?:[-+.0-9][^"]*|true|false|null|)"\s*:',
            rb"(?:(?:%b|%b)(?:[ \t]*%b|\s*[,}])|%b)" % (_WORD, _NUMBER, _COLON, _COLON),
        ),
    )
)
_RENAMED = re.compile(r'"[-+]?\.(?:inf|nan)"\s*:')  # keys, quoted or not
_MINUS_ZERO = re.compile(r"(?:^|[\s\[,:])-0(?:[,\s\]}]|$)")
_decode = msgspec.json.Decoder(float_hook=Decimal).decode
_TAGS: Final = "tag:yaml.org,2002:"


def read(source: BinaryIO, conversion: Conversion) -> Document:
    """Read one document, or several as records."""
    text = whole(utf8(source, conversion), conversion.limits.item_bytes)
    try:
        tree = ryml.parse_in_arena(text)
    except ryml.ExceptionBasic as error:
        _refuse(error)
    if tree.size() == 1 and not tree.is_seq(0) and not tree.is_map(0) and not tree.has_val(0):
        return Single(None)
    has_properties = any(mark in text for mark in _MARKS) and _PROPERTIES.search(text)
    if not has_properties and (found := _by_json(tree, text, conversion)) is not None:
        return found
    walk = _Walk(tree, conversion)
    root = tree.root_id()
    if not tree.is_stream(root):
        return Single(walk.value(root, 0))
    documents = [walk.value(node, 0) for node in walk.children(root)]
    return Single(documents[0]) if len(documents) == 1 else Records(iter((documents,)))


def _refuse(error: Any) -> NoReturn:
    place = getattr(error, "errdata_parse", None)
    line, column = (place.ymlloc.line, place.ymlloc.col) if place else (None, None)
    raise Unreadable("bad_yaml", error.msg.splitlines()[0], line=line, column=column) from None


def _by_json(tree: Any, source: bytes, conversion: Conversion) -> Single | None:
    try:
        text = ryml.emit_json(tree)
        if any(said.search(text) and meant.search(b"\n" + source) for said, meant in _MISSAID):
            return None
        if _RENAMED.search(text) or ("-0" in text and _MINUS_ZERO.search(text)):
            return None
        value = _decode(text)
        again = msgspec.json.encode(value)
    except (msgspec.DecodeError, RecursionError, ryml.ExceptionBasic, UnicodeError):
        return None
    if conversion.options.duplicates != "last" and again.count(b":") != text.count(":"):
        return None
    return Single(value, JSON_KINDS)


class _Walk:
    """Walks the parser's tree. An alias stands for a copy of what it names; there is a budget for copies."""

    def __init__(self, tree: Any, conversion: Conversion) -> None:
        self._tree = tree
        self._duplicates = conversion.options.duplicates
        self._depth = conversion.limits.depth
        self._budget = conversion.limits.alias_nodes
        self._left = self._budget
        self._anchors: dict[str, int] = {}
        self._open: set[int] = set()  # anchored nodes whose value is being made
        self._copying = False

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
        if self._copying:
            self._left -= 1
            if self._left < 0:
                raise TooLarge("alias_nodes", self._budget)
        if tree.has_val_anchor(node):
            self._anchors[_text(tree.val_anchor(node))] = node
            self._open.add(node)
        tag = _text(tree.val_tag(node)) if tree.has_val_tag(node) else ""
        if tree.is_map(node):
            _of_collection(tag, "map")
            found: Value = self._map(node, depth)
        elif tree.is_seq(node):
            _of_collection(tag, "seq")
            found = [self.value(child, depth + 1) for child in self.children(node)]
        elif tree.is_val_ref(node):
            found = self._copy(_text(tree.val_ref(node)), depth)
        else:
            found = _scalar(_text(tree.val(node)) if tree.val(node) is not None else "", tree.is_val_quoted(node), tag)
        self._open.discard(node)
        return found

    def _copy(self, name: str, depth: int) -> Value:
        node = self._anchors.get(name)
        if node is None:
            raise Unreadable("bad_alias", f"nothing is called {name[:40]!r} before its alias")
        if node in self._open:
            raise Unreadable("bad_alias", f"{name[:40]!r} is part of itself")
        before, self._copying = self._copying, True
        found = self.value(node, depth)
        self._copying = before
        return found

    def _map(self, node: int, depth: int) -> dict[Value, Value]:
        pairs: list[tuple[Value, Value]] = []
        inherited: dict[Value, Value] = {}
        for child in self.children(node):
            key = self._key(child)
            value = self.value(child, depth + 1)
            if key == "<<" and not self._tree.is_key_quoted(child) and (taken := _mergeable(value)) is not None:
                for each in taken:
                    inherited = {**each, **inherited}
            else:
                pairs.append((key, value))
        return {**inherited, **merged(pairs, self._duplicates)} if inherited else merged(pairs, self._duplicates)

    def _key(self, node: int) -> Value:
        tree = self._tree
        if tree.is_key_ref(node):
            key = self._copy(_text(tree.key_ref(node)), 0)
            if isinstance(key, dict | list):
                raise Unreadable("bad_key", "a key that is a list or a map")
            return key
        if tree.has_key_anchor(node):
            raise Unreadable("bad_alias", "an anchor at a key")
        tag = _text(tree.key_tag(node)) if tree.has_key_tag(node) else ""
        return _scalar(_text(tree.key(node)) if tree.key(node) is not None else "", tree.is_key_quoted(node), tag)


def _mergeable(value: Value) -> list[dict[Value, Value]] | None:
    if isinstance(value, dict):
        return [value]
    if isinstance(value, list) and value and all(isinstance(each, dict) for each in value):
        return value
    return None


def _text(given: Any) -> str:
    return given if isinstance(given, str) else bytes(given).decode()


def _short(tag: str) -> str:
    tag = tag.removeprefix("!<").removesuffix(">") if tag.startswith("!<") else tag
    return "!!" + tag.removeprefix(_TAGS) if tag.startswith(_TAGS) else tag


def _of_collection(tag: str, name: str) -> None:
    if tag and _short(tag) not in ("!", f"!!{name}"):
        raise Unreadable("tag_refused", f"the tag {tag[:40]!r}")


def _scalar(text: str, quoted: bool, tag: str) -> Value:
    if not tag:
        return text if quoted else plain(text)
    make = _OF_TAG.get(_short(tag))
    if make is None:
        raise Unreadable("tag_refused", f"the tag {tag[:40]!r}")
    try:
        return make(text)
    except (ValueError, ArithmeticError):
        raise Unreadable("bad_tag", f"{text[:40]!r} is no {tag}") from None


def plain(text: str) -> Value:
    """Return what a plain scalar stands for."""
    if text in WORDS:
        return WORDS[text]
    first = text[0]
    if first not in "-+.0123456789":
        return text
    if INTEGER.fullmatch(text):
        return _integer(text)
    if text.startswith("0o") and re.fullmatch(r"0o[0-7]+", text):
        return int(text, 0)
    if text.startswith("0x") and re.fullmatch(r"0x[0-9a-fA-F]+", text):
        return int(text, 0)
    return Decimal(f"{text}0" if text[-1] == "." else text) if FLOAT.fullmatch(text) else text


def _integer(text: str) -> int | Decimal:
    try:
        return Decimal("-0") if text == "-0" else int(text)
    except ValueError:
        raise Unreadable("number_too_long", "an integer has too many digits") from None


def _known(kind: type) -> Callable[[str], Value]:
    def make(text: str) -> Value:
        value = plain(text)
        if type(value) is not kind:
            raise ValueError(text)
        return value

    return make


def _float(text: str) -> Value:
    value = plain(text)
    if type(value) is int:
        return Decimal(value)
    if type(value) in (Decimal, float):
        return value
    raise ValueError(text)


_OF_TAG: Final[dict[str, Callable[[str], Value]]] = {
    "!": str,
    "!!str": str,
    "!!int": _known(int),
    "!!float": _float,
    "!!bool": _known(bool),
    "!!null": _known(type(None)),
}

_PLAIN = re.compile(r"[^\W\d][\w./-]*(?: [\w./-]+)*")
_RESERVED: Final = frozenset({"null", "true", "false", "yes", "no", "on", "off", "y", "n", "inf", "nan", "infinity"})
_quoted = msgspec.json.encode


def write(document: Document, conversion: Conversion) -> Iterator[bytes]:
    """Write one document in block style; records as the items of a list."""
    fit = conversion.fitting(KINDS).fit
    sort = conversion.options.sort_keys

    def pieces() -> Iterator[str]:
        if isinstance(document, Single):
            yield "".join(_block(fit(document.value), "", sort))
            return
        number = 0
        for batch in document.batches:
            values = [fit(value, f"/{number + index}") for index, value in enumerate(batch)]
            number += len(batch)
            if values:
                yield "".join(_items(values, "", sort))
        if not number:
            yield "[]\n"

    return encoded(pieces(), conversion)


def _block(value: Value, indent: str, sort: bool) -> Iterator[str]:
    if isinstance(value, dict) and value:
        yield from _entries(value, indent, sort)
    elif isinstance(value, list) and value:
        yield from _items(value, indent, sort)
    else:
        yield f"{_inline(value)}\n"


def _entries(value: dict[Value, Value], indent: str, sort: bool) -> Iterator[str]:
    keys = sorted(value, key=lambda key: (type(key).__name__, key)) if sort else value
    for number, key in enumerate(keys):
        inner = value[key]
        begin = f"{indent if number else ''}{_inline(key)}:"
        if isinstance(inner, dict) and inner:
            yield f"{begin}\n{indent}  "
            yield from _entries(inner, f"{indent}  ", sort)
        elif isinstance(inner, list) and inner:
            yield f"{begin}\n{indent}"
            yield from _items(inner, indent, sort)
        else:
            yield f"{begin} {_inline(inner)}\n"


def _items(values: list[Value], indent: str, sort: bool) -> Iterator[str]:
    for number, value in enumerate(values):
        yield f"{indent if number else ''}- "
        yield from _block(value, f"{indent}  ", sort)


def _inline(value: Value) -> str:
    if type(value) is str:
        if len(value) <= 200 and _PLAIN.fullmatch(value) and value.lower() not in _RESERVED:
            return value
        return (
            _quoted(value)
            .decode()
            .replace("\x7f", "\\x7F")
            .replace("\x85", "\\x85")
            .replace("\ufeff", "\\uFEFF")
            .replace("\u2028", "\\u2028")
            .replace("\u2029", "\\u2029")
        )
    if value is None:
        return "null"
    if isinstance(value, dict):
        return "{}"
    if isinstance(value, list):
        return "[]"
    if isinstance(value, float) and value - value != 0:
        return ".nan" if value != value else ".inf" if value > 0 else "-.inf"
    return as_text(value)


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
