"""Inventory: given what happened, when somebody asks, then this happens; and no unit is lost in any order of requests."""

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from functools import reduce
from uuid import UUID

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bounded_contexts.inventory.domain import allocation, reservation, stock_item
from bounded_contexts.inventory.domain.allocation import Allocation, Decision
from bounded_contexts.inventory.domain.commands import (
    AddItem,
    Commit,
    Expire,
    FreeUnits,
    HoldUnits,
    ReceiveUnits,
    Release,
    Request,
    Reserve,
    Return,
    SellUnits,
    TakeUnitsBack,
)
from bounded_contexts.inventory.domain.reservation import Reservation, ReservationEvent
from bounded_contexts.inventory.domain.stock_item import NAME_LIMIT, RECEIPT_LIMIT, StockEvent, StockItem
from schemas.inventory.events import (
    StockCommitRefused,
    StockCommitted,
    StockItemAdded,
    StockLine,
    StockReceived,
    StockRefused,
    StockReleased,
    StockReserved,
    StockReturned,
    UnitsCommitted,
    UnitsReleased,
    UnitsReserved,
    UnitsReturned,
)
from shared_kernel.errors import Conflict, Forbidden, NotFound, Refused, Taken

NOW = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)
LIFETIME = timedelta(minutes=30)
UNTIL = NOW + LIFETIME
STAFF, ORDER, OTHER = UUID(int=1), UUID(int=7), UUID(int=8)
CUPS, PLATES = "CUP-1", "PLATE-1"

ADDED = StockItemAdded(sku=CUPS, name="Cup", added_by=STAFF, added_at=NOW)
LINES = (StockLine(sku=CUPS, quantity=2), StockLine(sku=PLATES, quantity=1))


def received(quantity: int, sku: str = CUPS, receipt: int = 1) -> StockReceived:
    return StockReceived(sku=sku, receipt_id=UUID(int=receipt), quantity=quantity, received_by=STAFF, received_at=NOW)


def add(sku: str = CUPS, name: str = "Cup", role: str = "staff") -> AddItem:
    return AddItem(sku=sku, name=name, asker_id=STAFF, asker_roles=frozenset({role}), at=NOW)


def receive(quantity: int, sku: str = CUPS, receipt: int = 1, role: str = "staff") -> ReceiveUnits:
    return ReceiveUnits(
        sku=sku,
        receipt_id=UUID(int=receipt),
        quantity=quantity,
        asker_id=STAFF,
        asker_roles=frozenset({role}),
        at=NOW,
    )


def item(*events: StockEvent) -> StockItem:
    return reduce(stock_item.evolve, events, stock_item.INITIAL)


STOCKED = item(ADDED, received(5))


class TestAStockItem:
    def test_is_added_with_no_units(self) -> None:
        assert stock_item.decide(item(), add(name=" Cup ")) == (ADDED,)
        assert item(ADDED) == StockItem("Cup")

    def test_is_added_once(self) -> None:
        assert stock_item.decide(item(ADDED), add()) == ()

    def test_has_a_sku_that_nothing_else_has(self) -> None:
        with pytest.raises(Taken, match="sku_taken"):
            stock_item.decide(item(ADDED), add(name="Mug"))

    @pytest.mark.parametrize("name", ["", "  ", "x" * (NAME_LIMIT + 1), "a\nb", "a\0"])
    def test_has_a_name_that_can_be_shown(self, name: str) -> None:
        with pytest.raises(Refused, match="invalid_item_name"):
            stock_item.decide(item(), add(name=name))

    def test_gets_what_is_received(self) -> None:
        assert stock_item.decide(item(ADDED), receive(5)) == (received(5),)
        assert (STOCKED.free, STOCKED.reserved, STOCKED.sold) == (5, 0, 0)

    def test_gets_a_receipt_once(self) -> None:
        assert stock_item.decide(STOCKED, receive(5)) == ()
        assert stock_item.decide(STOCKED, receive(5, receipt=2)) == (received(5, receipt=2),)

    def test_gets_no_other_quantity_by_the_same_receipt(self) -> None:
        with pytest.raises(Refused, match="id_taken"):
            stock_item.decide(STOCKED, receive(6))

    @pytest.mark.parametrize("quantity", [0, -1, RECEIPT_LIMIT + 1])
    def test_gets_a_sensible_quantity(self, quantity: int) -> None:
        with pytest.raises(Refused, match="invalid_quantity"):
            stock_item.decide(item(ADDED), receive(quantity))

    def test_that_nobody_has_added_gets_nothing(self) -> None:
        with pytest.raises(NotFound, match="stock_item_not_found"):
            stock_item.decide(item(), receive(5))

    @pytest.mark.parametrize("role", ["user", "moderator", "auditor", "operator", "nobody"])
    def test_is_changed_by_who_manages_stock(self, role: str) -> None:
        for state, ask in ((item(), add(role=role)), (item(ADDED), receive(5, role=role))):
            with pytest.raises(Forbidden):
                stock_item.decide(state, ask)

    @pytest.mark.parametrize("move", [FreeUnits, SellUnits, TakeUnitsBack])
    def test_moves_no_units_that_are_not_there_any_more(
        self, move: type[FreeUnits | SellUnits | TakeUnitsBack]
    ) -> None:
        with pytest.raises(Conflict):
            stock_item.decide(STOCKED, move(sku=CUPS, order_id=ORDER, quantity=1, at=NOW))

    def test_holds_no_units_that_are_not_free_any_more(self) -> None:
        with pytest.raises(Conflict):
            stock_item.decide(STOCKED, HoldUnits(sku=CUPS, order_id=ORDER, quantity=6, at=NOW, expires_at=UNTIL))

    @pytest.mark.parametrize("quantity", [0, -1])
    def test_moves_one_unit_or_more(self, quantity: int) -> None:
        with pytest.raises(Refused, match="invalid_quantity"):
            stock_item.decide(STOCKED, FreeUnits(sku=CUPS, order_id=ORDER, quantity=quantity, at=NOW))


