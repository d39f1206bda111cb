"""Compare what became of orders, stock and money with what was promised. It shares no code with what it judges.

An order's name is the unit price of its first line, which no other order has: so a request and its order find each other.
"""

from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import chain

from tests.crash.checker import Naming, Violation, acknowledged, positions
from tests.crash.evidence import Event, Partition, Row
from tests.crash.history import Operation

TOPICS = ("orders", "stock", "reservations", "payments", "order-commands", "stock-commands", "payment-commands")
GROUPS = ("sagas", "ordering.commands", "ordering.orders", "inventory.commands", "inventory.stock", "payments.commands")
KEPT = ("confirmed", "shipped")  # the goods are sold and the money is ours
SETTLED = (*KEPT, "rejected", "cancelled", "returned")
REFUNDED = ("cancelled", "returned")
# Where an event takes an order from which status; any other pair is not to be.
WAYS = {
    ("placed", "OrderCancellationRequested"): "cancelling",
    ("placed", "OrderConfirmed"): "confirmed",
    ("cancelling", "OrderConfirmed"): "confirmed",
    ("placed", "OrderRejected"): "rejected",
    ("cancelling", "OrderRejected"): "rejected",
    ("confirmed", "OrderShipped"): "shipped",
    ("confirmed", "OrderCancelled"): "cancelled",
    ("shipped", "OrderReturned"): "returned",
}
ANSWERS = {
    "ReserveStock": ("StockReserved", "StockRefused"),
    "ReleaseStock": ("StockReleased",),
    "CommitStock": ("StockCommitted", "StockCommitRefused"),
    "ReturnStock": ("StockReturned",),
    "AuthorizePayment": ("PaymentAuthorized", "PaymentDeclined"),
    "VoidPayment": ("PaymentVoided",),
    "CapturePayment": ("PaymentCaptured", "PaymentCaptureDeclined"),
    "RefundPayment": ("PaymentRefunded",),
    "ConfirmOrder": ("OrderConfirmed",),
    "RejectOrder": ("OrderRejected",),
}
# How an event moves units: free, reserved, sold.
MOVES = {
    "StockReceived": (1, 0, 0),
    "UnitsReserved": (-1, 1, 0),
    "UnitsReleased": (1, -1, 0),
    "UnitsCommitted": (0, -1, 1),
    "UnitsReturned": (1, 0, -1),
}
NAMING: tuple[Naming, ...] = (
    ("place", "OrderPlaced", lambda event: str(event.data["lines"][0]["unit_price_minor"])),
    ("ship", "OrderShipped", lambda event: str(event.data["tracking_code"])),
    ("return", "OrderReturned", lambda event: str(event.data["reason"])),
    ("receive", "StockReceived", lambda event: f"receive {event.data['quantity']}"),
)
CANCELS = ("OrderCancellationRequested", "OrderCancelled")


@dataclass(slots=True, kw_only=True)
class OrdersEvidence:
    """Everything the checker judges by, read when nothing was at work any more. Ids are text."""

    operations: list[Operation]
    events: list[Event]  # and commands; each partition in its order
    ends: dict[Partition, int]
    stored: list[Row]  # context, stream, version and id of all event stores, by stream and version
    waiting: int  # rows of all outboxes
    positions: list[Row]
    dead: list[Row]
    ledger: list[Row]  # of the provider, what it did: order_id, step, amount_minor, currency; in its order
    sagas: list[Row]  # definition, key, phase, parked
    orders: list[Row]  # the read models, by SQL
    stock: list[Row]
    payments: list[Row]
    shown: dict[str, Row]  # order → as REST shows it to its buyer


@dataclass(slots=True)
class Order:
    """An order as its topic tells it."""

    placed: Event
    status: str = "placed"
    steps: list[str] = field(default_factory=list)  # types of the events after the first

    @property
    def lines(self) -> dict[str, int]:
        return {line["sku"]: line["quantity"] for line in self.placed.data["lines"]}

    @property
    def total(self) -> int:
        return int(self.placed.data["total_minor"])


def check_orders(evidence: OrdersEvidence) -> list[Violation]:
    """Return every broken promise, none when all were kept."""
    events = once(evidence.events)
    orders = told(events)
    checks = (
        _asked(evidence.operations, events),
        _ways(orders, events),
        _commands(events),
        _units(orders, events),
        _stock(orders, events, evidence.stock),
        _money(orders, evidence.ledger),
        _payments(events, evidence.ledger, evidence.payments),
        _sagas(orders, evidence.sagas),
        _stores(events, evidence.stored),
        _orders(orders, evidence.orders, evidence.shown),
        positions(evidence.positions, evidence.ends, GROUPS),
        (Violation("dead", f"{row}") for row in evidence.dead),
        (Violation("unfinished", f"outboxes: {n} row(s)") for n in (evidence.waiting,) if n),
    )
    return list(chain.from_iterable(checks))


