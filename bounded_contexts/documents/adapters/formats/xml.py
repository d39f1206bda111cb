"""XML 1.0 as values, by libxml2, without document types: nothing is fetched, nothing is expanded.

An element is the text in it, if it has neither attributes nor elements; else a map of its attributes (`@name`), its elements by
name (a list where there are several of one name, or the name is among `lists`) and its text (`#text`). Where text and elements
alternate, `#content` is the list of both in their order. `xsi:nil` is null. Keys that are no names are escaped as `_x0020_`.

The root is opened. If its first two elements have one name and it has no attributes, its elements are records and are read one by
one: another name among them, or text, is an error then, not a loss. Where the writer has a value that looks so, or records that
do not, it says which in a processing instruction.

Where elements of several names take turns, the map has them by name, which is told; with `lossless` they are `#content`, too.

With `lossless` every element that is written says its kind in an attribute and keys that are no names stand in another, so it
reads back exactly.
"""

from collections.abc import Iterable, Iterator
from typing import Any, BinaryIO, Final, NoReturn

from lxml import etree

from bounded_contexts.documents.adapters.formats.conversion import CHUNK, Conversion, codec_of, pieces_of
from bounded_contexts.documents.adapters.formats.xml_alike import Alike
from bounded_contexts.documents.adapters.formats.xml_exact import KIND, exactly, local_name
from bounded_contexts.documents.adapters.formats.xml_names import SCHEMA, unescaped_name
from bounded_contexts.documents.adapters.formats.xml_write import AS_RECORDS, AS_VALUE, COMMENT, SAID
from bounded_contexts.documents.domain.errors import TooLarge, Unreadable
from bounded_contexts.documents.domain.fitting import restored
from bounded_contexts.documents.domain.inference import inferred_within
from bounded_contexts.documents.domain.values import Document, Records, Single, Value

BATCH: Final = 500  # records
ATTRIBUTES: Final = 1_000  # of one element: libxml2 looks for each of them from the first one on
NAMESPACES: Final = 250  # that are known at one element: lxml gathers them for each element
NIL: Final = f"{{{SCHEMA}}}nil"


class _Pieces:
    """The source as the parser wants it: its beginning can be read again."""

    def __init__(self, pieces: Iterator[bytes], conversion: Conversion) -> None:
        self._pieces = pieces
        self._limit = conversion.limits.item_bytes
        self._waiting = 0  # bytes that have been parsed since the last record ended
        self._begin: list[bytes] | None = []
        self._again: Iterator[bytes] = iter(())

    def read(self, _: int = -1) -> bytes:
        piece = next(self._again, b"")
        if not piece:
            piece = next(self._pieces, b"")
            if self._begin is not None:
                self._begin.append(piece)
        self._waiting += len(piece)
        if self._waiting > self._limit + CHUNK:
            raise TooLarge("item_bytes", self._limit)
        return piece

    def pass_(self) -> None:
        """Say that what has been parsed so far waits no longer."""
        self._waiting = 0

    def rest(self) -> Iterator[bytes]:
        """Yield what has not been read, for another parser than libxml2."""
        while piece := self.read():
            self.pass_()
            yield piece

    def rewind(self) -> None:
        """Begin anew, once."""
        self._again, self._begin, self._waiting = iter(self._begin or ()), None, 0


def read(source: BinaryIO, conversion: Conversion) -> Document:
    """Read the root's elements as records, or the root as one value."""
    document = _read(source, conversion)
    options = conversion.options
    is_inferred = options.inference != "off" and not options.restored
    return conversion.losses.inferred.counted(document) if is_inferred else document


