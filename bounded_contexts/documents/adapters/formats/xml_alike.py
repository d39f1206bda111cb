"""The quick way of records in XML: tags are looked at once for all records that are alike, and texts are taken out of columns, in
loops of the interpreter's own.

Only what is plain goes this way: elements without attributes (but `xsi:nil`), texts, references to characters. Of each shape
that records have, libxml2 reads the first one: if it gives something else, it reads all of them, as it does what is not plain.
"""

import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import chain
from typing import Final

from bounded_contexts.documents.domain.errors import TooLarge, Unreadable
from bounded_contexts.documents.domain.values import Value

HEAD: Final = 1024  # bytes of a document's beginning that are waited for
LONGEST: Final = 4 << 20  # bytes that are looked at together
SHAPES: Final = 500  # that are known; further ones are left to libxml2
FEW: Final = 8  # records of one shape that pay for looking at them together
_HEAD = re.compile(rb"(?:\xef\xbb\xbf)?(?:<\?xml[^>]*\?>)?\s*<([^\s<>/!?]+)(?:\s[^<>]*)?>")
_OTHER_CHARSET = re.compile(rb"(?:\xef\xbb\xbf)?<\?xml[^>]*\sencoding\s*=\s*(?![\"']utf-8[\"'])", re.IGNORECASE)
_NAME = re.compile(r"[^\W\d][\w.-]*(?::[^\W\d][\w.-]*)?")
_EMPTY = re.compile(rf"({_NAME.pattern})(\s+xsi:nil=\"(?:true|1)\")?\s*/>")
_LINE = re.compile(r"(?<= line )\d+(?= and )")  # of a tag that another one does not end
_REFERENCE = re.compile(r"&(?:(amp|lt|gt|quot|apos)|#([0-9]{1,7})|#x([0-9a-fA-F]{1,6}));|&")
_NAMED: Final = {"amp": "&", "lt": "<", "gt": ">", "quot": '"', "apos": "'"}
_CHARACTER = re.compile("[\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
_WRITTEN: Final = b"\t\n\r" + bytes(range(0x20, 0x100))  # bytes that characters of XML are made of
_NOT_PLAIN: Final = {b"!": (b"<!",), b"?": (b"<?",), b"]": (b"]]>",), b"\xef": (b"\xef\xbf\xbe", b"\xef\xbf\xbf")}
_TEXT: Final = "\0"  # in a shape: what stands behind a tag is a text, another one in each record
Parse = Callable[[Iterable[bytes]], Iterator[Sequence[Value]]]


class NotAlike(Exception):
    """The records are left to libxml2."""


def is_written(data: bytes) -> bool:
    """Return whether all bytes are of characters that may stand in XML, but for two that `has_more_than_tags` finds."""
    return not data.translate(None, _WRITTEN)


def has_more_than_tags(data: bytes) -> bool:
    """Return whether there are comments, instructions, sections or what may not stand in XML."""
    # a single byte is found many times as fast as several
    return any(rare in data and any(mark in data for mark in marks) for rare, marks in _NOT_PLAIN.items())


def dereferenced(text: str) -> str:
    """Return the text with characters for references to them. Raise `NotAlike` for other references."""
    return _REFERENCE.sub(_character, text)


@dataclass(frozen=True, slots=True)
class _Node:
    """What stands at one place of all records of a shape: texts out of a column, the same value in all, or maps."""

    column: int = 0
    same: Value = None
    parts: "dict[str, list[_Node]] | None" = None


class Alike:
    """Reads the records of one root. `parse` has libxml2 read a document and yields its records; `typed` makes of a record that
    is read here what `parse` makes of it; None: nothing."""

    def __init__(self, row: str, parse: Parse, typed: Callable[[Value], Value] | None) -> None:
        self._end = f"</{row}>"
        self._parse = parse
        self._typed = typed
        self._begins = re.compile(rf"<{re.escape(row)}(?=[\s/>])".encode())
        self._head, self._root_end = b"", b""
        self._shapes: dict[tuple[str, ...], _Node | None] = {}

    def records(self, pieces: Iterator[bytes]) -> Iterator[Sequence[Value]]:
        """Yield the records. Raise `Unreadable`, with its place in the whole, and `TooLarge`."""
        buffer, place, end_tag = bytearray(), _Place(), self._end.encode()
        for piece in pieces:
            buffer += piece
            if not self._head:
                if len(buffer) < HEAD:
                    continue
                if not self._has_head(buffer):
                    break
                place.pass_(self._head.decode(errors="replace"))
                del buffer[: len(self._head)]
            if len(buffer) > LONGEST:
                break
            end = buffer.rfind(end_tag, 0, max(0, buffer.rfind(end_tag)))  # the last one stays: a root has some
            if end < 0:
                continue
            chunk = bytes(memoryview(buffer)[: end + len(end_tag)])
            if not self._is_whole(chunk, end_tag):
                break
            try:
                text = chunk.decode()
            except UnicodeDecodeError:
                break
            yield self._read(chunk, text, place)
            place.pass_(text)
            del buffer[: len(chunk)]
        yield from self._parsed(chain((bytes(buffer),), pieces), place)

    def _has_head(self, buffer: bytearray) -> bool:
        """Return whether the root begins as usual. What stands before the first record is the head of each part."""
        match = _HEAD.match(buffer)
        if match is None or _OTHER_CHARSET.match(buffer) or match[0].endswith(b"/>"):
            return False
        self._head, self._root_end = match[0], b"</%b>" % match[1]
        return True

    def _is_whole(self, chunk: bytes, end_tag: bytes) -> bool:
        """Return whether these are as many records as seem to end in it."""
        return not has_more_than_tags(chunk) and chunk.count(end_tag) == len(self._begins.findall(chunk))

    def _parsed(self, data: Iterable[bytes], place: "_Place") -> Iterator[Sequence[Value]]:
        try:
            yield from self._parse(chain((self._head,), data))
        except Unreadable as error:
            raise place.moved(error, self._head) from None

    def _read(self, chunk: bytes, text: str, place: "_Place") -> Sequence[Value]:
        try:
            if not is_written(chunk):
                raise NotAlike
            values = self._columns(text)
        except NotAlike:
            return list(chain.from_iterable(self._parsed((chunk, self._root_end), place)))
        return [self._typed(value) for value in values] if self._typed else values

    def _columns(self, text: str) -> list[Value]:
        if "\r" in text:
            text = text.replace("\r\n", "\n").replace("\r", "\n")
        records = [record.split("<") for record in text.split(self._end)]
        records.pop()  # behind the last one there is nothing
        groups: dict[int, list[int]] = {}  # by the number of tags
        for index, pieces in enumerate(records):
            groups.setdefault(len(pieces), []).append(index)
        if len(groups) == 1:
            return self._values(records)
        if len(groups) * FEW > len(records):
            raise NotAlike
        found: list[Value] = [None] * len(records)
        for indexes in groups.values():
            values = self._values([records[index] for index in indexes])
            for index, value in zip(indexes, values, strict=True):
                found[index] = value
        return found

    def _values(self, records: list[list[str]]) -> list[Value]:
        """Return what the records are. They have as many tags each; raise `NotAlike` if they have not the same ones."""
        shape = _shape(records[0])
        if shape not in self._shapes:
            self._learn(shape, records[0])
        if (node := self._shapes[shape]) is None:
            raise NotAlike
        return _made(node, _texts(shape, records), len(records))

    def _learn(self, shape: tuple[str, ...], record: list[str]) -> None:
        if len(self._shapes) >= SHAPES:
            raise NotAlike
        self._shapes[shape] = None
        node = _node(shape)
        if node is None:
            return
        (value,) = _made(node, _texts(shape, [record]), 1)
        text = f"<{'<'.join(record[1:])}{self._end}".encode()
        try:
            (exact,) = chain.from_iterable(self._parse((self._head, text, self._root_end)))
        except (Unreadable, TooLarge):
            return  # it is said when all of them are read
        if repr(self._typed(value) if self._typed else value) == repr(exact):
            self._shapes[shape] = node


def _shape(record: list[str]) -> tuple[str, ...]:
    """Return the tags of a record, with the texts that are not spaces; but not those that elements consist of."""
    found = []
    for piece, following in zip(record[1:], (*record[2:], ""), strict=True):
        tag = piece[: piece.find(">") + 1]
        if following[:1] == "/" != tag[:1] and tag[-2:-1] != "/":
            found.append(tag + _TEXT)
        else:
            found.append(piece.rstrip())
    return tuple(found)


def _texts(shape: tuple[str, ...], records: list[list[str]]) -> list[Sequence[str]]:
    """Return for each tag the texts behind it, where they are elements. Raise `NotAlike` for a record of other tags."""
    columns: list[Sequence[str]] = list(zip(*records, strict=True))
    if "".join(columns[0]).strip():
        raise NotAlike  # a text between records
    for number, tag in enumerate(shape, start=1):
        column = columns[number]
        if tag[-1] != _TEXT:
            if column.count(column[0]) != len(records):
                raise NotAlike
            continue
        before, *texts = f"{_TEXT}{_TEXT.join(column)}".split(f"{_TEXT}{tag[:-1]}")
        if before or len(texts) != len(records):
            raise NotAlike
        columns[number] = [dereferenced(text) for text in texts] if "&" in "".join(texts) else texts
    return columns


def _character(match: "re.Match[str]") -> str:
    if match[1]:
        return _NAMED[match[1]]
    code = int(match[2]) if match[2] else int(match[3], 16) if match[3] else 0
    if code > 0x10FFFF or not _CHARACTER.match(character := chr(code)):
        raise NotAlike
    return character


def _node(shape: tuple[str, ...]) -> _Node | None:
    """Return what records of the shape are, None if that is not for this way to say."""
    outermost: dict[str, list[_Node]] = {}
    within: list[tuple[str, dict[str, list[_Node]]]] = [("", outermost)]
    for number, tag in enumerate(shape, start=1):
        name, parts = within[-1]
        if tag == f"/{name}>":
            within.pop()
        elif match := _EMPTY.fullmatch(tag):
            if _takes_turns(match[1], parts):
                return None
            parts.setdefault(match[1], []).append(_Node(same=None if match[2] else ""))
        elif not _NAME.fullmatch(name := tag.removesuffix(_TEXT)[:-1]) or _takes_turns(name, parts):
            return None
        else:
            inner: dict[str, list[_Node]] = {}
            parts.setdefault(name, []).append(_Node(number) if tag[-1] == _TEXT else _Node(parts=inner))
            within.append((name, inner))
    if len(within) != 2 or not within[1][1] or len(outermost) > 1:  # the record's own end is not among the tags
        return None
    return outermost[within[1][0]][-1]


def _takes_turns(name: str, parts: dict[str, list[_Node]]) -> bool:
    """Return whether another name stands between this one and the last of its kind: libxml2's reader tells of that."""
    return name in parts and next(reversed(parts)) != name


def _made(node: _Node, columns: Sequence[Sequence[str]], count: int) -> list[Value]:
    """Return what stands at the node, of each record."""
    if node.parts is None:
        return list(columns[node.column]) if node.column else [node.same] * count
    values: list[Sequence[Value]] = []
    for several in node.parts.values():
        found = [_made(each, columns, count) for each in several]
        values.append(found[0] if len(found) == 1 else list(map(list, zip(*found, strict=True))))
    names = tuple(node.parts)
    return [dict(zip(names, each, strict=True)) for each in zip(*values, strict=True)]


class _Place:
    """How far the document has been read, for errors."""

    def __init__(self) -> None:
        self._line = 0
        self._column = 0

    def pass_(self, text: str) -> None:
        """Go on behind the text."""
        lines = text.count("\n")
        self._line += lines
        self._column = len(text) - text.rfind("\n") - 1 if lines else self._column + len(text)

    def moved(self, error: Unreadable, head: bytes) -> Unreadable:
        """Return the error of a part that follows the head, with its place in the whole."""
        beyond = int(error.more.get("line", 0)) - head.count(b"\n") - 1
        if not head or beyond < 0:
            return error
        column = int(error.more["column"]) if "column" in error.more else None
        if column is not None and not beyond:
            column += self._column - len(head[head.rfind(b"\n") + 1 :].decode(errors="replace"))
        moved = self._line - head.count(b"\n")
        detail = _LINE.sub(lambda match: str(int(match[0]) + moved), error.detail)
        return Unreadable(error.code, detail, line=self._line + beyond + 1, column=column)
