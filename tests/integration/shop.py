"""People who order things, and the sagas' side of it, on real servers of their own."""

from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import cached_property
from typing import Any
from uuid import UUID, uuid4, uuid5

import httpx

from headwater.web import application
from headwater.wiring import House
from infra.access_tokens import SharedKeyTokens
from infra.health import Health
from infra.kafka_log import KafkaLog
from infra.postgres import Database
from schemas.ordering.events import ConfirmOrder, RejectOrder
from tests.integration.conftest import WAIT, client_of
from tests.probes import eventually

TEA = {"sku": "tea-100", "quantity": 2, "unit_price_minor": 450}
ORDER: dict[str, Any] = {"currency": "EUR", "lines": [TEA, {"sku": "pot", "quantity": 1, "unit_price_minor": 0}]}


@dataclass
class Shop:
    """A house with a database of its own, of whose contexts those run that a test says."""

    house: House
    owner: Database
    tokens: SharedKeyTokens
    staff_id: UUID = field(default_factory=uuid4)

    @cached_property
    def app(self) -> Any:
        return application(self.house, {"web"}, Health(("web",), {}))

    def client(self, user: UUID | None = None, *roles: str) -> httpx.AsyncClient:
        return client_of(self.app, self.tokens, user or uuid4(), roles)

    @property
    def staff(self) -> httpx.AsyncClient:
        return self.client(self.staff_id, "staff")

    async def place(self, api: httpx.AsyncClient, **more: Any) -> str:
        """Place an order and wait until it is listed. Return its id."""
        answer = await api.post("/orders", json=ORDER | more, headers=WAIT)
        assert answer.status_code == 201, answer.text
        return str(answer.json()["id"])

    async def asks(self, command: ConfirmOrder | RejectOrder) -> None:
        """Ask as a saga would."""
        await KafkaLog(self.house.commands, self.house.codec).publish(command)

    async def confirm(self, order_id: str) -> None:
        """Have the order confirmed; return when it is listed as that or as what follows."""
        await self.asks(confirmation(order_id))
        await self.listed(order_id, "confirmed", "cancelled")

    async def reject(self, order_id: str, reason: str) -> None:
        """Have the order rejected; return when it is listed so."""
        await self.asks(RejectOrder(order_id=UUID(order_id), reason=reason, asked_at=datetime.now(UTC)))
        await self.listed(order_id, "rejected")

    async def listed(self, order_id: str, *statuses: str) -> None:
        """Return when lists show the order in one of the statuses."""
        query = "select status from ordering.listed_order where order_id = $1"

        async def status() -> str | None:
            async with self.owner.driver() as connection:
                found: str | None = await connection.fetchval(query, UUID(order_id))
                return found

        await eventually(status, until=lambda found: found in statuses)


def confirmation(order_id: str) -> ConfirmOrder:
    """Return what the saga asks at its end."""
    id_ = UUID(order_id)
    return ConfirmOrder(order_id=id_, payment_id=uuid5(id_, "payment"), asked_at=datetime.now(UTC))