def applied(state: Allocation, decision: Decision) -> Allocation:
    items = {sku: reduce(stock_item.evolve, decision.moves.get(sku, ()), each) for sku, each in state.items.items()}
    return Allocation(reduce(reservation.evolve, decision.answer, state.reservation), items)


def after(*asks: Request, cups: int = 5, plates: int = 5) -> Allocation:
    """Return what these requests, one after the other, make of a stocked shop."""
    items = {CUPS: item(ADDED, received(cups)), PLATES: item(replace(ADDED, sku=PLATES), received(plates, PLATES))}
    return reduce(lambda state, ask: applied(state, allocation.decide(state, ask)), asks, Allocation(items=items))


def units(state: Allocation, sku: str = CUPS) -> tuple[int, int, int]:
    found = state.items[sku]
    return found.free, found.reserved, found.sold


def reserve(cups: int = 2, plates: int = 1) -> Reserve:
    return Reserve(order_id=ORDER, quantities={PLATES: plates, CUPS: cups}, expires_at=UNTIL, at=NOW)


RELEASE, COMMIT, RETURN = (ask(order_id=ORDER, at=NOW) for ask in (Release, Commit, Return))
EARLY, LATE = Expire(order_id=ORDER, at=UNTIL - timedelta(microseconds=1)), Expire(order_id=ORDER, at=UNTIL)

RESERVED = StockReserved(order_id=ORDER, lines=LINES, expires_at=UNTIL, reserved_at=NOW)
RELEASED = StockReleased(order_id=ORDER, reason="asked", released_at=NOW)
EXPIRED = StockReleased(order_id=ORDER, reason="expired", released_at=UNTIL)
COMMITTED = StockCommitted(order_id=ORDER, committed_at=NOW)
RETURNED = StockReturned(order_id=ORDER, returned_at=NOW)


def refused(reason: str, *missing: str) -> StockRefused:
    return StockRefused(order_id=ORDER, reason=reason, missing=missing, refused_at=NOW)


def commit_refused(reason: str) -> StockCommitRefused:
    return StockCommitRefused(order_id=ORDER, reason=reason, refused_at=NOW)