def once(events: Sequence[Event]) -> list[Event]:
    """Return the records without those that come again under their id, which say nothing new."""
    first: dict[str, Event] = {}
    for event in events:
        first.setdefault(event.id, event)
    return list(first.values())


def told(events: Sequence[Event]) -> dict[str, Order]:
    """Return order id → what its topic says of it; an event that may not follow is left to `_ways`."""
    orders: dict[str, Order] = {}
    for event in events:
        if event.topic != "orders":
            continue
        if event.type == "OrderPlaced":
            orders.setdefault(event.key, Order(event))
        elif order := orders.get(event.key):
            order.steps.append(event.type)
            order.status = WAYS.get((order.status, event.type), order.status)
    return orders


def _asked(operations: Sequence[Operation], events: Sequence[Event]) -> Iterator[Violation]:
    """What was acknowledged happened, once, and nothing that nobody asked for. A cancellation may be told by two events."""
    yield from acknowledged(operations, events, NAMING)
    asked = {each.name: each for each in operations if each.kind == "cancel"}
    times: dict[str, Counter[str]] = defaultdict(Counter)
    for event in events:
        if event.type in CANCELS:
            times[event.data["reason"]][event.type] += 1
    for name, operation in asked.items():
        if operation.outcome == "ok" and not times[name]:
            yield Violation("lost", f"topic: {operation}")
        if operation.outcome == "fail" and times[name]:
            yield Violation("phantom", f"topic: {operation}")
    yield from (Violation("phantom", f"topic: {name}") for name in times if name not in asked)
    yield from (
        Violation("doubled", f"topic: {name}, {found}")
        for name, found in times.items()
        if max(found.values(), default=0) > 1
    )


def _ways(orders: Mapping[str, Order], events: Sequence[Event]) -> Iterator[Violation]:
    """Every order was confirmed or rejected, not both, and went no way that there is not."""
    for id_, order in orders.items():
        if {"OrderConfirmed", "OrderRejected"} <= {*order.steps}:
            yield Violation("both", f"order {id_}: {order.steps}")
        if order.status not in SETTLED:
            yield Violation("unfinished", f"order {id_} is {order.status}")
        status = "placed"
        for step in order.steps:
            if (status, step) not in WAYS:
                yield Violation("wrong", f"order {id_}: {step} while {status}")
            status = WAYS.get((status, step), status)
        if "OrderCancellationRequested" in order.steps and order.status in KEPT:
            yield Violation("wrong", f"order {id_} is {order.status} although its cancellation was asked for in time")
    known = {event.key for event in events if event.type == "OrderPlaced"}
    for event in events:
        if event.topic == "orders" and event.key not in known:
            yield Violation("phantom", f"{event.type} of order {event.key}, which nobody placed")


def _commands(events: Sequence[Event]) -> Iterator[Violation]:
    """Every command was answered, once however often it was asked, and nothing was answered that was not asked."""
    asked: set[tuple[str, str]] = set()
    answered: Counter[tuple[str, str]] = Counter()
    command_of = {answer: command for command, answers in ANSWERS.items() for answer in answers}
    for event in events:
        if event.type in ANSWERS:
            asked.add((event.key, event.type))
        elif event.type in command_of and event.data.get("reason") != "expired":
            answered[event.key, command_of[event.type]] += 1
    yield from (Violation("unfinished", f"{each} was not handled") for each in sorted(asked) if not answered[each])
    yield from (Violation("phantom", f"{each} was answered, not asked") for each in sorted(answered.keys() - asked))
    yield from (Violation("doubled", f"{each} was answered {n} times") for each, n in answered.items() if n > 1)


