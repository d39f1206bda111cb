"""Payments whatever happens: commands, silences, crashes and webhooks in any order; the money is where the events say, and
nothing was done twice."""

import asyncio
from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any
from uuid import UUID

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bounded_contexts.payments.adapters.provider_http import known_reason
from bounded_contexts.payments.application.ports import Instruction, Listed, Ports, Statement, Status, Unknown
from bounded_contexts.payments.application.settling import hear, resolve
from bounded_contexts.payments.application.telling import Told, told
from bounded_contexts.payments.domain.commands import Command, Declined, Done, Outcome, payment_id_of
from bounded_contexts.payments.domain.payment import INITIAL, PaymentEvent, due, evolve
from infra.local.payment_ledger import Ledger, Line, Request
from infra.memory import MemoryEventStore
from schemas.payments.events import (
    AuthorizePayment,
    CapturePayment,
    PaymentAuthorized,
    PaymentCaptured,
    PaymentCaptureDeclined,
    PaymentDeclined,
    PaymentRefundDeclined,
    PaymentRefunded,
    PaymentRefundRequested,
    PaymentRequested,
    PaymentVoided,
    RefundPayment,
    VoidPayment,
)
from shared_kernel.errors import Taken, Unavailable
from shared_kernel.events import Position

ORDER, BUYER, AMOUNT = UUID(int=1), UUID(int=2), 1250
PAYMENT = payment_id_of(ORDER)
NOW = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)
AUTHORIZE = AuthorizePayment(order_id=ORDER, buyer_id=BUYER, amount_minor=AMOUNT, currency="EUR", asked_at=NOW)
COMMANDS: dict[str, Command] = {
    "authorize": AUTHORIZE,
    "capture": CapturePayment(order_id=ORDER, asked_at=NOW),
    "void": VoidPayment(order_id=ORDER, asked_at=NOW),
    "refund": RefundPayment(order_id=ORDER, asked_at=NOW),
}
ANSWERS: dict[str, tuple[type[PaymentEvent], ...]] = {
    "authorize": (PaymentAuthorized, PaymentDeclined),
    "capture": (PaymentCaptured, PaymentCaptureDeclined),
    "void": (PaymentVoided,),
    "refund": (PaymentRefunded,),
}
MANY = (PaymentRefundRequested, PaymentRefundDeclined)  # a refund that was declined may be asked for again


class Killed(BaseException):
    """The process has died here."""


class Store(MemoryEventStore[PaymentEvent]):
    """Events of a process that may die before or after it has written."""

    def __init__(self) -> None:
        super().__init__(lambda: NOW)
        self.deaths: list[str] = []  # for the appends to come: before, after, or no
        self.broken: UUID | None = None  # a stream that cannot be read
        self.away = False

    async def load(self, stream: UUID, as_of: datetime | None = None) -> tuple[Sequence[PaymentEvent], int]:
        if self.away:
            raise Unavailable("no database")
        if stream == self.broken:
            raise ValueError("no such version of the event")
        return await super().load(stream, as_of)

    async def append_all(self, appends: Sequence[tuple[UUID, int, Sequence[PaymentEvent]]]) -> None:
        death = self.deaths.pop(0) if self.deaths else "no"
        if death == "before":
            raise Killed
        await super().append_all(appends)
        if death == "after":
            raise Killed


class Provider:
    """The ledger of the simulated provider, whose answers are lost as often as one likes."""

    def __init__(self, ledger: Ledger) -> None:
        self.ledger = ledger
        self.moods: list[str] = []  # for the requests to come: refuse, lost, decline, sound
        self.events: list[Line] = []
        self.too_much = 0  # of what it states

    async def ask(self, instruction: Instruction) -> Outcome | Unknown:
        mood = self.moods.pop(0) if self.moods else "sound"
        if mood == "refuse":
            return Unknown(mood)
        key, of = str(instruction.key), str(instruction.payment_id)
        request = Request(key, instruction.step, of, instruction.amount_minor, instruction.currency)
        line, is_new = self.ledger.apply(request, decline=mood == "decline" and instruction.step != "void")
        if is_new and line.status != 409:
            self.events.append(line)
        if mood == "lost":
            return Unknown(mood)
        if line.status in (200, 201):
            return Done(line.id)
        if instruction.step == "void" and line.state not in ("captured", "refunded"):
            return Done(line.id)
        return Declined(known_reason(line.reason))

    async def look_up(self, payment_id: UUID) -> Statement | Unknown | None:
        if (self.moods.pop(0) if self.moods else "sound") == "refuse":
            return Unknown("refuse")
        line = self.ledger.payment(str(payment_id))
        return self.stated(line) if line else None

    def stated(self, line: Line) -> Statement:
        amount = line.request.amount + self.too_much
        return Statement(line.id, line.state, known_reason(line.reason), amount, line.request.currency)

    async def close(self) -> None: ...


