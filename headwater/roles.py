"""Run roles in this process until it is told to stop."""

import asyncio
import contextlib
import gc
import signal
from collections.abc import Collection, Coroutine, Iterator, Sequence
from typing import Any

import structlog
import uvicorn
import uvloop

from headwater.layout import is_open
from headwater.settings import Settings, secrets_of
from headwater.web import application
from headwater.wiring import House, build
from infra import crash_points, tracing
from infra.chores import run_chore
from infra.consumer import ConsumerRunner
from infra.feed import FeedRunner
from infra.health import TIMEOUT_S, Check, Health
from infra.logs import configure
from infra.member import backoff
from infra.metrics import watch_loop
from infra.outbox_metrics import watch_outbox
from infra.outbox_relay import OutboxRelay
from infra.recorder import RecorderRunner
from infra.server import LimitedHttp, LimitedSockets
from infra.transform import TransformRunner
from shared_kernel.errors import Unavailable
from shared_kernel.module import Feed, Module

SOCKET_PACKET_LIMIT = 65_536  # bytes
STOP_S = 10  # how long open requests may take after a stop
IDLE_S = 75  # longer than clients and proxies keep a connection, or a request now and then meets its end

log = structlog.get_logger()


class RoleEnded(RuntimeError):
    """A role's work ended by itself, which it never should."""


def run(settings: Settings, roles: Collection[str]) -> None:
    """Run the roles until SIGTERM or SIGINT; then drain, commit and leave. Raise what ended a role."""
    configure(settings.log_level, secrets=secrets_of(settings), roles=sorted(roles))
    if settings.otlp_endpoint:
        tracing.configure(settings.otlp_endpoint, settings.trace_ratio, roles)
    if settings.crash_at:
        crash_points.arm(settings.crash_at)
    try:
        with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
            runner.run(_run(settings, roles))
    finally:
        tracing.shutdown()


async def _run(settings: Settings, roles: Collection[str]) -> None:
    stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    house = build(settings)
    health = Health(tuple(sorted(roles)), checks(house), dispensable(house, roles), started=False)
    server = _Server(server_config(house, roles, health))
    gc.enable()  # `headwater run` has disabled it until all code is read
    serving = asyncio.create_task(server.serve())
    stopped = asyncio.create_task(stop.wait())
    work: list[asyncio.Task[None]] = []
    try:
        connecting = asyncio.create_task(_connected(house))
        await asyncio.wait([stopped, serving, connecting], return_when=asyncio.FIRST_COMPLETED)
        if not stop.is_set() and connecting.done():
            connecting.result()
            feeds = [FeedRunner(feed, house.kafka, house.codec) for feed in _feeds(house, roles)]
            running = (feed.run() for feed in feeds)
            work += [asyncio.create_task(each) for each in (watch_loop(), *_work(house, roles), *running)]
            # Nobody is let in whose session is over, and no socket comes before what it hears from has been reached.
            knowing = asyncio.create_task(_all_ready(feeds))
            await asyncio.wait([stopped, serving, knowing, *work], return_when=asyncio.FIRST_COMPLETED)
            knowing.cancel()
            _begin(house, roles)
            health.started = True
            _calm_the_collector()
            log.info("process.started", port=_bound(server) or settings.port)
        await _until_one_ends(stopped, [serving, *work])
    finally:
        connecting.cancel()
        health.stopping = True
        await _stop(house, roles, server, serving, work)
        log.info("process.stopped")


def _begin(house: House, roles: Collection[str]) -> None:
    for module in house.modules:
        if "web" in roles and module.begin and not house.gateway.is_forwarded(module.name):
            module.begin()


def _feeds(house: House, roles: Collection[str]) -> Iterator[Feed]:
    """Yield what the process reads for itself, from where it needs to begin."""
    if is_open(roles):
        yield from house.heard
    for module in house.modules:
        if module.feed and module.feed.name in roles:
            yield module.feed


async def _all_ready(feeds: Sequence[FeedRunner]) -> None:
    for each in feeds:
        await each.ready.wait()


