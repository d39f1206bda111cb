"""What payments need from the outside."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from typing import Literal, Protocol
from uuid import UUID

from bounded_contexts.payments.domain.commands import Outcome, Step
from bounded_contexts.payments.domain.payment import PaymentEvent
from shared_kernel.events import EventStore, Position

Status = Literal["requested", "authorized", "declined", "captured", "voided", "refunded"]


REFERENCE = r"^[!-~]{1,200}$"  # what a provider may call a payment


@dataclass(frozen=True, slots=True)
class Instruction:
    """One step of a payment, as the provider is asked for it."""

    step: Step
    payment_id: UUID
    key: UUID  # the provider takes a repeat with the same key for the same request
    amount_minor: int
    currency: str


@dataclass(frozen=True, slots=True)
class Unknown:
    """The provider was not reached, has not answered in time or has answered with an error: the step may have been done or
    not."""

    why: str


@dataclass(frozen=True, slots=True)
class Statement:
    """A payment as the provider has it."""

    reference: str
    state: Literal["authorized", "declined", "captured", "voided", "refunded"]
    reason: str  # of a decline
    amount_minor: int
    currency: str


class PaymentProvider(Protocol):
    """Who holds and moves the money. Errors are answers: nothing is raised."""

    async def ask(self, instruction: Instruction) -> Outcome | Unknown:
        """Have the step done. A repeat with the same key does nothing again and has the same answer."""
        ...

    async def look_up(self, payment_id: UUID) -> Statement | Unknown | None:
        """Return what the provider knows of the payment, None if it was never asked for it. Changes nothing."""
        ...

    async def close(self) -> None:
        """Let go of the connections."""
        ...


@dataclass(frozen=True, slots=True)
class Listed:
    """A payment as reads show it."""

    payment_id: UUID
    order_id: UUID
    buyer_id: UUID | None  # None: it was undone before anybody asked for it
    status: Status
    amount_minor: int
    captured_minor: int
    refunded_minor: int
    currency: str | None
    reason: str | None  # of the last decline
    provider_reference: str | None
    begun_at: datetime
    changed_at: datetime
    asked: tuple[Step, ...]  # steps whose outcome is not known


class PaymentWriter(Protocol):
    """The list of payments. Events come in the order of their topic; one that comes again changes nothing."""

    async def changed(self, event: PaymentEvent) -> None:
        """Take the event over."""
        ...


class PaymentReader(Protocol):
    """What has been stored of payments."""

    async def of_order(self, order_id: UUID) -> Listed | None:
        """Return the order's payment."""
        ...

    async def page(self, limit: int, before: tuple[datetime, UUID] | None, status: Status | None) -> list[Listed]:
        """Return payments, of one status if it is given, last begun first, those after `before`."""
        ...

    async def waiting(self, since: datetime, limit: int, after: UUID | None) -> list[UUID]:
        """Return the ids of payments with steps of no known outcome that nothing was heard of since then, in their order, those
        after `after`."""
        ...


class Heard(Protocol):
    """Which of the provider's webhooks were taken."""

    async def first(self, event_id: str, attempted_at: int, now: datetime) -> bool:
        """Note that an event's attempt of then (Unix time, seconds) is taken; return whether it had not been before."""
        ...


class ReadState(Protocol):
    """How far the stored state has come."""

    async def reached(self, position: Position, timeout_s: float) -> bool:
        """Wait until the write at `position` is stored; False when it was not within `timeout_s` seconds."""
        ...


@dataclass(frozen=True, slots=True)
class Ports:
    store: EventStore[PaymentEvent]
    provider: PaymentProvider
    payment_writer: PaymentWriter
    payments: PaymentReader
    heard: Heard
    stored: ReadState
    now: Callable[[], datetime]  # time-zone aware, UTC
