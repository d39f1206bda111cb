"""What became of a document other than it says: refused, told or passed over, by its `strictness`."""

from dataclasses import dataclass, field
from typing import Literal

from bounded_contexts.documents.domain.errors import Unwritable
from bounded_contexts.documents.domain.losses import Losses
from bounded_contexts.documents.domain.rendering.fidelity import Target, fidelity

Strictness = Literal["error", "warn", "ignore"]


@dataclass(slots=True)
class Telling:
    """`pointer` is where in the document work is being done."""

    target: Target
    strictness: Strictness = "warn"
    losses: Losses = field(default_factory=Losses)
    pointer: str = ""
    _told: set[str] = field(default_factory=set)

    def warn(self, code: str, detail: str) -> None:
        """Tell of something missing. Raise `Unwritable` where the document wants no such result."""
        if self.strictness == "error":
            raise Unwritable(code, f"{self.pointer or '/'}: {detail}")
        if self.strictness == "warn":
            self.losses.add(code, self.pointer, detail)

    def apart(self) -> "Telling":
        """Return one that tells of another try, which `becomes` may take over."""
        return Telling(self.target, self.strictness, Losses(told=self.losses.told))

    def becomes(self, other: "Telling") -> None:
        """Tell what that one tells, and nothing else."""
        self.losses.counts, self.losses.first = other.losses.counts, other.losses.first

    def uses(self, feature: str) -> None:
        """Tell, once for each, of a feature that the target lacks or does in its own way. Raise `Unwritable` as `warn`
        does for what would be dropped."""
        if feature in self._told:
            return
        self._told.add(feature)
        how = fidelity(feature, self.target)
        if how == "dropped":
            self.warn("dropped", f"{self.target} has no {feature}")
        elif how == "approximated" and self.strictness == "warn":
            self.losses.add("approximated", self.pointer, f"{feature} in {self.target}: docs/rendering.md")
