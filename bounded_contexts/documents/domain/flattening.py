"""Values in each other as one row of named cells, and back: `a.b[0].c`.

A step into a map is `.key`, into a list `[index]`; within a key the characters `.` `[` `\\` are escaped by `\\`, control
characters as `\\u0000`, and the empty key is `\\e`. So the names are reversible whatever the keys are: a key `a.b` is named
`a\\.b`, and is not the key `b` in `a`.
"""

import re
from collections.abc import Iterable
from typing import Final

from bounded_contexts.documents.domain.errors import TooLarge, Unreadable, quoted
from bounded_contexts.documents.domain.values import Value

WHOLE: Final = "[]"  # names a value as a whole, without a step
EMPTY: Final = "\\e"  # names the empty key
_SPECIAL = re.compile(r"[.\[\\]|[\x00-\x1f\x7f\ufffe\uffff]")
_KEY = re.compile(r"(?:[^.\[\\]|\\.)*", re.DOTALL)
_STEP = re.compile(r"\[(\d{1,7})\]|\.((?:[^.\[\\]|\\.)*)", re.DOTALL)
_ESCAPED = re.compile(r"\\(?:u(?!d[89a-f])([0-9a-f]{4})|(.))", re.DOTALL)  # of no half of a surrogate pair


class Flattener:
    """Flattens records that are alike: names are made once for all of them."""

    def __init__(self, depth: int) -> None:
        self.depth = depth
        self._names: dict[tuple[str | None, Value], str] = {}

    def flat(self, record: Value) -> dict[str, Value]:
        """Return name → leaf of a map or list, in order; empty ones within it are leaves. Raise `TooLarge` for one that is
        too deep."""
        row: dict[str, Value] = {}
        if isinstance(record, dict):
            self._map(record, None, row, 1)
        else:
            self._list(record, "", row, 1)
        return row

    def name(self, prefix: str | None, key: Value) -> str:
        """Return what the key's value is called within what `prefix` names; None for the record itself."""
        name = self._names.get((prefix, key))
        if name is None:
            step = _SPECIAL.sub(_escaped, str(key)) or EMPTY
            name = self._names[prefix, key] = step if prefix is None else f"{prefix}.{step}"
        return name

    def _map(self, record: dict[Value, Value], prefix: str | None, row: dict[str, Value], depth: int) -> None:
        names = self._names
        for key, value in record.items():
            name = names.get((prefix, key)) or self.name(prefix, key)
            if (type(value) is dict or type(value) is list) and value:
                self._inner(value, name, row, depth)
            elif name in row:
                raise Unreadable("duplicate_key", f"two keys are {quoted(name)} as text")
            else:
                row[name] = value

    def _list(self, values: list[Value], prefix: str, row: dict[str, Value], depth: int) -> None:
        for index, value in enumerate(values):
            name = f"{prefix}[{index}]"
            if (type(value) is dict or type(value) is list) and value:
                self._inner(value, name, row, depth)
            else:
                row[name] = value

    def _inner(self, value: Value, name: str, row: dict[str, Value], depth: int) -> None:
        if depth >= self.depth:
            raise TooLarge("depth", self.depth)
        if type(value) is dict:
            self._map(value, name, row, depth + 1)
        else:
            self._list(value, name, row, depth + 1)


def _escaped(match: "re.Match[str]") -> str:
    return f"\\{match[0]}" if match[0] in ".[\\" else f"\\u{ord(match[0]):04x}"


def _meant(match: "re.Match[str]") -> str:
    return chr(int(match[1], 16)) if match[1] else "" if match[0] == EMPTY else match[2]


Path = tuple[str | int, ...]


def steps(name: str) -> Path:
    """Return the keys and indexes that the name stands for. Raise `Unreadable` for a name that nothing is flattened to."""
    if name == WHOLE:
        return ()
    found: list[str | int] = []
    at = 0
    if not name.startswith("[") and (match := _KEY.match(name)):
        found.append(_ESCAPED.sub(_meant, match[0]))
        at = match.end()
    while at < len(name):
        match = _STEP.match(name, at)
        if match is None:
            raise Unreadable("bad_name", f"{quoted(name)} names no nested value: character {at + 1}")
        found.append(int(match[1]) if match[1] is not None else _ESCAPED.sub(_meant, match[2]))
        at = match.end()
    return tuple(found)


def _told(path: Path) -> str:
    return quoted("/".join(map(str, path)))


class _Node(dict[str | int, Value]):
    """Something with parts, as long as it is not known whether it is a map or a list."""


def unflattened(row: Iterable[tuple[Path, Value]], depth: int) -> Value:
    """Return the nested value of the cells. Raise `Unreadable` where two cells contradict each other, or a list has gaps,
    and `TooLarge` for a path of more than `depth` steps."""
    root = _Node()
    for path, value in row:
        if not path:
            return value
        if len(path) > depth:
            raise TooLarge("depth", depth)
        node = root
        for step in path[:-1]:
            inner = node.setdefault(step, _Node())
            if type(inner) is not _Node:
                raise Unreadable("name_clash", f"{_told(path)} is part of a value that has no parts")
            node = inner
        if path[-1] in node:
            raise Unreadable("name_clash", f"{_told(path)} is there twice")
        node[path[-1]] = value
    return _built(root)


def _built(node: Value) -> Value:
    if type(node) is not _Node:
        return node
    indexes = [step for step in node if type(step) is int]
    if not indexes:
        return {key: _built(value) for key, value in node.items()}
    if len(indexes) != len(node) or max(indexes) != len(node) - 1:
        raise Unreadable("name_clash", "a list has gaps, or keys beside its indexes")
    return [_built(node[index]) for index in sorted(indexes)]
