"""Rows that follow a document instead of standing in its data: which tables take them, and what is wrong with that."""

from collections.abc import Iterator, Sequence
from typing import Any, Final

from bounded_contexts.documents.domain.rendering.problems import Problem
from bounded_contexts.documents.domain.values import Value, escaped

STREAM: Final = "$stream"  # in a table's rows, and of a line that says whose rows follow
STREAMS: Final = "$streams"  # of a document that has been read: its rows by their names
_WITHIN: Final = {"if": ("then", "else"), "repeat": ("body",), "section": ("body",)}


def stream_problems(document: dict[str, Any], limit: int | None) -> Iterator[Problem]:
    """Yield what is wrong with the rows of tables. `limit` is how many streams there may be, None where nothing follows the
    document."""
    flowing = set(_flowing(document["body"], "/body"))
    names: set[str] = set()
    for rows, pointer in _streamed(document):
        names.add(rows[STREAM])
        if limit is None:
            yield Problem(pointer, "unknown_stream", "no rows follow: send the document as the first of lines")
        elif "each" in rows:
            yield Problem(pointer, "not_allowed", "rows are either each of a list or of a stream")
        elif pointer.removesuffix("/rows") not in flowing:
            yield Problem(pointer, "not_allowed", "it stands in a block that is held as a whole, or in a partial")
        elif len(names) > limit:
            yield Problem(pointer, "too_many", f"more than {limit} streams")


def stream_names(document: dict[str, Any]) -> list[str]:
    """Return the names of the streams that tables take rows of, in the order of the tables."""
    return list(dict.fromkeys(rows[STREAM] for rows, _ in _streamed(document)))


def named_stream(line: Value) -> str | None:
    """Return the stream whose rows follow, None for a row."""
    return str(line[STREAM]) if isinstance(line, dict) and list(line) == [STREAM] else None


def _streamed(value: Value, pointer: str = "") -> Iterator[tuple[dict[str, Any], str]]:
    """Yield what tables say of rows that they take of streams, with its place."""
    if isinstance(value, dict):
        rows = value.get("rows")
        if value.get("type") == "table" and isinstance(rows, dict) and STREAM in rows:
            yield rows, f"{pointer}/rows"
        for name, each in value.items():
            if not name.startswith("x-") and (pointer or name != "data"):
                yield from _streamed(each, f"{pointer}/{escaped(name)}")
    elif isinstance(value, list):
        for index, each in enumerate(value):
            yield from _streamed(each, f"{pointer}/{index}")


def _flowing(blocks: Sequence[dict[str, Any]], pointer: str) -> Iterator[str]:
    """Yield the places of blocks that are taken one by one: not of those in others that are measured before they are drawn."""
    for index, block in enumerate(blocks):
        yield f"{pointer}/{index}"
        for name in _WITHIN.get(block["type"], ()):
            yield from _flowing(block.get(name, ()), f"{pointer}/{index}/{name}")
