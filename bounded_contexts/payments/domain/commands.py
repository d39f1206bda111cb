"""What is asked of a payment, and what the provider is known to have done with it."""

from dataclasses import dataclass
from datetime import datetime
from typing import Literal
from uuid import UUID, uuid5

from schemas.payments.events import AuthorizePayment, CapturePayment, RefundPayment, VoidPayment

Step = Literal["authorize", "capture", "void", "refund"]  # of a payment, each done once at most
Command = AuthorizePayment | CapturePayment | VoidPayment | RefundPayment


@dataclass(frozen=True, slots=True)
class Done:
    """The provider has done the step."""

    reference: str  # the provider's own id of the payment


@dataclass(frozen=True, slots=True)
class Declined:
    """The provider has not done the step and never will."""

    reason: str


Outcome = Done | Declined


@dataclass(frozen=True, slots=True, kw_only=True)
class Ask:
    """A command, and when it is heard."""

    command: Command
    at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class Settle:
    """A step's outcome, and when it is known."""

    step: Step
    outcome: Outcome
    at: datetime


def payment_id_of(order_id: UUID) -> UUID:
    """Return the id of the order's one payment."""
    return uuid5(order_id, "payment")


def step_id(payment_id: UUID, step: Step, declined: int = 0) -> UUID:
    """Return the id by which the provider knows the step again, however often it is asked for. What it has `declined` so often
    and is to think over is another request: it answers a known one as it did before."""
    return uuid5(payment_id, f"{step}:{declined}" if declined else step)
