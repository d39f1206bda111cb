"""What became of a record in a consumer group, as far as it is known."""

from dataclasses import dataclass
from datetime import datetime
from typing import Literal

# done: its handler returned. dead_letter: it failed for good. waits_behind_letter: for an earlier one of its key.
# discarded: a dead letter that an operator gave up. passed: the group is past it, no more is known. not_yet: it is not.
Outcome = Literal["done", "dead_letter", "waits_behind_letter", "discarded", "passed", "not_yet"]


@dataclass(frozen=True, slots=True)
class Handling:
    """One group's part."""

    group: str
    outcome: Outcome
    at: datetime | None = None  # when it had that outcome, or at most a second later
    attempts: int | None = None
    error: str | None = None  # of a dead letter
