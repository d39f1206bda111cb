"""What a request pays on its way to a role: straight, mounted by the gateway, forwarded by it, forwarded by HAProxy.

`python -m tests.load.gatewaying` prints one table. The route takes a token and a body and does nothing, so that what is in
front of it shows. Sides are processes of their own and take turns; neither Kafka nor PostgreSQL is needed."""

import asyncio
import os
import sys
import tempfile
from collections.abc import AsyncIterator, Iterator
from contextlib import AsyncExitStack, asynccontextmanager
from itertools import repeat
from pathlib import Path
from statistics import median
from typing import Any
from uuid import uuid4

import uvloop
from fastapi import APIRouter

from bounded_contexts.messaging.adapters.bodies import NewMessageTo
from headwater import roles, wiring
from headwater.configured import shared_key_tokens
from headwater.environment import load
from headwater.offers import forwarding
from headwater.proxy_cli import configuration
from headwater.wiring import SHAPE
from infra.health import Health
from infra.http import SignedIn
from infra.local.ports import free_port
from infra.server import LimitedHttp
from shared_kernel.module import Module
from tests.load.http_client import connect, hammer, percentile, request
from tests.load.posting import EMPTY, body
from tests.probes import eventually
from tests.proxies import running

CONNECTIONS = (1, 64)
TURNS = 5
SECONDS = 2.0


class Straight(LimitedHttp):
    """The server without what the gateway added to it."""

    def _require_one_reading(self) -> None: ...


async def serve(port: int, upstream: str = "", mounted: bool = True) -> None:
    """Serve the empty route: from here, or from `upstream`; without anything of the gateway's if it is not `mounted`."""
    routes = APIRouter()

    @routes.post("/empty", status_code=202)
    async def empty(new: NewMessageTo, user: SignedIn) -> None:
        """Do nothing with what was parsed and verified."""

    house = wiring.build(SHAPE.model_copy(update={"port": port, "rate_limit_per_minute": 0}))
    house.modules += (Module("empty", router=routes),)
    if upstream:
        house.gateway = forwarding(house.settings.model_copy(update={"upstreams": {"empty": upstream}}), house.modules)
    config = roles.server_config(house, {"web"}, Health(("web",), {}))
    if not mounted:
        config.app = vars(config.app)["_app"]
        config.http = Straight
    roles._calm_the_collector()
    await roles._Server(config).serve()


@asynccontextmanager
async def served(port: int, *arguments: str) -> AsyncIterator[int]:
    """Run `serve` in a process of its own."""
    process = await asyncio.create_subprocess_exec(sys.executable, "-m", "tests.load.gatewaying", str(port), *arguments)

    async def listens() -> bool:
        assert process.returncode is None
        try:
            (await connect(port)).transport.close()
        except ConnectionError:
            return False
        return True

    try:
        await eventually(listens)
        yield port
    finally:
        process.terminate()
        await process.wait()


async def ask(port: int, connections: int, seconds: float) -> dict[str, float]:
    """Return how long an answer takes at so many connections, in milliseconds."""
    tokens = shared_key_tokens(SHAPE)
    opened = [await connect(port) for _ in range(connections)]
    asked: list[Iterator[bytes]] = []
    for _ in opened:
        user = uuid4()
        asked.append(repeat(request("POST", EMPTY, tokens.issue(user), body([str(user), str(uuid4())], "1"))))
    await hammer(opened, asked, 0.3)  # warm
    before = processor_s()
    took = await hammer(opened, asked, seconds)
    processor_ms = (processor_s() - before) / len(took) * 1000
    for each in opened:
        each.transport.close()
    return {"p50": percentile(took, 0.5) * 1000, "p99": percentile(took, 0.99) * 1000, "processor": processor_ms}


def processor_s() -> float:
    """Return the processor time that the sides' processes have had: those that are not asked have none of it."""
    children = Path(f"/proc/self/task/{os.getpid()}/children").read_text().split()
    stats = (Path(f"/proc/{child}/stat").read_text().rpartition(")")[2].split() for child in children)
    return sum(int(each[11]) + int(each[12]) for each in stats) / os.sysconf("SC_CLK_TCK")


async def main() -> None:
    """Measure and print."""
    async with AsyncExitStack() as stack:
        straight = await stack.enter_async_context(served(free_port(), "straight"))
        mounted = await stack.enter_async_context(served(free_port()))
        url = f"http://127.0.0.1:{mounted}"
        forwarded = await stack.enter_async_context(served(free_port(), url))
        port = free_port()
        directory = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        everything = configuration(load({"HEADWATER_UPSTREAM_REALTIME": url}), "haproxy", url, port)
        unchecked = everything.replace(" check\n", "\n")  # no side has the servers that it would need to be ready
        await stack.enter_async_context(running("haproxy", unchecked, port, directory))
        sides = {"straight": straight, "mounted": mounted, "forwarded": forwarded, "HAProxy": port}
        print(
            "| Connections | Way | p50 ms | p99 ms | p50 to straight | processor ms | to straight |\n"
            + "|---" * 7
            + "|"
        )
        for connections in CONNECTIONS:
            found: dict[str, list[dict[str, float]]] = {name: [] for name in sides}
            for _ in range(TURNS):
                for name, at in sides.items():
                    found[name].append(await ask(at, connections, SECONDS))
            middle = {
                name: {what: median(each[what] for each in turns) for what in turns[0]} for name, turns in found.items()
            }
            for name, each in middle.items():
                ratios = {what: each[what] / middle["straight"][what] for what in each}
                print(
                    f"| {connections} | {name} | {each['p50']:.2f} | {each['p99']:.2f} | {ratios['p50']:.2f} "
                    f"| {each['processor']:.2f} | {ratios['processor']:.2f} |"
                )


if __name__ == "__main__":
    given: list[Any] = sys.argv[1:]
    if given:
        upstream = given[1] if len(given) > 1 and given[1] != "straight" else ""
        uvloop.run(serve(int(given[0]), upstream, "straight" not in given))
    else:
        uvloop.run(main())