ANSWERS: list[tuple[Sequence[Request], Request, Sequence[ReservationEvent]]] = [
    ([], reserve(), [RESERVED]),
    ([reserve()], reserve(), []),
    ([reserve()], reserve(cups=3), []),
    ([], reserve(cups=6), [refused("out_of_stock", CUPS)]),
    ([], reserve(cups=6, plates=6), [refused("out_of_stock", CUPS, PLATES)]),
    ([reserve(cups=6)], reserve(cups=6), []),
    ([reserve(cups=6)], reserve(cups=1), []),
    ([RELEASE], reserve(), [refused("released_before")]),
    ([RELEASE, reserve()], reserve(), []),
    ([reserve(), RELEASE], reserve(), []),
    ([reserve(), LATE], reserve(), []),
    ([reserve(), COMMIT], reserve(), []),
    ([reserve(), COMMIT, RETURN], reserve(), []),
    ([RETURN], reserve(), [RESERVED]),
    ([], RELEASE, [RELEASED]),
    ([RELEASE], RELEASE, []),
    ([reserve()], RELEASE, [RELEASED]),
    ([reserve(), RELEASE], RELEASE, []),
    ([reserve(cups=6)], RELEASE, [RELEASED]),
    ([reserve(), LATE], RELEASE, [RELEASED]),
    ([reserve(), LATE, RELEASE], RELEASE, []),
    ([reserve(), COMMIT], RELEASE, [RELEASED]),
    ([reserve(), COMMIT, RETURN], RELEASE, [RELEASED]),
    ([], COMMIT, [commit_refused("not_reserved")]),
    ([COMMIT], COMMIT, []),
    ([COMMIT, reserve()], COMMIT, [COMMITTED]),
    ([reserve()], COMMIT, [COMMITTED]),
    ([reserve(), COMMIT], COMMIT, []),
    ([reserve(), EARLY], COMMIT, [COMMITTED]),
    ([reserve()], replace(COMMIT, at=UNTIL), [replace(COMMITTED, committed_at=UNTIL)]),
    ([reserve(), LATE], COMMIT, [commit_refused("expired")]),
    ([reserve(), LATE, RELEASE], COMMIT, [commit_refused("expired")]),
    ([reserve(), LATE, COMMIT], COMMIT, []),
    ([reserve(), RELEASE], COMMIT, [commit_refused("not_reserved")]),
    ([reserve(cups=6)], COMMIT, [commit_refused("not_reserved")]),
    ([RETURN], COMMIT, [commit_refused("not_reserved")]),
    ([reserve(), RETURN], COMMIT, [commit_refused("not_reserved")]),
    ([RETURN, reserve()], COMMIT, [commit_refused("not_reserved")]),
    ([reserve(), COMMIT, RETURN], COMMIT, []),
    ([], RETURN, [RETURNED]),
    ([RETURN], RETURN, []),
    ([reserve()], RETURN, [RETURNED]),
    ([reserve(), COMMIT], RETURN, [RETURNED]),
    ([reserve(), COMMIT, RETURN], RETURN, []),
    ([reserve(), RELEASE], RETURN, [RETURNED]),
    ([reserve(), COMMIT, RELEASE], RETURN, [RETURNED]),
    ([], LATE, []),
    ([reserve()], EARLY, []),
    ([reserve()], LATE, [EXPIRED]),
    ([reserve(), LATE], LATE, []),
    ([reserve(), COMMIT], LATE, []),
    ([reserve(), RELEASE], LATE, []),
    ([reserve(cups=6)], LATE, []),
    ([reserve(), RETURN], LATE, [EXPIRED]),
]


@pytest.mark.parametrize(("before", "ask", "answer"), ANSWERS)
def test_every_request_has_its_answer_once(
    before: Sequence[Request], ask: Request, answer: Sequence[ReservationEvent]
) -> None:
    assert list(allocation.decide(after(*before), ask).answer) == answer


def test_what_nobody_has_added_is_named_before_what_is_short() -> None:
    state = Allocation(items={CUPS: STOCKED, PLATES: item()})

    assert allocation.decide(state, reserve(cups=6)).answer == (refused("unknown_sku", PLATES),)


@pytest.mark.parametrize(("cups", "plates"), [(0, 1), (-1, 1), (2, 0)])
def test_an_order_for_less_than_one_unit_is_none(cups: int, plates: int) -> None:
    with pytest.raises(Refused, match="invalid_quantity"):
        allocation.decide(after(), reserve(cups, plates))


def test_an_order_without_lines_is_none() -> None:
    with pytest.raises(Refused, match="invalid_quantity"):
        allocation.decide(after(), replace(reserve(), quantities={}))


@pytest.mark.parametrize(
    ("asks", "cups", "plates"),
    [
        ([reserve()], (3, 2, 0), (4, 1, 0)),
        ([reserve(), RELEASE], (5, 0, 0), (5, 0, 0)),
        ([reserve(), LATE], (5, 0, 0), (5, 0, 0)),
        ([reserve(), COMMIT], (3, 0, 2), (4, 0, 1)),
        ([reserve(), COMMIT, RELEASE], (3, 0, 2), (4, 0, 1)),
        ([reserve(), COMMIT, RETURN], (5, 0, 0), (5, 0, 0)),
        ([reserve(), COMMIT, RETURN, RELEASE], (5, 0, 0), (5, 0, 0)),
        ([reserve(), RETURN], (3, 2, 0), (4, 1, 0)),
        ([reserve(), RETURN, RELEASE], (5, 0, 0), (5, 0, 0)),
        ([reserve(plates=6)], (5, 0, 0), (5, 0, 0)),
        ([RELEASE, reserve()], (5, 0, 0), (5, 0, 0)),
    ],
)
def test_all_lines_move_or_none(
    asks: Sequence[Request], cups: tuple[int, int, int], plates: tuple[int, int, int]
) -> None:
    state = after(*asks)

    assert (units(state), units(state, PLATES)) == (cups, plates)


