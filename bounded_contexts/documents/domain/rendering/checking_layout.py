"""What is wrong with what refers to something: to a block, to a partial, to the foot of a page."""

import re
from collections.abc import Iterator
from typing import Any, Final

from bounded_contexts.documents.domain.rendering.expressions import expression
from bounded_contexts.documents.domain.rendering.problems import BadExpression, Problem
from bounded_contexts.documents.domain.values import Value, escaped

PARTS: Final = ("header", "footer", "partials", "body")
_NO_NOTES: Final = re.compile("/(header|footer)/(default|first|even)/|/footnote/")


def layout_problems(document: dict[str, Any]) -> Iterator[Problem]:
    """Yield what is wrong with ids, partials, columns and footnotes."""
    checking = _Checking(document)
    for part in PARTS:
        yield from checking.walk(document.get(part), f"/{part}")
    for name in checking.partials:
        if name in _reached(checking.includes, name):
            yield Problem(f"/partials/{escaped(name)}", "include_circle", "a partial includes itself")


class _Checking:
    def __init__(self, document: dict[str, Any]) -> None:
        self.partials: dict[str, Any] = document.get("partials", {})
        self.includes = {name: set(_included(blocks)) for name, blocks in self.partials.items()}
        self._ids = {
            each["id"] for part in PARTS for each in _objects(document.get(part)) if isinstance(each.get("id"), str)
        }

    def walk(self, value: Value, pointer: str) -> Iterator[Problem]:
        if isinstance(value, list):
            for index, each in enumerate(value):
                yield from self.walk(each, f"{pointer}/{index}")
        elif isinstance(value, dict):
            yield from self._object(value, pointer)
            for name, each in value.items():
                if isinstance(each, dict | list) and not name.startswith("x-"):
                    yield from self.walk(each, f"{pointer}/{escaped(name)}")

    def _object(self, value: dict[str, Any], pointer: str) -> Iterator[Problem]:
        if _is_include(value):
            yield from self._include(value, pointer)
        elif (
            value.get("type") == "columns"
            and "items" in value
            and len(value.get("widths", value["items"])) != len(value["items"])
        ):
            yield Problem(f"{pointer}/widths", "not_allowed", "columns have as many widths as items, or none")
        yield from self._run(value, pointer)

    def _run(self, value: dict[str, Any], pointer: str) -> Iterator[Problem]:
        link = value.get("link")
        if isinstance(value.get("ref"), str) and value["ref"] not in self._ids:
            yield Problem(f"{pointer}/ref", "unknown_id", "no block has this id")
        if isinstance(link, str) and link.startswith("#") and "{{" not in link and link[1:] not in self._ids:
            yield Problem(f"{pointer}/link", "unknown_id", "no block has this id")
        if "footnote" in value and _NO_NOTES.search(f"{pointer}/"):
            yield Problem(f"{pointer}/footnote", "not_allowed", "footnotes are of the body, and have none of their own")

    def _include(self, value: dict[str, Any], pointer: str) -> Iterator[Problem]:
        if value["partial"] not in self.partials:
            yield Problem(f"{pointer}/partial", "unknown_partial", "there is no partial of this name")
        for name, given in value.get("with", {}).items():
            try:
                expression(given)
            except BadExpression as error:
                yield Problem(f"{pointer}/with/{escaped(name)}", "bad_expression", str(error))


def _objects(value: Value) -> Iterator[dict[str, Any]]:
    if isinstance(value, dict):
        yield value
        value = list(value.values())
    if isinstance(value, list):
        for each in value:
            yield from _objects(each)


def _included(blocks: Value) -> Iterator[str]:
    return (each["partial"] for each in _objects(blocks) if _is_include(each))


def _is_include(value: dict[str, Any]) -> bool:
    """Whether it is a block: expressions and what is the author's own (`x-`) are objects too."""
    return value.get("type") == "include" and isinstance(value.get("partial"), str)


def _reached(includes: dict[str, set[str]], name: str) -> set[str]:
    """All partials that are in one, however deep."""
    found: set[str] = set()
    waiting = set(includes[name])
    while waiting:
        each = waiting.pop()
        found.add(each)
        waiting |= includes.get(each, set()) - found
    return found
