"""What a conversion changed: counted in full, told for the first ones."""

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field

from bounded_contexts.documents.domain.inferred_kinds import InferredKinds

TOLD_CHARACTERS = 150_000  # of all that are told with their places: events and frames hold a megabyte
TOLD = 20  # with their places, unless more are asked for; every further one is counted only


@dataclass(frozen=True, slots=True)
class Loss:
    """One leaf that reads back as something else."""

    code: str  # docs/documents.md
    pointer: str  # where it was in the source: JSON Pointer
    detail: str


@dataclass(slots=True)
class Losses:
    """The losses of one conversion, and what was guessed rather than read."""

    counts: Counter[str] = field(default_factory=Counter)  # by code
    first: list[Loss] = field(default_factory=list)
    notes: dict[str, str] = field(default_factory=dict)  # what was found out: dialect, charset
    inferred: InferredKinds = field(default_factory=InferredKinds)
    _within: str = ""
    told: int = TOLD

    def add(self, code: str, pointer: str, detail: str) -> None:
        """Count a loss; tell of it while there are few."""
        self.counts[code] += 1
        if not self.are_told:
            self.first.append(Loss(code, self._within + pointer, detail))

    def within(self, pointer: str) -> "Losses":
        """Return the same losses for a part of the document: what is added there is counted and told here."""
        return Losses(self.counts, self.first, self.notes, self.inferred, self._within + pointer, self.told)

    @property
    def are_told(self) -> bool:
        """Return whether further ones are only counted."""
        return len(self.first) >= self.told

    @property
    def total(self) -> int:
        """Return how many there were."""
        return self.counts.total()

    @property
    def all_notes(self) -> dict[str, str]:
        """Return what was found out, what inference has made of texts included."""
        inferred = self.inferred.told()
        return self.notes | ({"inferred": inferred} if inferred else {})

    @property
    def to_be_told(self) -> Iterator[Loss]:
        """Yield the first ones, as far as an event holds them."""
        room = TOLD_CHARACTERS
        for each in self.first:
            room -= len(each.pointer) + len(each.detail)
            if room < 0:
                return
            yield each