def test_the_moves_of_an_order_name_what_they_are_for() -> None:
    (cups,) = allocation.decide(after(), reserve()).moves[CUPS]
    (sold,) = allocation.decide(after(reserve()), COMMIT).moves[CUPS]
    (freed,) = allocation.decide(after(reserve()), RELEASE).moves[CUPS]
    (back,) = allocation.decide(after(reserve(), COMMIT), RETURN).moves[CUPS]

    assert cups == UnitsReserved(sku=CUPS, order_id=ORDER, quantity=2, expires_at=UNTIL, reserved_at=NOW)
    assert sold == UnitsCommitted(sku=CUPS, order_id=ORDER, quantity=2, committed_at=NOW)
    assert freed == UnitsReleased(sku=CUPS, order_id=ORDER, quantity=2, released_at=NOW)
    assert back == UnitsReturned(sku=CUPS, order_id=ORDER, quantity=2, returned_at=NOW)


class Shop:
    """Several orders at one stock: each has a reservation of its own, the items are everybody's."""

    def __init__(self) -> None:
        self.reservations: dict[UUID, Reservation] = {}
        self.items = {
            sku: item(StockItemAdded(sku=sku, name=sku, added_by=STAFF, added_at=NOW)) for sku in (CUPS, PLATES)
        }
        self.received: Counter[str] = Counter()
        self.answers: list[ReservationEvent] = []

    def hear(self, ask: Request | ReceiveUnits) -> None:
        if isinstance(ask, ReceiveUnits):
            for event in stock_item.decide(self.items[ask.sku], ask):
                self.items[ask.sku] = stock_item.evolve(self.items[ask.sku], event)
                self.received[ask.sku] += ask.quantity
            return
        state = Allocation(self.reservations.get(ask.order_id, reservation.INITIAL), self.items)
        decision = allocation.decide(state, ask)
        after = applied(state, decision)
        self.reservations[ask.order_id], self.items = after.reservation, dict(after.items)
        self.answers += decision.answer

    def check(self) -> None:
        for sku, each in self.items.items():
            assert min(each.free, each.reserved, each.sold) >= 0
            assert each.free + each.reserved + each.sold == self.received[sku]
            assert each.reserved == self._of(sku, "held")
            assert each.sold == self._of(sku, "sold")

    def _of(self, sku: str, standing: str) -> int:
        lines = [line for each in self.reservations.values() if each.standing == standing for line in each.lines]
        return sum(line.quantity for line in lines if line.sku == sku)


orders = st.sampled_from([UUID(int=number) for number in range(10, 14)])
times = st.sampled_from([NOW, UNTIL, UNTIL + LIFETIME])
quantities = st.dictionaries(st.sampled_from([CUPS, PLATES]), st.integers(1, 4), min_size=1)
reserves = st.builds(
    lambda order, wanted, at: Reserve(order_id=order, quantities=wanted, expires_at=at + LIFETIME, at=at),
    orders,
    quantities,
    times,
)
others = st.builds(
    lambda kind, order, at: kind(order_id=order, at=at),
    st.sampled_from([Release, Commit, Return, Expire]),
    orders,
    times,
)
receipts = st.builds(receive, st.integers(1, 5), st.sampled_from([CUPS, PLATES]), st.integers(1, 40))
# A quantity follows from its receipt here: another one would be refused.
asks = st.lists(
    reserves | others | receipts.map(lambda ask: replace(ask, quantity=1 + ask.receipt_id.int % 5)), max_size=60
)


@settings(max_examples=300)
@given(asks)
def test_no_unit_is_lost_or_owed_in_any_order_of_requests(asks: Iterable[Request | ReceiveUnits]) -> None:
    shop = Shop()

    for ask in asks:
        shop.hear(ask)
        shop.check()


@settings(max_examples=300)
@given(asks)
def test_an_order_hears_each_answer_once(asks: Iterable[Request | ReceiveUnits]) -> None:
    shop = Shop()

    for ask in asks:
        shop.hear(ask)

    heard = Counter((each.order_id, type(each), getattr(each, "reason", "")) for each in shop.answers)
    assert all(count == 1 or of[1] is StockCommitRefused for of, count in heard.items())


@settings(max_examples=300)
@given(asks)
def test_whatever_was_asked_before_releasing_and_returning_leaves_nothing_with_the_order(
    asks: Iterable[Request | ReceiveUnits],
) -> None:
    shop = Shop()
    for ask in asks:
        shop.hear(ask)

    for order in [UUID(int=number) for number in range(10, 14)]:
        for undo in (Return(order_id=order, at=NOW), Release(order_id=order, at=NOW)):
            shop.hear(undo)
        for late in (
            Reserve(order_id=order, quantities={CUPS: 1}, expires_at=UNTIL, at=NOW),
            Commit(order_id=order, at=NOW),
        ):
            shop.hear(late)

    shop.check()
    assert all(each.reserved == each.sold == 0 for each in shop.items.values())