async def _until_one_ends(stopped: "asyncio.Task[bool]", others: list["asyncio.Task[None]"]) -> None:
    done, _ = await asyncio.wait([stopped, *others], return_when=asyncio.FIRST_COMPLETED)
    for task in done - {stopped}:
        task.result()
        raise RoleEnded("the server or a role ended by itself")


async def _connected(house: House) -> None:
    """Connect, as often as it takes while the registry is away."""
    for pause in backoff():
        try:
            await house.start()
            return
        except Unavailable as error:
            log.warning("process.waiting", code=error.code, detail=error.detail)
            await asyncio.sleep(pause)


def _work(house: House, roles: Collection[str]) -> Iterator[Coroutine[Any, Any, None]]:
    """Yield what the roles do beside answering requests."""
    for module in house.modules:
        yield from _of_groups(house, module, roles)
        if module.has_outbox and "relay" in roles:
            yield OutboxRelay(house.databases[module.name], module.name, house.bulk).run()
            yield watch_outbox(house.databases[module.name], module.name)


def _of_groups(house: House, module: Module, roles: Collection[str]) -> Iterator[Coroutine[Any, Any, None]]:
    for consumer in module.consumers:
        if consumer.group in roles:
            yield ConsumerRunner(consumer, house.broker, house.codec, house.groups[module.name], house.bulk).run()
    for transform in module.transforms:
        if transform.group in roles:
            yield TransformRunner(transform, house.kafka, house.codec).run()
    if module.recorder and module.recorder.group in roles:
        groups = house.groups[module.name]
        yield RecorderRunner(module.recorder, house.broker, house.codec, groups, house.bulk).run()
    for chore in module.chores:
        if chore.group in roles:
            yield run_chore(chore)


async def _stop(
    house: House,
    roles: Collection[str],
    server: uvicorn.Server,
    serving: "asyncio.Task[None]",
    work: list["asyncio.Task[None]"],
) -> None:
    for module in house.modules:
        if module.feed and module.feed.name in roles and module.drain:
            await module.drain()
    server.should_exit = True
    await asyncio.wait([serving])
    for task in work:
        task.cancel()
    if work:
        await asyncio.wait(work)
    await house.close()


def checks(house: House) -> dict[str, Check]:
    """Return what readiness asks, by name."""

    async def kafka() -> None:
        await house.commands.ping(TIMEOUT_S)

    async def postgres() -> None:
        await asyncio.gather(*(database.ping() for database in house.databases.values()))

    return {"kafka": kafka, "postgres": postgres}


def dispensable(house: House, roles: Collection[str]) -> dict[str, Check]:
    """Return what readiness tells of and does not need, by name."""
    return {"redis": house.redis.check} if house.redis and is_open(roles) else {}


def server_config(house: House, roles: Collection[str], health: Health) -> uvicorn.Config:
    """Return how the process serves its port."""
    return uvicorn.Config(
        application(house, roles, health),
        host=house.settings.host,
        port=house.settings.port,
        loop="none",
        http=LimitedHttp,
        ws=LimitedSockets,
        ws_per_message_deflate=False,
        ws_max_size=SOCKET_PACKET_LIMIT,
        ws_ping_interval=None,  # Engine.IO pings by itself
        lifespan="off",
        log_config=None,
        access_log=False,
        server_header=False,
        proxy_headers=False,  # the application does that (infra/proxies.py)
        timeout_graceful_shutdown=STOP_S,
        timeout_keep_alive=IDLE_S,
        backlog=4096,
    )


def _bound(server: uvicorn.Server) -> int | None:
    """Return the port that was asked for as 0, once it is known."""
    sockets = [socket for each in getattr(server, "servers", ()) for socket in each.sockets]
    return int(sockets[0].getsockname()[1]) if sockets else None


class _Server(uvicorn.Server):
    """Signals are for the whole process, not for its server."""

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield


def _calm_the_collector() -> None:
    """What start-up made lives for ever; without this every full collection walks it (docs/adr/0006)."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(100_000, 50, 1000)
