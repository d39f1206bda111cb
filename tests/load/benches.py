"""What is compared with what, and the goals."""

import asyncio
import sys
import tempfile
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path

from tests.load import converting, rendering_invoice
from tests.load.field import Field, Figures, Side, medians
from tests.load.posting import EMPTY, MESSAGES
from tests.load.reading import CACHED, PLAIN
from tests.redis_server import redis_server

GROWTH_MB = 48
GAIN = {"in the process": 1.5, "in Redis": 1.0}


@dataclass(frozen=True, slots=True)
class Scale:
    """How much each side does at most; two seconds end it, too (side.py)."""

    records: int = 200_000  # on the topic
    batches: int = 150_000
    lanes: int = 60_000
    faststream: int = 6_000
    faust: int = 20_000
    busy: int = 15_000
    busy_faststream: int = 1_500
    rows: int = 80_000
    relayed: int = 60_000
    seconds: float = 1.5  # of calls and requests
    clients: int = 1_000
    delivery_s: float = 5.0
    orders_s: float = 6.0
    converted: int = 100_000  # records, 29 MB of JSON; three tenths of them where a peer holds the document in memory
    invoices: int = 200
    asked_invoices: int = 40  # over HTTP
    large: int = 350_000  # records of a document of 100 MB
    pdf_rows: int = 22_000  # on 1,049 pages
    docx_rows: int = 5_000
    xlsx_rows: int = 100_000
    chat_s: float = 15.0  # with and without conversions
    warm_s: float = 6.0  # the broker's code is compiled meanwhile, at the cost of everybody else


@dataclass(frozen=True, slots=True)
class Line:
    """One goal: ours and the peer's figure, a second or in milliseconds, and what their ratio, or ours, has to be."""

    what: str
    peer: str
    ours_is: float
    peer_is: float | None
    value: float  # what the goal is about
    goal: float
    met: bool
    per_cpu_s: float | None = None  # the ratio of what each side does in a second of its own processor time
    note: str = ""

    def as_json(self) -> dict[str, object]:
        return asdict(self)


def at_least(goal: float, what: str, peer: str, ours: Figures, theirs: Figures, note: str = "") -> Line:
    """Return the line of a rate that has to be so many times the peer's, with no event handled out of order."""
    ratio = ours["rate"] / theirs["rate"]
    in_order = not ours.get("violations")
    cpu = ours["per_cpu_s"] / theirs["per_cpu_s"] if "per_cpu_s" in ours else None
    return Line(what, peer, ours["rate"], theirs["rate"], ratio, goal, ratio >= goal and in_order, cpu, note)


async def batch(field: Field, scale: Scale) -> list[Line]:
    """Batches beside the loop by hand."""
    ours, raw = await field.in_turn(
        Side("consuming.batches", {"wanted": scale.batches}), Side("consuming.raw_loop", {"wanted": scale.batches})
    )
    return [at_least(0.95, "batch handler", "raw client loop, commits at the broker", ours, raw)]


async def keyed(field: Field, scale: Scale) -> list[Line]:
    """One event a call with key order beside the frameworks."""
    ours, faststream, faust = await field.in_turn(
        Side("consuming.lanes", {"wanted": scale.lanes}),
        Side("faststream_peer.single", {"wanted": scale.faststream}),
        Side("faust_peer.events", {"wanted": scale.faust}),
    )
    what = "per-record handler, key order"
    return [
        at_least(30, what, "FastStream, single, ack after", ours, faststream),
        at_least(6, what, "Faust stream.events()", ours, faust),
    ]


async def waiting(field: Field, scale: Scale) -> list[Line]:
    """Handlers that wait for something outside."""
    busy_s = 0.005
    ours, faststream = await field.in_turn(
        Side("consuming.lanes", {"wanted": scale.busy, "busy_s": busy_s}),
        Side("faststream_peer.single", {"wanted": scale.busy_faststream, "workers": 6, "busy_s": busy_s}),
    )
    peer = "FastStream, ordered: a worker for each of 6 partitions"
    return [at_least(15, "5 ms handler, 100 keys", peer, ours, faststream)]


async def publish(field: Field, scale: Scale) -> list[Line]:
    """Awaited acknowledgements."""
    some = {"seconds": scale.seconds}
    ours, aiokafka = await field.in_turn(Side("producing.publishing", some), Side("producing.aiokafka", some))
    return [at_least(1.4, "awaited produce, 64 tasks", "aiokafka send_and_wait", ours, aiokafka)]


