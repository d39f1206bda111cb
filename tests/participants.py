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
from tests.probes import during, seen

COMMANDS: tuple[type[Event], ...] = (
    *(ReserveStock, ReleaseStock, CommitStock, ReturnStock),
    *(AuthorizePayment, VoidPayment, CapturePayment, RefundPayment),
    *(ConfirmOrder, RejectOrder),
)


class Doubled(AssertionError):
    """An order came to two ends."""


@dataclass(frozen=True, slots=True)
class World:
    """What the three contexts know of one order."""

    order: Literal["placed", "confirmed", "rejected", "cancelled"] = "placed"
    cancelling: bool = False
    stock: Literal["free", "held", "sold"] = "free"
    money: Literal["free", "held", "captured"] = "free"
    answered: frozenset[str] = frozenset()  # names of commands; what comes again is neither done nor answered again
    refuses: frozenset[str] = frozenset()  # names of commands that give up

    @property
    def is_clean(self) -> bool:
        """Return whether nothing is held or taken."""
        return (self.stock, self.money) == ("free", "free")

    def may(self, name: str, undo: str) -> bool:
        """Return whether the command may be done: an undo that came before it is remembered."""
        return name not in self.refuses and undo not in self.answered


def answer(world: World, command: Event, told: Told) -> tuple[World, tuple[Event, ...]]:
    """Return the world after the command, and what is told."""
    name = type(command).__name__
    if name in world.answered:
        return world, ()
    after, events = _ordering(world, name, told) if name.endswith("Order") else _provider(world, name, told)
    return replace(after, answered=world.answered | {name}), events


def expired(world: World) -> World:
    """Return the world in which a reservation has ended by itself; asking for its release is answered all the same."""
    return replace(world, stock="free")


def _provider(world: World, name: str, told: Told) -> tuple[World, tuple[Event, ...]]:
    match name:
        case "ReserveStock" if world.may(name, "ReleaseStock"):
            return replace(world, stock="held"), (told.reserved,)
        case "CommitStock" if world.stock == "held" and world.may(name, "ReturnStock"):
            return replace(world, stock="sold"), (told.committed,)
        case "ReleaseStock":
            return replace(world, stock="free" if world.stock == "held" else world.stock), (told.released,)
        case "ReturnStock":
            return replace(world, stock="free" if world.stock == "sold" else world.stock), (told.stock_returned,)
        case "AuthorizePayment" if world.may(name, "VoidPayment"):
            return replace(world, money="held"), (told.authorized,)
        case "CapturePayment" if world.money == "held" and world.may(name, "RefundPayment"):
            return replace(world, money="captured"), (told.captured,)
        case "VoidPayment":
            return replace(world, money="free" if world.money == "held" else world.money), (told.voided,)
        case "RefundPayment":
            return replace(world, money="free" if world.money == "captured" else world.money), (told.refunded,)
    return world, (_refusal(name, told),)


def _refusal(name: str, told: Told) -> Event:
    refusals: dict[str, Event] = {
        "ReserveStock": told.out_of_stock,
        "CommitStock": told.commit_refused,
        "AuthorizePayment": told.declined,
        "CapturePayment": told.capture_declined,
    }
    return refusals[name]


def _ordering(world: World, name: str, told: Told) -> tuple[World, tuple[Event, ...]]:
    match name, world.order:
        case "ConfirmOrder", "placed" if world.cancelling:
            return replace(world, order="cancelled"), (told.confirmed, told.cancelled)
        case "ConfirmOrder", "placed":
            return replace(world, order="confirmed"), (told.confirmed,)
        case "RejectOrder", "placed":
            return replace(world, order="rejected"), (told.rejected,)
    raise Doubled(f"{name} of an order that is {world.order}")


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

    async def asked(self, order_id: UUID, command: type[Event]) -> Any:
        """Return the command once it has been heard: that a saga has asked is known before."""
        key = order_id, command.__name__
        await seen(lambda: key in self.causes)
        return self.causes[key].event

    async def cancel(self, order_id: UUID) -> None:
        """Have them think better of it."""
        self.worlds[order_id] = replace(self.worlds[order_id], cancelling=True)
        await self._log.publish(Told(order_id).cancelling)

    async def tell(self, event: Event) -> None:
        """Have something happen."""
        await self._log.publish(event)

    async def _deliver(self, commands: Sequence[Recorded]) -> None:
        """Do what is asked: of one order in its order, of all at once."""
        orders: dict[UUID, list[Recorded]] = {}
        for recorded in commands:
            command: Any = recorded.event
            orders.setdefault(command.order_id, []).append(recorded)
        await asyncio.gather(*map(self._do_all, orders.values()))

    async def _do_all(self, commands: Sequence[Recorded]) -> None:
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
