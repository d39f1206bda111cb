"""What there is after a run with orders, read past our code: topics, tables, the provider's ledger, and orders over REST."""

from collections.abc import Iterable, Mapping
from typing import Any

import asyncpg
import httpx

from tests.crash.evidence import Event, Row, Sources, as_text, read
from tests.crash.history import Operation
from tests.crash.orders_checker import TOPICS, OrdersEvidence

STORES = ("ordering", "inventory", "payments")
SCHEMAS = (*STORES, "sagas")
PAGE = 200
DONE = (200, 201)  # of what the provider was asked for; everything else it declined


async def collect_orders(sources: Sources, provider_url: str, operations: list[Operation]) -> OrdersEvidence:
    """Read everything. Nothing may be at work any more."""
    tables = await _tables(sources)
    dead = {(row["topic"], row["partition"], row["place"]) for row in tables["dead"]}
    events, ends = await read(sources, TOPICS, dead)
    async with httpx.AsyncClient(base_url=provider_url, timeout=30) as provider:
        lines = (await provider.get("/ledger")).raise_for_status().json()
    shown: dict[str, Row] = {}
    for buyer in sorted({event.data["buyer_id"] for event in events if event.type == "OrderPlaced"}):
        shown |= await _orders(sources.rest(buyer))
    ledger = done(lines, events)
    return OrdersEvidence(operations=operations, events=events, ends=ends, ledger=ledger, shown=shown, **tables)


def done(lines: Iterable[Mapping[str, Any]], events: Iterable[Event]) -> list[Row]:
    """Return what the provider did, with the orders it was for; of a payment that no event names the order is not known."""
    order_of = {event.data["payment_id"]: event.key for event in events if event.topic == "payments"}
    return [
        {
            "order_id": order_of.get(line["reference"], f"payment {line['reference']}"),
            "step": line["operation"],
            "amount_minor": line["amount"],
            "currency": line["currency"],
        }
        for line in lines
        if line["status"] in DONE
    ]


async def open_work(database_url: str) -> Row:
    """Return what is not over yet: rows of outboxes, sagas, payments whose outcome is not known."""
    connection = await asyncpg.connect(database_url, timeout=5)
    try:
        return {
            "outbox": await connection.fetchval(_sum("count(*)", "outbox")),
            "sagas": await connection.fetchval("select count(*) from sagas.saga where ended_at is null"),
            "payments": await connection.fetchval("select count(*) from payments.payment where asked <> '{}'"),
        }
    finally:
        connection.terminate()


def _sum(what: str, table: str) -> str:
    return f"select sum(n)::int from ({_of_each(f'{what} as n', table, SCHEMAS)}) each"


def _of_each(columns: str, table: str, schemas: Iterable[str]) -> str:
    return " union all ".join(f"select {columns.format(schema=schema)} from {schema}.{table}" for schema in schemas)


async def _tables(sources: Sources) -> dict[str, Any]:
    connection = await asyncpg.connect(sources.database_url)

    async def rows(query: str) -> list[Row]:
        return [as_text(dict(row)) for row in await connection.fetch(query)]

    try:
        positions = await rows(_of_each('consumer as "group", topic, partition, next, beyond', "position", SCHEMAS))
        stored = _of_each("'{schema}' as context, stream, version, id", "event", STORES)
        return {
            "stored": await rows(f"{stored} order by 1, 2, 3"),
            "waiting": await connection.fetchval(_sum("count(*)", "outbox")),
            "positions": [row | {"topic": row["topic"].removeprefix(sources.prefix)} for row in positions],
            "dead": await rows(_of_each('consumer as "group", topic, partition, place, error', "dead_letter", SCHEMAS)),
            "sagas": await rows("select definition, key, phase, parked from sagas.saga"),
            "orders": await rows("select order_id, status, total_minor, version from ordering.listed_order"),
            "stock": await rows("select sku, free, reserved, sold from inventory.stock_item"),
            "payments": await rows("select order_id, captured_minor, refunded_minor from payments.payment"),
        }
    finally:
        await connection.close()


async def _orders(api: httpx.AsyncClient) -> dict[str, Row]:
    shown: dict[str, Row] = {}
    cursor: dict[str, str] = {}
    while True:
        answer = await api.get("/orders", params={"limit": str(PAGE)} | cursor)
        page = answer.raise_for_status().json()
        shown |= {each["id"]: each for each in page["data"]}
        if not page["page"]["next_cursor"]:
            return shown
        cursor = {"cursor": page["page"]["next_cursor"]}