async def store(field: Field, scale: Scale) -> list[Line]:
    """Effects once beside COPY."""
    rows = {"wanted": scale.rows}
    ours, copy = await field.in_turn(Side("storing.once", rows), Side("storing.copy", rows))
    return [at_least(0.9, "Kafka to PostgreSQL, each once", "plain COPY, repeats not borne", ours, copy)]


async def append(field: Field, scale: Scale) -> list[Line]:
    """Group commit."""
    some = {"seconds": scale.seconds}
    ours, alone = await field.in_turn(Side("appending.together", some), Side("appending.alone", some))
    return [at_least(4.5, "append with expected version, 64 callers", "one statement each", ours, alone)]


async def relay(field: Field, scale: Scale) -> list[Line]:
    """From the outbox to the topic."""
    events = {"wanted": scale.relayed}
    ours, bare = await field.in_turn(Side("relaying.relaying", events), Side("relaying.bare", events))
    return [at_least(0.6, "relay, outbox to topic", "bare producer loop, records at hand", ours, bare)]


async def post(field: Field, scale: Scale) -> list[Line]:
    """The web role."""
    async with field.serving(Side("posting.serve")) as port:
        message, empty = await field.in_turn(
            *(
                Side("posting.post", {"port": port, "path": path, "seconds": scale.seconds})
                for path in (MESSAGES, EMPTY)
            )
        )
    note = f"p99 {message['p99_ms']:.0f} ms, empty {empty['p99_ms']:.0f} ms"
    return [at_least(0.7, "POST message, 64 connections", "empty handler, same server", message, empty, note)]


async def read(field: Field, scale: Scale) -> list[Line]:
    """Users by id."""
    with redis_server() as running:
        await running.start()
        kept: dict[str, Mapping[str, str]] = {"in the process": {}, "in Redis": {"redis_url": running.url}}
        lines = []
        for where, arguments in kept.items():
            async with field.serving(Side("reading.serve", arguments)) as port:
                some = {"port": port, "seconds": scale.seconds}
                cached, plain = await field.in_turn(
                    *(Side("reading.get", {**some, "path": path}) for path in (CACHED, PLAIN))
                )
            what = f"GET user, 64 connections, cached {where}"
            lines.append(at_least(GAIN[where], what, "the same from its events", cached, plain))
    return lines


async def deliver(field: Field, scale: Scale) -> list[Line]:
    """From POST to socket."""
    async with field.stack() as port:
        side = Side("delivering.end_to_end", {"port": port, "per_second": 200, "seconds": scale.delivery_s})
        await field.turn(Side(side.name, {**side.arguments, "seconds": scale.warm_s}))
        took = await field.turn(side)
    note = f"p50 {took['p50_ms']:.1f} ms, max {took['max_ms']:.0f} ms"
    p99, goal = took["p99_ms"], 25
    return [Line("POST to socket at 200/s, p99 ms", "none", p99, None, p99, goal, p99 < goal, note=note)]


async def orders(field: Field, scale: Scale) -> list[Line]:
    """From POST to confirmation."""
    async with field.stack() as port:
        took = await field.turn(Side("ordering.through_the_saga", {"port": port, "seconds": scale.orders_s}))
    placed = {"rate": took["placed_rate"]}
    times = took["p50_ms"] / took["answered_p50_ms"]
    note = f"p50 {took['p50_ms']:.0f} ms, p99 {took['p99_ms']:.0f} ms; p50 is {times:.0f} times the answer's"
    return [at_least(0.1, "orders through the saga, 16 buyers", "orders placed, not waited for", took, placed, note)]


async def fan_out(field: Field, scale: Scale) -> list[Line]:
    """One event to many sockets."""
    clients, figures = scale.clients, dict[str, list[Figures]]()
    for name in ("ours", "stock"):
        async with field.serving(Side(f"fanning_out.{name}")) as port:
            some = {"port": port, "clients": clients, "seconds": scale.seconds}
            figures[name] = await field.in_turn(
                Side("fanning_out.saturated", {**some, "window": 32}),
                Side("fanning_out.saturated", {**some, "window": 1}),
                Side("fanning_out.paced", {**some, "per_second": 20}),
            )
    peer, lines = "python-socketio as it comes", []
    for what, ours, theirs in zip(("32 on their way", "one by one", "20 a second"), *figures.values(), strict=True):
        goal = {"32 on their way": 20.0, "one by one": 5.0, "20 a second": 4.0}[what]
        gain = theirs["us_per_delivery"] / ours["us_per_delivery"]
        note = f"p99 {ours['p99_ms']:.0f} and {theirs['p99_ms']:.0f} ms; {ours['rate']:,.0f} and {theirs['rate']:,.0f} a second"
        title = f"event to {clients} sockets, {what}, µs of CPU each"
        lines.append(
            Line(title, peer, ours["us_per_delivery"], theirs["us_per_delivery"], gain, goal, gain >= goal, note=note)
        )
    (ours, *_), (theirs, *_) = figures.values()
    for what, name, goal in (("KB of a socket", "kb_per_connection", 3.0), ("µs of CPU to connect", "connect_us", 1.5)):
        gain = theirs[name] / ours[name]
        lines.append(Line(what, peer, ours[name], theirs[name], gain, goal, gain >= goal))
    return lines


