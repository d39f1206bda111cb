"""How the simulated payment provider fails: by a list for the next requests, or by shares that follow from each request's key,
so that a run can be repeated."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from hashlib import sha256
from typing import Literal, get_args

# refuse: 503, nothing done. hang: no answer, nothing done. decline: no money. lost: done, and then 500. late: done, and the
# answer comes too late.
Fault = Literal["refuse", "hang", "decline", "lost", "late"]
FAULTS: tuple[Fault, ...] = get_args(Fault)


@dataclass(slots=True)
class Faults:
    """What goes wrong. `next` has for each operation the faults of the requests to come, `shares` of all others."""

    next: Mapping[str, list[Fault]] = field(default_factory=dict)
    shares: Mapping[Fault, float] = field(default_factory=dict)
    seed: str = ""
    late_s: float = 5.0
    webhook_copies: int = 1  # 0: none is sent
    webhooks_reversed: bool = False  # of two the second goes first
    _tries: dict[str, int] = field(default_factory=dict)

    def of(self, operation: str, key: str) -> Fault | None:
        """Return what goes wrong with this request. A repeat of it is another draw, unless it was declined."""
        if planned := self.next.get(operation):
            return planned.pop(0)
        if self._draw(key, 0) < self.shares.get("decline", 0.0):
            return "decline"
        tries = self._tries[key] = self._tries.get(key, 0) + 1
        drawn = self._draw(key, tries)
        for fault, share in self.shares.items():
            if fault != "decline" and (drawn := drawn - share) < 0:
                return fault
        return None

    def _draw(self, key: str, number: int) -> float:
        return int.from_bytes(sha256(f"{self.seed}/{key}/{number}".encode()).digest()[:8]) / 2**64


def faults_of(given: Mapping[str, object]) -> Faults:
    """Return the faults as they were sent. Raise `ValueError` for what is not known."""
    known = {"next", "shares", "seed", "late_s", "webhook_copies", "webhooks_reversed"}
    faults = Faults(**given) if given.keys() <= known else None  # type: ignore[arg-type]
    names = {*faults.shares, *(each for planned in faults.next.values() for each in planned)} if faults else {""}
    if faults is None or not names <= {*FAULTS}:
        raise ValueError(f"known are {', '.join(sorted(known))}; faults are {', '.join(FAULTS)}")
    return faults
