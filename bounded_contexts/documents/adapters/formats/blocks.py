"""Some records' cells by name, and what records lack of the names that others have."""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import islice
from typing import Final

from bounded_contexts.documents.domain.losses import Losses

CELLS: Final = 250_000  # that are in memory at once, empty ones included


@dataclass(frozen=True, slots=True)
class Block:
    """The cells of some records, by name: an empty one where a record lacks the name."""

    cells: dict[str, Sequence[str]]
    height: int
    number: int = 0  # of the first record
    lacking: Mapping[str, Sequence[int]] = field(default_factory=dict)  # name → indexes of the records without it

    @property
    def names(self) -> Iterable[str]:
        """Return the names in the order in which they come up, record by record."""
        return self.cells

    def rows(self, columns: Iterable[str]) -> list[tuple[str, ...]]:
        """Return the rows under these columns."""
        empty = [""] * self.height
        return list(zip(*[self.cells.get(name, empty) for name in columns], strict=True))

    def parts(self, width: int) -> Iterator["Block"]:
        """Yield it in parts that are small, if all rows are so wide."""
        step = max(1, CELLS // max(1, width))
        if step >= self.height:
            yield self
            return
        for start in range(0, self.height, step):
            cells = {name: texts[start : start + step] for name, texts in self.cells.items()}
            yield Block(cells, min(step, self.height - start))


class Gaps:
    """Counts the cells under names that records lack: they are empty, and read back as something."""

    def __init__(self, losses: Losses, code: str, place: Callable[[int, str], str]) -> None:
        self._losses = losses
        self._code = code
        self._place = place
        self._rows = self._there = 0  # rows, and cells in them that records have
        self._some: list[
            tuple[int, str]
        ] = []  # records and names that they lack: those that are told with their places

    def look(self, block: Block, columns: Iterable[str]) -> None:
        """Take in what records of the block lack of these columns."""
        self._rows += block.height
        for name in columns:
            lacking = block.lacking.get(name, ()) if name in block.cells else range(block.height)
            if lacking:
                self._note(name, lacking, block.number)
            self._there += block.height - len(lacking)

    def look_back(self, name: str) -> None:
        """Take in that all records so far lack a name which comes up now."""
        self._note(name, range(self._rows), 0)

    def _note(self, name: str, records: Iterable[int], first: int) -> None:
        room = self._losses.told - len(self._losses.first) - len(self._some)
        if room > 0:
            self._some += [(first + record, name) for record in islice(records, room)]

    def tell(self, width: int) -> None:
        """Report the gaps in the rows since the last time, which are so many cells wide."""
        missing = self._rows * width - self._there
        for number, name in sorted(self._some, key=lambda gap: gap[0]):
            self._losses.add(self._code, self._place(number, name), "other records have a value of this name")
        if missing:
            self._losses.counts[self._code] += missing - len(self._some)
        self._rows = self._there = 0
        self._some.clear()