def _read(source: BinaryIO, conversion: Conversion) -> Document:
    pieces = _Pieces(pieces_of(source, conversion.limits.input_bytes), conversion)
    root, row, said = _shape(pieces, conversion)
    pieces.rewind()
    if row is None and said == AS_RECORDS:
        return Records(iter(()))
    if row is None:
        return Single(_Reading(conversion).whole(_events(pieces, conversion, ("end", "start-ns"), None)))
    exact, tag = conversion.options.restored, f"{{*}}{local_name(row)}"
    conversion.losses.notes |= {"root": local_name(root), "row": local_name(row)}
    if exact or conversion.options.charset:
        return Records(_records(pieces, conversion, tag, exact=exact))

    def parse(data: Iterable[bytes]) -> Iterator[list[Value]]:
        part = _Pieces(filter(None, data), conversion)
        part.rewind()
        return _records(part, conversion, tag, exact=False)

    typed = None if conversion.options.inference == "off" else _Reading(conversion).typed
    name = f"{row.prefix}:{local_name(row)}" if row.prefix else local_name(row)
    return Records(Alike(name, parse, typed).records(pieces.rest()))


def _records(pieces: _Pieces, conversion: Conversion, tag: str, *, exact: bool) -> Iterator[list[Value]]:
    events = _events(pieces, conversion, ("end", "start-ns"), tag)
    return _Reading(conversion).records(events, pieces, exact=exact)


def _shape(pieces: _Pieces, conversion: Conversion) -> tuple[Any, Any, str]:
    """Return the root, the first record, None if the root is one value, and what the writer says of that, if anything."""
    root: Any = None
    found: list[Any] = []
    said = ""
    for event, element in _events(pieces, conversion, ("start", "end", "pi"), None, keeps_pis=True):
        if event == "pi":
            if root is None and element.target == SAID and not conversion.options.comments:
                said = element.text or ""
        elif root is None:
            root = element
            if root.getroottree().docinfo.doctype:
                raise Unreadable("dtd_not_allowed", "a document type may not stand in what others send", line=1)
        elif event == "end" and element.getparent() is root:
            found.append(element)
            if conversion.options.restored or len(found) == 2:
                break
    if conversion.options.restored and root.get(KIND) is not None:
        return root, found[0] if found and root.get(KIND) == "list" else None, ""
    if said in (AS_VALUE, AS_RECORDS):
        return root, found[0] if found and said == AS_RECORDS else None, said
    alike = len(found) == 2 and _called(found[0]) == _called(found[1]) and not conversion.options.comments
    return root, found[0] if alike and not root.attrib and not _has_text(root) else None, ""


def _events(
    pieces: _Pieces, conversion: Conversion, events: tuple[str, ...], tag: str | None, *, keeps_pis: bool = False
) -> Iterator[tuple[str, Any]]:
    """Yield the parser's events. Raise `Unreadable` for what is no XML."""
    charset = conversion.options.charset
    try:
        yield from etree.iterparse(
            pieces,
            events=events,
            tag=tag,
            encoding=codec_of(charset).name if charset else None,
            resolve_entities=False,
            no_network=True,
            load_dtd=False,
            huge_tree=False,
            remove_comments=not conversion.options.comments,
            remove_pis=not keeps_pis,
        )
    except etree.XMLSyntaxError as error:
        _refuse(error, conversion)
    except LookupError:  # of a charset that libxml2 lacks
        raise Unreadable("unknown_charset", f"XML is not read in {charset}") from None


def _refuse(error: "etree.XMLSyntaxError", conversion: Conversion) -> NoReturn:
    why = (error.msg or "no XML").split(", line ")[0]
    if "depth" in why.lower():
        raise TooLarge("depth", conversion.limits.depth) from None
    line, column = error.position
    raise Unreadable("bad_xml", why, line=line, column=column) from None


