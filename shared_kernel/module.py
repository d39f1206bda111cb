"""What a bounded context shows at its door: topics, consumers, HTTP routes, sockets."""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager, nullcontext
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any, TypeVar

from shared_kernel.events import Event, Recorded
from shared_kernel.records import Record

E = TypeVar("E", bound=Event)

Offsets = Mapping[str, Mapping[int, int]]  # topic → partition → next offset to read


@dataclass(frozen=True, slots=True)
class Topic:
    """A topic the context owns. Partitions and compaction of an existing topic are verified, never changed."""

    name: str
    partitions: int = 6
    retention: timedelta | None = None  # None: for ever, because read models are rebuilt from it
    compacted: bool = False
    record_bytes: int | None = None  # of the largest record; None: what the broker takes


@dataclass(frozen=True, slots=True)
class Handler:
    """A function that hears one type of event."""

    event: type[Event]
    call: Callable[[Any], Awaitable[object]]
    batch: bool  # whether it takes a sequence of consecutive events of this type


def on(event: type[E], handle: Callable[[E], Awaitable[object]]) -> Handler:
    """Pair an event with the function that hears it, one event a call."""
    return Handler(event, handle, batch=False)


def turn(event: type[E], handle: Callable[[E], Awaitable[Sequence[Event]]]) -> Handler:
    """Pair an event with the function that returns what it turns into, in order; it may be nothing."""
    return Handler(event, handle, batch=False)


def on_batch(event: type[E], handle: Callable[[Sequence[E]], Awaitable[object]]) -> Handler:
    """Pair an event with a function that takes consecutive ones together, in order; one event may be in there twice. A function
    that is paired with several events takes them together, too."""
    return Handler(event, handle, batch=True)


@dataclass(frozen=True, slots=True)
class Count:
    """A business figure: what each event that a group has handled adds to the counter `headwater_<name>_total`."""

    name: str
    help: str
    event: type[Event]
    of: Callable[[Any], int] = lambda _: 1


@dataclass(frozen=True, slots=True)
class Consumer:
    """A consumer group: its members share the partitions. Effects in the context's database happen once.

    `group` is also the role's name; renaming it reads its topics from the beginning again."""

    group: str
    handlers: tuple[Handler, ...]
    does: str = "consumer group"  # in a few words, for `headwater roles`
    # How many keys may be handled at once, one event of each at a time, at least once: for handlers that wait for something
    # outside. 0: whole batches, their effects in one transaction with the group's position.
    lanes: int = 0
    # Whether handlers in lanes are cancelled when their partition goes or the process stops, to be called again by whoever has
    # it next: for work of minutes, which neither a rebalance nor a stop can wait for.
    is_interruptible: bool = False
    batch_size: int = 1000  # records handled together at most
    batch_wait: timedelta = timedelta()  # how long to wait for more of them
    # Whether the next events of a dead letter's key wait behind it, as dead letters, until it is redriven or discarded;
    # otherwise they go on.
    parks: bool = False
    # The context's tables that follow from the events alone: `headwater rebuild` makes them anew and switches to them.
    # Handlers name them without a schema, and write nothing else but by ids.
    read_model: tuple[str, ...] = ()
    # What encloses the handling of a batch, in its transaction and told all its events: to load, lock and store for all of them
    # at once. A dead letter that is redriven is handled without it.
    together: Callable[[Sequence[Any]], AbstractAsyncContextManager[object]] = nullcontext
    has_outside_effects: bool = False  # mail, push: what nobody can take back, so that a replay has to be meant
    counts: tuple[Count, ...] = ()

    def __post_init__(self) -> None:
        if self.lanes and any(handler.batch for handler in self.handlers):
            raise ValueError(f"{self.group}: lanes handle one event at a time, an `on_batch` handler takes several")
        if self.is_interruptible and not self.lanes:
            raise ValueError(f"{self.group}: a batch is handled whole; what may be interrupted takes lanes")
        if self.lanes and self.together is not nullcontext:
            raise ValueError(f"{self.group}: lanes have no batches that could be enclosed")

    @property
    def topics(self) -> tuple[str, ...]:
        """Return what it subscribes to, in order."""
        return tuple(sorted({handler.event.TOPIC for handler in self.handlers}))


