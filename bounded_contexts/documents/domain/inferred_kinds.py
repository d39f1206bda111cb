"""What inference has made of texts: how many values of which kind, column by column."""

import json
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from typing import Final

from bounded_contexts.documents.domain.values import KINDS, Document, Records, Value

COLUMNS: Final = 1_000  # that are counted, the first ones
NAME_CHARACTERS: Final = 200  # of those: names that stand in each other grow with what they stand in
TOLD_CHARACTERS: Final = 2_000  # of the report, which a header is to hold


@dataclass(slots=True)
class InferredKinds:
    """Counts of one conversion. Names of nested values are steps with dots between them; elements of lists share theirs."""

    _columns: dict[str, Counter[type]] = field(default_factory=dict)

    def add(self, column: str, texts: Sequence[Value], values: Sequence[Value]) -> None:
        """Count what became of texts, beside which there may be values that were none before."""
        if (counts := self._of(column)) is not None:
            if values is texts:
                counts[str] += len(texts)
            elif set(map(type, texts)) == {str}:
                counts.update(map(type, values))
            else:
                pairs = zip(texts, values, strict=True)
                counts.update(type(value) for text, value in pairs if type(text) is str)

    def counted(self, document: Document) -> Document:
        """Return a document of which all was text, counted as it is read."""
        if isinstance(document, Records):
            return replace(document, batches=self._counted(document.batches))
        self._add_all(document.value)
        return document

    def told(self) -> str:
        """Return a JSON map of maps: column, kind, count. Columns that are texts still, and the last where they are too many,
        are left out; "" is there if nothing is told."""
        parts: list[str] = []
        for column, counts in self._columns.items():
            if not counts.keys() - {str}:
                continue
            kinds = dict(sorted((KINDS[kind], count) for kind, count in counts.items() if count))
            parts.append(f"{json.dumps(column)}: {json.dumps(kinds)}")
            if sum(map(len, parts)) + 2 * len(parts) > TOLD_CHARACTERS:
                parts.pop()
                break
        return f"{{{', '.join(parts)}}}" if parts else ""

    def _counted(self, batches: Iterable[Sequence[Value]]) -> Iterator[Sequence[Value]]:
        for batch in batches:
            for value in batch:
                self._add_all(value)
            yield batch

    def _add_all(self, value: Value, name: str = "") -> None:
        if len(name) > NAME_CHARACTERS:
            return
        if isinstance(value, dict):
            for key, each in value.items():
                self._add_all(each, f"{name}.{key}" if name else str(key))
        elif isinstance(value, list):
            for each in value:
                self._add_all(each, name)
        elif (counts := self._of(name)) is not None:
            counts[type(value)] += 1

    def _of(self, column: str) -> Counter[type] | None:
        counts = self._columns.get(column)
        if counts is None and len(self._columns) < COLUMNS and len(column) <= NAME_CHARACTERS:
            counts = self._columns[column] = Counter()
        return counts
