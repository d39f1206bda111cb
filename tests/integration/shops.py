"""A house with a database of its own whose stock a test fills and sells: no other test's relay takes what it writes."""

import asyncio
import contextlib
import os
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

import httpx
from pydantic import SecretStr
from sqlalchemy import make_url

from bounded_contexts.inventory.adapters.stock_postgres import PostgresStock
from bounded_contexts.inventory.domain import reservation
from bounded_contexts.inventory.domain.identity import reservation_stream
from bounded_contexts.inventory.domain.reservation import Reservation
from bounded_contexts.inventory.module import STOCK
from headwater import wiring
from headwater.web import application
from headwater.wiring import House
from headwater.wiring_inventory import ports_of_inventory
from infra.access_tokens import SharedKeyTokens
from infra.consumer import ConsumerRunner
from infra.health import Health
from infra.kafka_log import KafkaLog
from infra.migrations import role_name
from infra.outbox_relay import OutboxRelay
from infra.postgres import Database
from schemas.inventory.events import CommitStock, ReleaseStock, ReserveStock, ReturnStock, StockLine
from shared_kernel.decider import state_of
from shared_kernel.events import Event
from tests.conftest import settings_for
from tests.groups import caught_up
from tests.integration.conftest import client_of, started
from tests.integration.test_group_operations import environment
from tests.probes import during, eventually
from tests.servers import Servers
from tests.topics import delete_topics

Command = ReserveStock | ReleaseStock | CommitStock | ReturnStock
NAME = "inventory"
ROOT = Path(__file__).parents[2]


@dataclass
class Shop:
    """Inventory on the real servers."""

    house: House
    owner: Database
    tokens: SharedKeyTokens

    def client(self, *roles: str) -> httpx.AsyncClient:
        return client_of(application(self.house, {"web"}, Health(("web",), {})), self.tokens, uuid4(), roles)

    async def stocked(self, sku: str, quantity: int) -> None:
        """Have so many units of a new item."""
        staff = self.client("staff")
        added = await staff.post("/stock-items", json={"sku": sku, "name": sku})
        assert added.status_code == 201, added.text
        received = await staff.post(f"/stock-items/{sku}:receive", json={"quantity": quantity})
        assert received.status_code == 200, received.text

    async def send(self, *commands: Command) -> None:
        """Put commands on their topic, as a saga does."""
        log = KafkaLog(self.house.commands, self.house.codec)
        await asyncio.gather(*(log.publish(each) for each in commands))

    async def units(self, sku: str) -> tuple[int, int, int]:
        """Return how many are free, reserved and sold, as the events say."""
        answer = await self.client().get(f"/stock-items/{sku}")
        assert answer.status_code == 200, answer.text
        return answer.json()["free"], answer.json()["reserved"], answer.json()["sold"]

    async def state(self, order_id: UUID) -> Reservation:
        """Return the order's reservation, as the events say."""
        stream = reservation_stream(order_id)
        return (await state_of(reservation, ports_of_inventory(self.house).reservations, stream))[0]

    async def rows(self, table: str) -> list[dict[str, Any]]:
        """Return every row of a table of the context."""
        async with self.owner.driver() as connection:
            return [dict(row) for row in await connection.fetch(f"select * from {NAME}.{table} order by 1")]

    async def recorded(self, *events: type[Event]) -> int:
        """Return how many events of these types there are."""
        async with self.owner.driver() as connection:
            query = f"select count(*) from {NAME}.event where type = any($1)"
            return int(await connection.fetchval(query, [event.NAME for event in events]))

    @asynccontextmanager
    async def listing(self) -> AsyncIterator[None]:
        """Run the relay and the read model while the block lasts."""
        house = self.house
        (module,) = (each for each in house.modules if each.name == NAME)
        (stock,) = (each for each in module.consumers if each.group == STOCK)
        relay = OutboxRelay(house.databases[NAME], NAME, house.bulk)
        reader = ConsumerRunner(stock, house.broker, house.codec, house.groups[NAME], house.bulk)
        async with during(relay.run()), during(reader.run()):
            yield

    async def listed(self, sku: str, free: int, reserved: int, sold: int) -> None:
        """Return once the list shows the item like that."""
        stock = PostgresStock(self.house.databases[NAME])

        async def units() -> tuple[int, ...] | None:
            found = await stock.item(sku)
            return (found.free, found.reserved, found.sold) if found else None

        await eventually(units, until=lambda found: found == (free, reserved, sold))

    async def caught_up(self) -> None:
        """Return once the read model has all that has happened by now."""

        async def is_relayed() -> bool:
            return not await self.rows("outbox")

        await eventually(is_relayed)
        await caught_up(self.house, STOCK)

    async def members(self, group: str, count: int) -> None:
        """Return once so many processes of the group have partitions; a busy machine needs a while to start them."""
        query = f"select count(*) from {NAME}.group_member where partitions > 0 and consumer like '%' || $1"

        async def working() -> int:
            async with self.owner.driver() as connection:
                return int(await connection.fetchval(query, group))

        await eventually(working, within=120, until=lambda found: found == count)

    @asynccontextmanager
    async def process(self, role: str, **more: str) -> AsyncIterator[asyncio.subprocess.Process]:
        """Run the role in a process of its own while the block lasts."""
        given = environment(self.house) | {"PATH": os.environ["PATH"], "HEADWATER_PORT": "0"} | more
        process = await asyncio.create_subprocess_exec(
            sys.executable, "-m", "headwater", "run", role, env=given, cwd=ROOT, stdout=asyncio.subprocess.DEVNULL
        )
        try:
            yield process
        finally:
            with contextlib.suppress(ProcessLookupError):
                process.terminate()
            await process.wait()


def line(sku: str, quantity: int = 1) -> StockLine:
    """Return a line of an order."""
    return StockLine(sku=sku, quantity=quantity)


def reserve(order_id: UUID, *lines: StockLine) -> ReserveStock:
    """Return what a saga asks first."""
    return ReserveStock(order_id=order_id, lines=lines, asked_at=datetime.now(UTC))


@asynccontextmanager
async def opened(servers: Servers, tokens: SharedKeyTokens) -> AsyncIterator[Shop]:
    """Lend a shop of its own topics and database."""
    name = f"shop_{uuid4().hex[:12]}"
    server = Database(servers.database_url)
    async with server.driver() as connection:
        await connection.execute(f"create database {name}")
    url = make_url(servers.database_url).set(database=name).render_as_string(hide_password=False)
    owner = Database(url)
    settings = settings_for(servers, f"s{uuid4().hex[:8]}.").model_copy(update={"database_url": SecretStr(url)})
    await wiring.migrate_all(settings)
    house = wiring.build(settings)
    await started(house)
    yield Shop(house, owner, tokens)
    await house.close()
    await owner.close()
    async with server.driver() as connection:
        await connection.execute(f"drop database {name} with (force)")
        for context in wiring.MIGRATIONS:
            await connection.execute(f"drop role if exists {role_name(name, context)}")
    await server.close()
    await asyncio.to_thread(delete_topics, house.kafka)