@dataclass(frozen=True, slots=True)
class Transform:
    """A consumer group that turns events into events, exactly once: what its handlers return and the group's position are
    one Kafka transaction per batch. Its handlers have no effects of their own; readers of what they return have to read
    committed records only."""

    group: str
    handlers: tuple[Handler, ...]
    batch_size: int = 500  # records handled together at most; smaller ones pay for more transactions
    does: str = "turns events into events"

    @property
    def topics(self) -> tuple[str, ...]:
        """Return what it subscribes to, in order."""
        return tuple(sorted({handler.event.TOPIC for handler in self.handlers}))


@dataclass(frozen=True, slots=True)
class Recorder:
    """A consumer group that takes every record of its topics undecoded, in the order of each partition, once.

    `group` is also the role's name, as with a `Consumer`."""

    group: str
    topics: tuple[str, ...]
    keep: Callable[[Sequence[Record]], Awaitable[None]]  # of one partition; in the transaction that moves the position
    every_minute: Callable[[], Awaitable[object]]  # awaited at the start and then again and again
    does: str = "keeps every record"


@dataclass(frozen=True, slots=True)
class Feed:
    """A role whose every process hears every event from its start on, without a group: what sockets need."""

    name: str
    events: tuple[type[Event], ...]
    deliver: Callable[[Sequence[Recorded]], Awaitable[None]]  # in order per key; raising ends the process's feed
    # Told where reading begins, then after each batch where it stands, and whether it has passed the ends it found.
    reached: Callable[[Offsets, bool], None]
    lookback: int = 0  # records of each partition, before its end, that a starting process reads again
    since: timedelta = timedelta()  # and those written within this time


@dataclass(frozen=True, slots=True)
class Chore:
    """What a context does by the clock: called at the start of each process of the group's role and then again and again.

    Several processes may be at it at once, and one may die in it: what it does it must do once all the same. What it
    raises is logged, and it is called again."""

    group: str  # a consumer group of the context
    does: str  # in a few words, for the log
    every: timedelta
    call: Callable[[], Awaitable[object]]


# Takes who asks and the payload; returns the ack's data. Raises `HeadwaterError`, or what the payload's parser raises.
SocketCommand = Callable[[Any, Any], Awaitable[Mapping[str, Any]]]


@dataclass(frozen=True, slots=True)
class Module:
    """One context's door."""

    name: str
    topics: tuple[Topic, ...] = ()
    consumers: tuple[Consumer, ...] = ()
    transforms: tuple[Transform, ...] = ()
    recorder: Recorder | None = None
    chores: tuple[Chore, ...] = ()
    feed: Feed | None = None
    router: object | None = None  # HTTP routes under /api/v1, served by role `web`
    # Paths under /api/v1 whose requests have bodies that are not held in memory → bytes that those may have.
    large_bodies: Mapping[str, int] = field(default_factory=dict)
    # The same of those whose larger bodies are held in memory, together with all others'.
    held_bodies: Mapping[str, int] = field(default_factory=dict)
    # The same, at paths of these, of bodies in lines (application/x-ndjson), which are not held.
    line_bodies: Mapping[str, int] = field(default_factory=dict)
    # Routes of older services, at their own paths, when they are switched on; served by the feed's role where there is one.
    compat_router: object | None = None
    feed_router: object | None = None  # routes under /api/v1 that only a process with the feed can answer
    # Routes at their own paths, which standards fix, and pages; served as `router` is.
    root_router: object | None = None
    graph: object | None = None  # its part of the GraphQL schema, which the gateway merges
    sockets: object | None = None  # ASGI application under /socket.io, served by the feed's role
    compat_sockets: object | None = None  # the same at /ws and /ws/public, for older clients, when they are switched on
    graph_sockets: object | None = None  # the same at /graphql, WebSockets only, for GraphQL subscriptions
    drain: Callable[[], Awaitable[None]] | None = None  # says good-bye to the sockets before the process ends
    begin: Callable[[], None] | None = (
        None  # makes ready what its routes need, in a process of role `web`; its loop runs
    )
    close: Callable[[], Awaitable[None]] | None = None  # lets go of its connections when the process ends
    socket_commands: Mapping[str, SocketCommand] = field(default_factory=dict)  # event name → what a client may ask
    socket_events: Mapping[str, str] = field(default_factory=dict)  # event name → what a client hears by it
    # The same in the namespaces of UI updates.
    ui_commands: Mapping[str, str] = field(default_factory=dict)
    ui_events: Mapping[str, str] = field(default_factory=dict)
    has_outbox: bool = False  # whether role `relay` empties an outbox of the context

    @property
    def groups(self) -> tuple[Consumer | Transform, ...]:
        """Return the context's consumer groups of either kind."""
        return (*self.consumers, *self.transforms)
