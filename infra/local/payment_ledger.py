"""What the simulated payment provider knows: a file of lines, each on the disk before its answer goes out.

A line is one operation under its idempotency key, also one that was declined: the key has the same answer for ever. Payments
follow from the lines, so whatever kills the process, the next one knows the same.
"""

import json
import os
from collections.abc import Iterator
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Literal
from uuid import NAMESPACE_URL, uuid5

Operation = Literal["authorize", "capture", "void", "refund"]
PaymentState = Literal["authorized", "declined", "captured", "voided", "refunded"]
OPERATIONS: tuple[Operation, ...] = ("authorize", "capture", "void", "refund")
BECOMES: dict[Operation, tuple[PaymentState, PaymentState]] = {
    "capture": ("authorized", "captured"),
    "void": ("authorized", "voided"),
    "refund": ("captured", "refunded"),
}
DECLINED_CENTS = 13  # an amount that ends like this is declined, for whoever tries things out


class KeyReused(Exception):
    """The idempotency key was used for another request."""


class NoSuchPayment(Exception):
    """Nobody has asked for a payment of this reference."""


@dataclass(frozen=True, slots=True)
class Request:
    """What is asked, under an idempotency key."""

    key: str
    operation: Operation
    reference: str  # the customer's id of the payment
    amount: int  # minor units
    currency: str


@dataclass(frozen=True, slots=True)
class Line:
    """An operation, and the payment as that left it."""

    request: Request
    status: int  # of the answer
    id: str
    state: PaymentState
    reason: str = ""


class Ledger:
    """Every operation, by its key. Raise `OSError` where the file cannot be written."""

    def __init__(self, path: Path) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        self._lines: dict[str, Line] = {}
        self._payments: dict[str, Line] = {}
        whole = (
            path.read_bytes().rpartition(b"\n")[0] if path.exists() else b""
        )  # of a line that was cut off nobody was told
        for text in whole.splitlines():
            self._keep(_line(json.loads(text)))
        self._file = path.open("r+b" if path.exists() else "x+b")
        self._file.truncate(len(whole) + 1 if whole else 0)
        self._file.seek(0, os.SEEK_END)

    def lines(self) -> Iterator[Line]:
        """Yield all operations, oldest first."""
        yield from self._lines.values()

    def payment(self, reference: str) -> Line | None:
        """Return the payment as its last operation left it."""
        return self._payments.get(reference)

    def apply(self, request: Request, *, decline: bool = False) -> tuple[Line, bool]:
        """Return what came of the request, and whether it is new. Raise `KeyReused`, `NoSuchPayment`."""
        if known := self._lines.get(request.key):
            if known.request != request:
                raise KeyReused(request.key)
            return known, False
        line = self._decided(request, decline=decline)
        self._file.write(json.dumps(asdict(line)).encode() + b"\n")
        self._file.flush()
        os.fsync(self._file.fileno())
        self._keep(line)
        return line, True

    def close(self) -> None:
        self._file.close()

    def _decided(self, request: Request, *, decline: bool) -> Line:
        present = self._payments.get(request.reference)
        if request.operation == "authorize":
            return self._authorized(request, present, decline=decline)
        if present is None:
            raise NoSuchPayment(request.reference)
        before, after = BECOMES[request.operation]
        if present.state != before or decline:
            return replace(present, request=request, status=409, reason=present.reason or f"is_{present.state}")
        return replace(present, request=request, status=200, state=after)

    def _authorized(self, request: Request, present: Line | None, *, decline: bool) -> Line:
        if present:  # under another key: a customer that asks for one payment twice has one payment
            return replace(present, request=request, status=402 if present.state == "declined" else 201)
        id_ = f"pay_{uuid5(NAMESPACE_URL, request.reference).hex}"
        if decline or request.amount % 100 == DECLINED_CENTS:
            return Line(request, 402, id_, "declined", "insufficient_funds")
        return Line(request, 201, id_, "authorized")

    def _keep(self, line: Line) -> None:
        self._lines[line.request.key] = line
        if line.status != 409:
            self._payments[line.request.reference] = line


def _line(found: dict[str, object]) -> Line:
    return Line(**(found | {"request": Request(**found["request"])}))  # type: ignore[arg-type]