class _Reading:
    """Turns elements into values as soon as they have ended."""

    def __init__(self, conversion: Conversion) -> None:
        self._options = conversion.options
        self._losses = conversion.losses
        self._depth = conversion.limits.depth
        self._lists = frozenset(conversion.options.lists)
        self._names: dict[tuple[str, str | None], str] = {}
        self._plain_names: dict[str, str] = {}  # of elements without a namespace
        self._declares = False  # whether an element may declare a namespace: looked for only then, since it is dear

    def whole(self, events: Iterator[tuple[str, Any]]) -> Value:
        """Return the root as a map of its one name."""
        root: Any = None
        for event, element in events:
            if event == "start-ns":
                self._declares = True
            else:
                root = element
        if self._options.restored and root.get(KIND) is not None:
            return restored(exactly(root))
        for _ in (*root.itersiblings(preceding=True), *root.itersiblings()):
            self._losses.add("comment_dropped", "", "a comment stands outside the root")
        return {self._name(root): self.typed(self._value(root, 1))}

    def records(self, events: Iterator[tuple[str, Any]], pieces: _Pieces, *, exact: bool) -> Iterator[list[Value]]:
        """Yield the root's elements. Raise `Unreadable` where another one or a text is among them."""
        batch: list[Value] = []
        declared: set[tuple[str, str]] = set()  # since the last record
        root: Any = None
        for event, element in events:
            if event == "start-ns":
                declared.add(element)
                continue
            parent = element.getparent()
            if root is None:
                root = element.getroottree().getroot()
                of_root = {(prefix or "", uri) for prefix, uri in root.nsmap.items()}
            if parent is not root:
                continue
            pieces.pass_()
            self._declares = not declared <= of_root
            declared.clear()
            batch.append(restored(exactly(element)) if exact else self.typed(self._value(element, 1)))
            before = element.getprevious()
            if before is not None:
                self._alone(before, element)
                root.remove(before)
                if root[0] is not element:
                    self._alone(root[0], element)
            if len(batch) >= BATCH:
                yield batch
                batch = []
        for other in root:  # what has not been looked at as the one before a record
            self._alone(other, root[0])
        yield batch

    def _alone(self, other: Any, element: Any) -> None:
        is_alike = other.tag == element.tag or _called(other) == _called(element)
        if not is_alike or (other.tail and not other.tail.isspace()):
            raise Unreadable(
                "mixed_records",
                f"<{local_name(other)}> or a text beside <{local_name(element)}>",
                line=other.sourceline,
            )

    def typed(self, value: Value) -> Value:
        """Return the value with its texts as what they stand for, as far as that was asked for."""
        inference = self._options.inference
        return value if inference == "off" else inferred_within(value, inference)

    def _value(self, element: Any, depth: int) -> Value:
        if not len(element) and not element.keys() and not (self._declares and _declared(element)):
            return element.text or ""
        if depth > self._depth:
            raise TooLarge("depth", self._depth)
        if element.get(NIL) in ("true", "1") and not len(element):
            return None
        found = self._attributes(element)
        if not len(element):
            if element.text:
                found[self._options.text] = element.text
        elif not self._add_children(found, element, depth):
            found = self._attributes(element)
            found["#content"] = self._content(element, depth)
        return found

    def _add_children(self, found: dict[str, Value], element: Any, depth: int) -> bool:
        """Return whether a map says what there is; what was added is of no use, if there is text among it, or an order that
        `lossless` keeps."""
        if (text := element.text) and not text.isspace():
            return False
        names, lists, declares = self._plain_names, self._lists, self._declares
        take_turns, before = False, ""
        for child in element:
            name = names.get(child.tag) or self._name(child)
            simple = not (declares or len(child) or child.keys())
            value = child.text or "" if simple else self._value(child, depth + 1)
            if name in found or name in lists:
                take_turns = take_turns or (name in found and name != before)
                self._add(found, name, value)
            else:
                found[name] = value
            before = name
            if (tail := child.tail) and not tail.isspace():
                return False
        if take_turns and not self._options.lossless:
            where = f"<{local_name(element)}> on line {element.sourceline}"
            self._losses.add("order_changed", "", f"elements of one name in {where} are not behind each other")
        return not (take_turns and self._options.lossless)

    def _add(self, found: dict[str, Value], name: str, value: Value) -> None:
        if name not in found:
            found[name] = [value] if name in self._lists else value
        elif type(found[name]) is _Several or name in self._lists:
            found[name].append(value)
        else:
            found[name] = _Several((found[name], value))

    def _content(self, element: Any, depth: int) -> list[Value]:
        parts: list[Value] = [element.text] if element.text else []
        for child in element:
            parts.append({self._name(child): self._value(child, depth + 1)})
            if child.tail:
                parts.append(child.tail)
        return parts

    def _attributes(self, element: Any) -> dict[str, Value]:
        sign = self._options.attributes
        found: dict[str, Value] = {}
        if len(element.attrib) > ATTRIBUTES:
            raise TooLarge("attributes", ATTRIBUTES)
        if self._declares and self._options.namespaces == "keep":
            for prefix, uri in _declared(element):
                found[f"{sign}xmlns:{prefix}" if prefix else f"{sign}xmlns"] = uri
        for tag, value in element.attrib.items():
            name = sign + (unescaped_name(tag) if tag[0] != "{" else self._qualified(tag, element))
            if name in found:
                raise Unreadable("duplicate_key", f"two attributes are {name!r}", line=element.sourceline)
            found[name] = value
        return found

    def _name(self, element: Any) -> str:
        if element.tag is etree.Comment:
            return COMMENT
        known = element.tag, element.prefix
        name = self._names.get(known)
        if name is None:
            local = unescaped_name(local_name(element))
            kept = self._options.namespaces == "keep" and element.prefix
            name = self._names[known] = f"{element.prefix}:{local}" if kept else self._named(element.tag, {})
            if known[0][0] != "{":
                self._plain_names[known[0]] = name
        return name

    def _qualified(self, tag: str, element: Any) -> str:
        """Return the name of an attribute, with the prefix that it has where several stand for its namespace."""
        known = _known(element)
        uri, _, local = tag[1:].rpartition("}")
        if self._options.namespaces == "keep" and sum(each == uri for prefix, each in known.items() if prefix) > 1:
            asked = "name(@*[namespace-uri() = $uri and local-name() = $local])"
            return unescaped_name(str(element.xpath(asked, uri=uri, local=local)))
        return self._named(tag, known)

    def _named(self, tag: str, prefixes: dict[str | None, str]) -> str:
        if tag[0] != "{":
            return unescaped_name(tag)
        if self._options.namespaces == "expand":
            return tag
        uri, _, local = tag[1:].rpartition("}")  # not as lxml has it, which takes some for invalid
        local = unescaped_name(local)
        if self._options.namespaces == "strip":
            return local
        prefix = next((prefix for prefix, known in prefixes.items() if known == uri and prefix), None)
        if prefix is None and uri == "http://www.w3.org/XML/1998/namespace":
            prefix = "xml"
        return f"{prefix}:{local}" if prefix else local


class _Several(list[Value]):
    """Elements of one name: a list that an element, which is a list by itself, is not taken for."""


def _has_text(element: Any) -> bool:
    if element.text and not element.text.isspace():
        return True
    return any(child.tail and not child.tail.isspace() for child in element)


def _known(element: Any) -> dict[str | None, str]:
    known: dict[str | None, str] = element.nsmap
    if len(known) > NAMESPACES:
        raise TooLarge("namespaces", NAMESPACES)
    return known


def _declared(element: Any) -> list[tuple[str | None, str]]:
    parent = element.getparent()
    above = parent.nsmap if parent is not None else {}
    here = _known(element)
    return [] if here == above else [pair for pair in here.items() if above.get(pair[0]) != pair[1]]


def _called(element: Any) -> tuple[str | None, str]:
    """Return the name as it stands, whatever namespace that is in: records may declare one each."""
    return element.prefix, local_name(element)