def _units(orders: Mapping[str, Order], events: Sequence[Event]) -> Iterator[Violation]:
    """What moved for an order are its lines, each move once; in the end it has what was kept, and nothing is held for it."""
    held: dict[tuple[str, str], list[int]] = defaultdict(lambda: [0, 0, 0])
    times: Counter[tuple[str, str, str]] = Counter()
    for event in events:
        if event.topic != "stock" or event.type not in MOVES or event.type == "StockReceived":
            continue
        order_id, sku, quantity = event.data["order_id"], event.data["sku"], event.data["quantity"]
        times[order_id, sku, event.type] += 1
        held[order_id, sku] = moved(held[order_id, sku], event)
        order = orders.get(order_id)
        if order is None or order.lines.get(sku) != quantity:
            yield Violation(
                "stock", f"{event.type} of {quantity} {sku} for order {order_id}, which did not ask for that"
            )
    yield from (Violation("doubled", f"units: {each} {n} times") for each, n in times.items() if n > 1)
    for id_, order in orders.items():
        for sku, quantity in order.lines.items():
            _, reserved, sold = held[id_, sku]
            wanted = quantity if order.status in KEPT else 0
            if (reserved, sold) != (0, wanted):
                yield Violation("stock", f"{order.status} order {id_} holds {reserved} and was sold {sold} of {sku}")


def moved(counts: Sequence[int], event: Event) -> list[int]:
    """Return free, reserved and sold units after the event."""
    return [count + sign * event.data["quantity"] for count, sign in zip(counts, MOVES[event.type], strict=True)]


def _stock(orders: Mapping[str, Order], events: Sequence[Event], rows: Sequence[Row]) -> Iterator[Violation]:
    """There was never less than nothing; what came in is free or sold to orders that were kept; the list says so, too."""
    counts: dict[str, list[int]] = defaultdict(lambda: [0, 0, 0])
    received: Counter[str] = Counter()
    for event in events:
        if event.topic != "stock" or event.type not in MOVES:
            continue
        sku = event.data["sku"]
        counts[sku] = moved(counts[sku], event)
        received[sku] += event.data["quantity"] if event.type == "StockReceived" else 0
        if min(counts[sku]) < 0:
            yield Violation("stock", f"{sku}: {counts[sku]} after {event}")
    sold: Counter[str] = Counter()
    for order in orders.values():
        sold.update(order.lines if order.status in KEPT else {})
    listed = {row["sku"]: row for row in rows}
    for sku in counts.keys() | listed.keys():
        row = listed.get(sku)
        shown = [row["free"], row["reserved"], row["sold"]] if row else None
        if shown != counts[sku]:
            yield Violation("wrong", f"stock of {sku} is listed as {shown}, the topic says {counts[sku]}")
        if shown and (sum(shown) != received[sku] or shown[2] != sold[sku]):
            yield Violation("stock", f"{sku}: {shown}, of {received[sku]} received and {sold[sku]} in kept orders")


@dataclass(slots=True)
class Account:
    """What the provider did for one order, in minor units."""

    authorize: int = 0
    capture: int = 0
    void: int = 0
    refund: int = 0


def accounts(ledger: Sequence[Row]) -> dict[str, Account]:
    """Return order id → what was done for it altogether."""
    found: dict[str, Account] = defaultdict(Account)
    for row in ledger:
        account = found[row["order_id"]]
        setattr(account, row["step"], getattr(account, row["step"]) + row["amount_minor"])
    return dict(found)


def _money(orders: Mapping[str, Order], ledger: Sequence[Row]) -> Iterator[Violation]:
    """The provider did every step of an order once at most; it took, and has not given back, what kept orders cost."""
    times = Counter((row["order_id"], row["step"]) for row in ledger)
    yield from (Violation("doubled", f"provider: {each} {n} times") for each, n in times.items() if n > 1)
    found = accounts(ledger)
    for row in ledger:
        order = orders.get(row["order_id"])
        if order is None or row["currency"] != order.placed.data["currency"]:
            yield Violation("phantom", f"provider: {row}")
    for id_, order in orders.items():
        account = found.get(id_, Account())
        if account.capture - account.refund != (order.total if order.status in KEPT else 0):
            yield Violation("money", f"{order.status} order {id_} of {order.total}: {account}")
        if account.authorize not in (0, order.total) or account.capture not in (0, order.total):
            yield Violation("money", f"order {id_} costs {order.total}: {account}")
        if account.authorize and not (account.capture or account.void):
            yield Violation("money", f"{order.status} order {id_}: {account.authorize} is still held")
        if account.refund > account.capture or account.capture > account.authorize:
            yield Violation("money", f"order {id_}: {account}")