async def signing_in(field: Field, scale: Scale) -> list[Line]:
    """Accounts."""
    some = {"seconds": scale.seconds}
    ours, bare = await field.in_turn(Side("signing_in.verifying", some), Side("signing_in.bare_decoding", some))
    verify = at_least(0.8, "verify an access token", "jwt.decode with the key at hand", ours, bare)
    ours, bare = await field.in_turn(Side("signing_in.logins", some), Side("signing_in.bare_hashing", some))
    return [verify, at_least(0.8, "sign in", "argon2-cffi, the comparison alone", ours, bare)]


async def convert(field: Field, scale: Scale) -> list[Line]:
    """Documents on the command line."""
    lines = []
    with tempfile.TemporaryDirectory() as directory:
        few, some, many = (
            converting.written(Path(directory), max(2, scale.converted * parts // 1000)) for parts in (1, 300, 1000)
        )
        for pair in converting.PAIRS:
            lines += await asyncio.to_thread(
                _beside_peers, pair, few, many if "csv" in (pair.read, pair.write) else some, field.turns
            )
        for pair in converting.PAIRS[:3]:
            lines.append(await asyncio.to_thread(_growth, pair, few, many))
    return lines


def _beside_peers(pair: converting.Pair, few: Path, many: Path, turns: int) -> list[Line]:
    peers = [peer for peer in pair.peers if converting.is_installed(peer)]
    for peer in pair.peers:
        if peer not in peers:
            print(f"not compared with {peer.title}: {peer.package} is not installed", file=sys.stderr)
    read = [converting.converted(each, pair.read) for each in (few, many)]
    ours, *others = converting.compared(read[0], read[1], pair, peers, turns)
    what = f"{pair.title}, MB"
    return [
        at_least(
            peer.goal,
            what,
            peer.title,
            ours,
            theirs,
            f"{ours['memory_mb']:.0f} and {theirs['memory_mb']:.0f} MB of memory",
        )
        for peer, theirs in zip(peers, others, strict=True)
    ]


def _growth(pair: converting.Pair, few: Path, many: Path) -> Line:
    before, after = (
        converting.ours(converting.converted(each, pair.read), pair.write)["memory_mb"] for each in (few, many)
    )
    what = f"{pair.read} to {pair.write}: MB of memory more than for few records"
    grown = after - before
    return Line(what, "none", grown, None, grown, GROWTH_MB, grown < GROWTH_MB)


async def invoice(field: Field, scale: Scale) -> list[Line]:
    """Two pages, warm."""
    lines = []
    for what, tagged, goal in (("quick engine", False, 25.0), ("a-3b and ua-1", True, 60.0)):
        turns = [
            await asyncio.to_thread(rendering_invoice.took, scale.invoices, tagged=tagged) for _ in range(field.turns)
        ]
        found = medians(turns)
        p50, note = (
            found["p50_ms"],
            f"p95 {found['p95_ms']:.0f} ms, processor {found['cpu_ms']:.0f} ms; fresh {found['fresh_ms']:.0f}",
        )
        lines.append(Line(f"invoice of 2 pages, {what}: p50 ms", "none", p50, None, p50, goal, p50 < goal, note=note))
    return lines


BENCHES: Mapping[str, Callable[[Field, Scale], Awaitable[list[Line]]]] = {
    each.__name__: each
    for each in (
        batch,
        keyed,
        waiting,
        store,
        publish,
        append,
        relay,
        post,
        read,
        deliver,
        orders,
        fan_out,
        signing_in,
        convert,
        invoice,
    )
}
READING = {"batch", "keyed", "waiting", "store"}  # what needs records on the topic
