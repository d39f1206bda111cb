"""Orders through the whole saga, from POST to the record that says they are confirmed, through everything that `headwater up`
runs, its simulated payment provider included."""

import asyncio
import json
from collections import defaultdict
from collections.abc import Iterator
from itertools import count
from time import perf_counter
from uuid import uuid4

from aiokafka import AIOKafkaConsumer

from headwater.configured import shared_key_tokens
from headwater.environment import load
from infra.access_tokens import SharedKeyTokens
from tests.load.field import STACK_PREFIX
from tests.load.http_client import Connection, connect, hammer, percentile, request

ORDERS, ITEMS = "/api/v1/orders", "/api/v1/stock-items"
SKUS = 16
UNITS = 1_000_000
BUYERS = 16
CONFIRMED_S = 30.0
TYPE, CONFIRMED = "ce_type", b"headwater.ordering.OrderConfirmed"


async def through_the_saga(port: int, seconds: float) -> dict[str, float]:
    """Have buyers place one order after the other, each when the last one was confirmed. Return how many a second, and how
    long it took; also how many a second can be placed, which nobody waits for."""
    tokens = shared_key_tokens(load())
    connections = [await connect(port) for _ in range(BUYERS)]
    await _fill(connections[0], tokens)
    confirmed: dict[str, asyncio.Future[float]] = defaultdict(asyncio.get_running_loop().create_future)
    topic = f"{STACK_PREFIX}orders"
    servers = load().kafka_bootstrap_servers or ""
    async with AIOKafkaConsumer(topic, bootstrap_servers=servers, auto_offset_reset="earliest") as records:
        hearing = asyncio.create_task(_hear(records, confirmed))
        try:
            await _buy(connections, tokens, confirmed, seconds / 2)  # warm
            began = perf_counter()
            took, answered = await _buy(connections, tokens, confirmed, seconds)
            rate = len(took) / (perf_counter() - began)
        finally:
            hearing.cancel()
    asked = [_orders(tokens) for _ in connections]
    placed = await hammer(connections, asked, seconds, 201)
    for each in connections:
        each.transport.close()
    return {
        "rate": rate,
        "placed_rate": len(placed) / seconds,
        "p50_ms": percentile(took, 0.5) * 1000,
        "p99_ms": percentile(took, 0.99) * 1000,
        "answered_p50_ms": percentile(answered, 0.5) * 1000,
    }


async def _buy(
    connections: list[Connection],
    tokens: SharedKeyTokens,
    confirmed: dict[str, "asyncio.Future[float]"],
    seconds: float,
) -> tuple[list[float], list[float]]:
    """Return how long orders took from the request to their confirmation, and to the answer."""
    took: list[float] = []
    answered: list[float] = []
    until = perf_counter() + seconds

    async def one(connection: Connection, orders: Iterator[bytes]) -> None:
        while (began := perf_counter()) < until:
            status = await connection.ask(next(orders))
            assert status == 201, connection.body
            answered.append(perf_counter() - began)
            order = json.loads(connection.body)["id"]
            took.append(await asyncio.wait_for(confirmed[order], CONFIRMED_S) - began)

    await asyncio.gather(*(one(each, _orders(tokens)) for each in connections))
    return took, answered


async def _hear(records: AIOKafkaConsumer, confirmed: dict[str, "asyncio.Future[float]"]) -> None:
    async for record in records:
        if dict(record.headers)[TYPE] == CONFIRMED and not (heard := confirmed[record.key.decode()]).done():
            heard.set_result(perf_counter())


async def _fill(connection: Connection, tokens: SharedKeyTokens) -> None:
    token = tokens.issue(uuid4(), ("staff",))
    for number in range(SKUS):
        item = json.dumps({"sku": f"bench-{number}", "name": "Something"}).encode()
        assert await connection.ask(request("POST", ITEMS, token, item)) in (200, 201), connection.body
        units = json.dumps({"quantity": UNITS}).encode()
        path = f"{ITEMS}/bench-{number}:receive"
        assert await connection.ask(request("POST", path, token, units)) == 200, connection.body


def _orders(tokens: SharedKeyTokens) -> Iterator[bytes]:
    """Yield requests, a hundred of each buyer: the limit of requests is for each user."""
    for number in count():
        if number % 100 == 0:
            token = tokens.issue(uuid4())
        lines = [
            {"sku": f"bench-{(number + part * 5) % SKUS}", "quantity": 1, "unit_price_minor": 100 + number % 10}
            for part in range(2)
        ]
        yield request("POST", ORDERS, token, json.dumps({"currency": "EUR", "lines": lines}).encode())