def _payments(events: Sequence[Event], ledger: Sequence[Row], rows: Sequence[Row]) -> Iterator[Violation]:
    """What the payments' topic and list say is what the provider did."""
    by_provider = {id_: (each.authorize, each.capture, each.refund) for id_, each in accounts(ledger).items()}
    by_topic: dict[str, list[int]] = defaultdict(lambda: [0, 0, 0])
    places = {"PaymentAuthorized": 0, "PaymentCaptured": 1, "PaymentRefunded": 2}
    for event in events:
        if event.type in places:
            by_topic[event.key][places[event.type]] += event.data["amount_minor"]
    for id_ in by_topic.keys() | by_provider.keys():
        if tuple(by_topic[id_]) != by_provider.get(id_, (0, 0, 0)):
            yield Violation(
                "money", f"order {id_}: the topic says {by_topic[id_]}, the provider {by_provider.get(id_)}"
            )
    listed = {row["order_id"]: (row["captured_minor"], row["refunded_minor"]) for row in rows}
    for id_ in {event.key for event in events if event.topic == "payments"} | listed.keys():
        if listed.get(id_) != tuple(by_topic[id_][1:]):
            yield Violation("wrong", f"payment of {id_} is listed as {listed.get(id_)}, the topic says {by_topic[id_]}")


def _sagas(orders: Mapping[str, Order], rows: Sequence[Row]) -> Iterator[Violation]:
    """Each order was fulfilled or undone by one saga, and refunded by one if it was called off or came back; none is open."""
    found: dict[tuple[str, str], list[Row]] = defaultdict(list)
    for row in rows:
        found[row["definition"], row["key"]].append(row)
        if row["parked"]:
            yield Violation("unfinished", f"saga is parked: {row}")
    wanted = {}
    for id_, order in orders.items():
        wanted["order_fulfilment", id_] = "undone" if order.status == "rejected" else "done"
        if order.status in REFUNDED:
            wanted["order_refund", id_] = "done"
    for saga in wanted.keys() | found.keys():
        phases = [row["phase"] for row in found[saga]]
        if saga not in wanted:
            yield Violation("phantom", f"saga {saga}: {phases}")
        elif len(phases) != 1:
            yield Violation("doubled" if phases else "lost", f"saga {saga}: {phases}")
        elif phases[0] in ("running", "undoing"):
            yield Violation("unfinished", f"saga {saga}: {phases[0]}")
        elif phases[0] != wanted[saga]:
            yield Violation("both", f"saga {saga} is {phases[0]}, its order says {wanted[saga]}")


def _stores(events: Sequence[Event], stored: Sequence[Row]) -> Iterator[Violation]:
    """Each event store is on its topics: nothing left out, nothing else, each stream in one place and in its order."""
    on_topic = {event.id: event for event in events if not event.topic.endswith("-commands")}
    streams: dict[tuple[str, str], list[Row]] = defaultdict(list)
    for row in stored:
        streams[row["context"], row["stream"]].append(row)
    for stream, rows in streams.items():
        if [row["version"] for row in rows] != list(range(1, len(rows) + 1)):
            yield Violation("reordered", f"event store, {stream}: versions {[row['version'] for row in rows][:20]}")
        yield from (Violation("lost", f"topic: {row}") for row in rows if row["id"] not in on_topic)
        sent = [on_topic[row["id"]] for row in rows if row["id"] in on_topic]
        if len({(event.topic, event.partition, event.key) for event in sent}) > 1:
            yield Violation("reordered", f"topic: one stream in several places: {stream}")
        if (offsets := [event.offset for event in sent]) != sorted(offsets):
            yield Violation("reordered", f"topic: {stream} lies at {offsets}")
    ids = {row["id"] for row in stored}
    yield from (Violation("phantom", f"topic: {event}") for id_, event in on_topic.items() if id_ not in ids)


def _orders(orders: Mapping[str, Order], rows: Sequence[Row], shown: Mapping[str, Row]) -> Iterator[Violation]:
    """The list and REST say of every order what its topic says."""
    listed = {row["order_id"]: row for row in rows}
    if len(listed) < len(rows):
        yield Violation("doubled", f"orders: {len(rows)} rows of {len(listed)} orders")
    for where, found in (("list", listed), ("REST", shown)):
        yield from (Violation("lost", f"{where}: order {id_}") for id_ in orders.keys() - found.keys())
        yield from (Violation("phantom", f"{where}: order {id_}") for id_ in found.keys() - orders.keys())
        for id_ in orders.keys() & found.keys():
            wanted = (orders[id_].status, orders[id_].total, len(orders[id_].steps) + 1)
            row = found[id_]
            if (row["status"], row["total_minor"], row["version"]) != wanted:
                yield Violation("wrong", f"{where}: order {id_} is {row}, the topic says {wanted}")
