"""A root: the heads of all chains at a moment, signed, and chained to the root before it."""

import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from bounded_contexts.audit.domain.chain import Head


@dataclass(frozen=True, slots=True)
class Root:
    """`body` is what is signed, as JSON; the other columns are for finding it."""

    number: int  # from 1, without gaps
    made_at: datetime
    body: bytes
    signature: bytes
    public_key: bytes

    @property
    def hash(self) -> str:
        """Return what the next root carries of this one, and what is worth writing down elsewhere."""
        return hashlib.sha256(self.body + self.signature).hexdigest()

    def heads(self) -> list[Head]:
        """Return where each chain ended when the root was made."""
        return [
            Head(topic, number, offset, bytes.fromhex(hash_)) for topic, number, offset, hash_ in self._said("chains")
        ]

    def names(self, previous: "Root | None") -> bool:
        """Return whether the body is of this place in the row of roots."""
        expected = (self.number, self.made_at.isoformat(), previous.hash if previous else None)
        return (self._said("number"), self._said("made_at"), self._said("previous")) == expected

    def _said(self, name: str) -> Any:
        return json.loads(self.body)[name]


def body_of(number: int, made_at: datetime, previous: Root | None, heads: Sequence[Head]) -> bytes:
    """Return what is signed: JSON with sorted names and without white space."""
    chains = sorted([head.topic, head.partition, head.offset, head.hash.hex()] for head in heads)
    said = {
        "number": number,
        "made_at": made_at.isoformat(),
        "previous": previous.hash if previous else None,
        "chains": chains,
    }
    return json.dumps(said, sort_keys=True, separators=(",", ":"), ensure_ascii=False).encode()