class Nothing:
    """What the rest of the context would keep: here the one payment waits as long as it does."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._heard: set[tuple[str, int]] = set()

    async def changed(self, event: PaymentEvent) -> None: ...

    async def of_order(self, order_id: UUID) -> Listed | None:
        return None

    async def page(self, limit: int, before: tuple[datetime, UUID] | None, status: Status | None) -> list[Listed]:
        return []

    async def waiting(self, since: datetime, limit: int, after: UUID | None) -> list[UUID]:
        return [PAYMENT] if after is None else []

    async def first(self, event_id: str, attempted_at: int, now: datetime) -> bool:
        before = len(self._heard)
        self._heard.add((event_id, attempted_at))
        return len(self._heard) > before

    async def reached(self, position: Position, timeout_s: float) -> bool:
        return True


class World:
    def __init__(self, directory: Path) -> None:
        self.store = Store()
        self.provider = Provider(Ledger(directory / "ledger.jsonl"))
        rest = Nothing(self.store)
        self.asked: set[str] = set()
        self.attempt = 0
        self.ports = Ports(
            store=self.store,
            provider=self.provider,
            payment_writer=rest,
            payments=rest,
            heard=rest,
            stored=rest,
            now=lambda: NOW + timedelta(seconds=1),
        )

    async def do(self, action: tuple[str, Any]) -> None:
        kind, what = action
        try:
            if kind == "command":
                self.asked.add(what)  # delivered again at the end, if it died: consumers are at least once
                await hear(COMMANDS[what], self.ports)
            elif kind == "webhook" and self.provider.events:
                await self.tell(self.provider.events[what % len(self.provider.events)])
            elif kind == "resolve":
                await resolve(self.ports)
        except Killed:
            pass

    async def tell(self, line: Line) -> None:
        self.attempt += 1
        news = Told(UUID(line.request.reference), self.provider.stated(line))
        await told(line.request.key, self.attempt, news, self.ports)

    async def events(self) -> list[PaymentEvent]:
        return list((await self.store.load(PAYMENT))[0])


actions = st.lists(
    st.one_of(
        st.tuples(st.just("command"), st.sampled_from(sorted(COMMANDS))),
        st.tuples(st.just("webhook"), st.integers(0, 5)),
        st.tuples(st.just("resolve"), st.none()),
    ),
    max_size=12,
)
# Mostly as a saga asks, so that there is something to undo; anything may come in between and after.
begun = st.sampled_from(["", "authorize", "authorize capture", "authorize capture refund", "authorize void"])
moods = st.lists(st.sampled_from(["sound", "refuse", "lost", "decline"]), max_size=20)
deaths = st.lists(st.sampled_from(["no", "no", "before", "after"]), max_size=12)


@settings(max_examples=300, deadline=None)
@given(begun=begun, actions=actions, moods=moods, deaths=deaths)
def test_money_is_conserved_and_every_command_answered_whatever_happens(
    begun: str, actions: list[tuple[str, Any]], moods: list[str], deaths: list[str]
) -> None:
    first = [("command", name) for name in begun.split()]
    asyncio.run(_story([*first, *actions], moods, deaths))


async def _story(actions: list[tuple[str, Any]], moods: list[str], deaths: list[str]) -> None:
    with TemporaryDirectory() as directory:
        world = World(Path(directory))
        world.provider.moods, world.store.deaths = list(moods), list(deaths)
        for action in actions:
            await world.do(action)
        world.provider.moods, world.store.deaths = [], []
        for name in sorted(world.asked):
            await world.do(("command", name))
        await resolve(world.ports)

        events = await world.events()
        _check(world, events)
        world.provider.ledger.close()


def _check(world: World, events: list[PaymentEvent]) -> None:
    state = INITIAL
    for event in events:
        state = evolve(state, event)
    kinds = Counter(type(event) for event in events)
    lines = list(world.provider.ledger.lines())
    done = Counter(line.request.operation for line in lines if line.status in (200, 201))
    captured = sum(event.amount_minor for event in events if isinstance(event, PaymentCaptured))
    returned = sum(event.amount_minor for event in events if isinstance(event, PaymentRefunded))

    assert due(state) is None
    assert all(number == 1 for kind, number in kinds.items() if kind not in MANY)
    assert kinds[PaymentRefundRequested] <= kinds[PaymentRefundDeclined] + 1
    assert max(done.values(), default=0) <= 1
    assert (captured, returned) == (AMOUNT * done["capture"], AMOUNT * done["refund"])
    for name in world.asked:
        assert sum(kinds[kind] for kind in ANSWERS[name]) == 1, name
    last = world.provider.ledger.payment(str(PAYMENT))
    if "void" in world.asked:
        assert last is None or last.state != "authorized"
    if "refund" in world.asked:
        assert captured == returned


class Others(Nothing):
    """More payments that wait than one."""

    def __init__(self, store: Store, ids: Sequence[UUID]) -> None:
        super().__init__(store)
        self._ids = sorted(ids)

    async def waiting(self, since: datetime, limit: int, after: UUID | None) -> list[UUID]:
        return [id_ for id_ in self._ids if after is None or id_ > after][:limit]


async def test_a_payment_that_is_never_answered_holds_up_no_other(tmp_path: Path) -> None:
    world, orders = World(tmp_path), [UUID(int=number) for number in range(1, 6)]
    ids = sorted(payment_id_of(order) for order in orders)
    world.ports = replace(world.ports, payments=Others(world.store, ids))
    world.provider.moods = ["refuse"] * (len(orders) + 1)  # each that is asked for, then the first that is looked up
    for order in orders:
        asked = AuthorizePayment(order_id=order, buyer_id=BUYER, amount_minor=AMOUNT, currency="EUR", asked_at=NOW)
        await hear(asked, world.ports)

    await resolve(world.ports)

    last = [(await world.store.load(id_))[0][-1] for id_ in ids]
    assert [isinstance(event, PaymentAuthorized) for event in last] == [False, True, True, True, True]
    world.provider.ledger.close()


async def test_a_payment_that_cannot_be_resolved_holds_up_no_other(tmp_path: Path) -> None:
    world, orders = World(tmp_path), [UUID(int=number) for number in range(1, 4)]
    ids = sorted(payment_id_of(order) for order in orders)
    world.ports = replace(world.ports, payments=Others(world.store, ids))
    world.provider.moods = ["refuse"] * len(orders)
    for order in orders:
        await hear(replace(AUTHORIZE, order_id=order), world.ports)
    world.store.broken = ids[0]

    await resolve(world.ports)

    world.store.broken = None
    last = [(await world.store.load(id_))[0][-1] for id_ in ids]
    assert [isinstance(event, PaymentAuthorized) for event in last] == [False, True, True]
    world.provider.ledger.close()


async def test_where_the_database_is_away_nobody_goes_on_resolving(tmp_path: Path) -> None:
    world = World(tmp_path)
    world.provider.moods = ["refuse"]
    await hear(AUTHORIZE, world.ports)
    world.store.away = True

    with pytest.raises(Unavailable):
        await resolve(world.ports)
    world.provider.ledger.close()


async def test_nothing_is_settled_by_a_statement_of_another_amount(tmp_path: Path) -> None:
    world = World(tmp_path)
    world.provider.moods = ["lost"]
    await hear(AUTHORIZE, world.ports)
    world.provider.too_much = 1

    await resolve(world.ports)
    assert [type(event) for event in await world.events()] == [PaymentRequested]

    world.provider.too_much = 0
    await resolve(world.ports)
    assert [type(event) for event in await world.events()] == [PaymentRequested, PaymentAuthorized]
    world.provider.ledger.close()


async def test_a_webhook_that_failed_half_way_is_taken_when_it_is_sent_again(tmp_path: Path) -> None:
    world = World(tmp_path)
    world.provider.moods = ["lost"]
    await hear(AUTHORIZE, world.ports)
    news = Told(PAYMENT, world.provider.stated(world.provider.events[0]))
    world.store.away = True
    with pytest.raises(Unavailable):
        await told("evt_1", 1, news, world.ports)
    world.store.away = False

    await told("evt_1", 1, news, world.ports)

    assert isinstance((await world.events())[-1], PaymentAuthorized)
    with pytest.raises(Taken):
        await told("evt_1", 1, news, world.ports)
    world.provider.ledger.close()


async def test_a_declined_refund_is_asked_for_again_only_when_somebody_asks(tmp_path: Path) -> None:
    world = World(tmp_path)
    for name in ("authorize", "capture"):
        await hear(COMMANDS[name], world.ports)
    world.provider.moods = ["decline"]
    await hear(COMMANDS["refund"], world.ports)
    requests = len(list(world.provider.ledger.lines()))

    await resolve(world.ports)
    assert isinstance((await world.events())[-1], PaymentRefundDeclined)
    assert len(list(world.provider.ledger.lines())) == requests

    await hear(COMMANDS["refund"], world.ports)  # as the saga does after a while
    assert isinstance((await world.events())[-1], PaymentRefunded)
    world.provider.ledger.close()
