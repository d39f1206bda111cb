"""Ordering, inventory and payments as the sagas see them: as little of them as keeps the contract of docs/sagas.md."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from typing import Any, Literal
from uuid import UUID

from headwater.wiring import House
from infra.feed import FeedRunner
from infra.kafka_log import KafkaLog
from schemas.inventory.events import CommitStock, ReleaseStock, ReserveStock, ReturnStock
from schemas.ordering.events import ConfirmOrder, OrderPlaced, RejectOrder
from schemas.payments.events import AuthorizePayment, CapturePayment, RefundPayment, VoidPayment
from shared_kernel.causation import Cause, because
from shared_kernel.events import Event, Recorded
from shared_kernel.module import Feed
from tests.orders import Told
from tests.probes import during

COMMANDS: tuple[type[Event], ...] = (
    *(ReserveStock, ReleaseStock, CommitStock, ReturnStock),
    *(AuthorizePayment, VoidPayment, CapturePayment, RefundPayment),
    *(ConfirmOrder, RejectOrder),
)


class Doubled(AssertionError):
    """An order came to two ends."""


@dataclass(frozen=True, slots=True)
class World:
    """What the three contexts know of one order. What was undone stays undone, whether it had been done or not."""

    order: Literal["placed", "confirmed", "rejected", "cancelled"] = "placed"
    cancelling: bool = False
    stock: Literal["free", "held", "sold"] = "free"
    released: bool = False
    returned: bool = False
    money: Literal["free", "held", "captured"] = "free"
    voided: bool = False
    refunded: bool = False
    refuses: frozenset[str] = frozenset()  # names of commands that give up

    @property
    def is_clean(self) -> bool:
        """Return whether nothing is held or taken, and nothing can be any more."""
        return (self.stock, self.money) == ("free", "free")


def answer(world: World, command: Event, told: Told) -> tuple[World, tuple[Event, ...]]:
    """Return the world after the command, and what is told. What was answered before is not answered again."""
    match command:
        case ReserveStock() | ReleaseStock() | CommitStock() | ReturnStock():
            return _inventory(world, command, told)
        case ConfirmOrder() | RejectOrder():
            return _ordering(world, command, told)
    return _payments(world, command, told)


def _inventory(world: World, command: Event, told: Told) -> tuple[World, tuple[Event, ...]]:
    refused = type(command).__name__ in world.refuses
    match command, world.stock:
        case ReserveStock(), "free" if world.released or refused:
            return world, (told.out_of_stock,)
        case ReserveStock(), "free":
            return replace(world, stock="held"), (told.reserved,)
        case CommitStock(), "held" if not (world.returned or refused):
            return replace(world, stock="sold"), (told.committed,)
        case CommitStock(), "held" | "free":
            return world, (told.commit_refused,)
        case ReleaseStock(), "held" | "free" if not world.released:
            return replace(world, stock="free", released=True), (told.released,)
        case ReturnStock(), "sold" if not world.returned:
            return replace(world, stock="free", returned=True), (told.stock_returned,)
        case ReturnStock(), "held" | "free" if not world.returned:
            return replace(world, returned=True), (told.stock_returned,)
    return world, ()


def _payments(world: World, command: Event, told: Told) -> tuple[World, tuple[Event, ...]]:
    refused = type(command).__name__ in world.refuses
    match command, world.money:
        case AuthorizePayment(), "free" if world.voided or refused:
            return world, (told.declined,)
        case AuthorizePayment(), "free":
            return replace(world, money="held"), (told.authorized,)
        case CapturePayment(), "held" if not (world.refunded or refused):
            return replace(world, money="captured"), (told.captured,)
        case CapturePayment(), "held" | "free":
            return world, (told.capture_declined,)
        case VoidPayment(), "held" | "free" if not world.voided:
            return replace(world, money="free", voided=True), (told.voided,)
        case RefundPayment(), "captured" if not world.refunded:
            return replace(world, money="free", refunded=True), (told.refunded,)
        case RefundPayment(), "held" | "free" if not world.refunded:
            return replace(world, refunded=True), (told.refunded,)
    return world, ()


def _ordering(world: World, command: Event, told: Told) -> tuple[World, tuple[Event, ...]]:
    match command, world.order:
        case ConfirmOrder(), "placed" if world.cancelling:
            return replace(world, order="cancelled"), (told.confirmed, told.cancelled)
        case ConfirmOrder(), "placed":
            return replace(world, order="confirmed"), (told.confirmed,)
        case RejectOrder(), "placed":
            return replace(world, order="rejected"), (told.rejected,)
        case (ConfirmOrder(), "rejected") | (RejectOrder(), "confirmed" | "cancelled"):
            raise Doubled(f"{type(command).__name__} of a {world.order} order")
    return world, ()


class Participants:
    """The contexts, on the topics of a house. What is `muted` is neither done nor answered until it is told to be."""

    def __init__(self, house: House) -> None:
        self.worlds: dict[UUID, World] = {}
        self.heard: list[tuple[UUID, str]] = []  # every command: whose, its name
        self.causes: dict[tuple[UUID, str], Recorded] = {}
        self.muted: set[tuple[UUID, type[Event]]] = set()
        self._log = KafkaLog(house.commands, house.codec)
        feed = Feed("participants", COMMANDS, self._deliver, lambda *_: None)
        self._runner = FeedRunner(feed, house.kafka, house.codec)

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """Hear commands while the block lasts."""
        async with during(self._runner.run()):
            await asyncio.wait_for(self._runner.ready.wait(), 30)
            yield

    async def place(self, order_id: UUID, *refuses: str) -> OrderPlaced:
        """Have somebody order."""
        self.worlds[order_id] = World(refuses=frozenset(refuses))
        placed = Told(order_id).placed
        await self._log.publish(placed)
        return placed

    async def cancel(self, order_id: UUID) -> None:
        """Have them think better of it."""
        self.worlds[order_id] = replace(self.worlds[order_id], cancelling=True)
        await self._log.publish(Told(order_id).cancelling)

    async def tell(self, event: Event) -> None:
        """Have something happen."""
        await self._log.publish(event)

    async def _deliver(self, commands: Sequence[Recorded]) -> None:
        for recorded in commands:
            command: Any = recorded.event
            self.heard.append((command.order_id, type(command).__name__))
            self.causes[command.order_id, type(command).__name__] = recorded
            if (command.order_id, type(command)) not in self.muted:
                with because(Cause(recorded.correlation_id, recorded.id, recorded.traceparent)):
                    await self.do(command)

    async def do(self, command: Any) -> None:
        """Do what is asked and tell of it."""
        world, answers = answer(self.worlds[command.order_id], command, Told(command.order_id))
        self.worlds[command.order_id] = world
        for each in answers:
            await self._log.publish(each)
