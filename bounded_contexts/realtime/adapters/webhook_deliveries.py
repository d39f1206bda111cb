"""Send what waits for webhook endpoints, each endpoint by itself (docs/realtime.md)."""

import asyncio
import random
from datetime import UTC, datetime, timedelta
from uuid import UUID

import aiohttp
import structlog

from bounded_contexts.realtime.adapters.webhooks_postgres import PostgresWebhooks
from bounded_contexts.realtime.application.webhooks import GIVEN_UP, Delivery, wait_s
from infra.outgoing import Outgoing
from infra.webhooks import signature

AT_ONCE = 8  # requests to one endpoint, about as many subjects

log = structlog.get_logger()


class WebhookDeliveries:
    """Sends at least once, with the same id each time; the requests about one channel or user in order. Several processes may be
    at it at once."""

    def __init__(self, webhooks: PostgresWebhooks, outgoing: Outgoing) -> None:
        self._webhooks, self._outgoing = webhooks, outgoing
        self._busy: dict[UUID, asyncio.Task[None]] = {}

    async def begin(self) -> None:
        """Begin to send what is due, and do not wait for it: an endpoint that is slow holds up no other."""
        for webhook_id in await self._webhooks.due():
            if webhook_id not in self._busy:
                self._busy[webhook_id] = asyncio.create_task(self._serve(webhook_id))

    async def _serve(self, webhook_id: UUID) -> None:
        try:
            async with self._outgoing.session() as session:
                while deliveries := await self._webhooks.claim(webhook_id, AT_ONCE):
                    if not await self._send(session, webhook_id, deliveries):
                        return
        except Exception as error:  # what was taken is due again in a while
            log.warning("realtime.webhook_waiting", webhook_id=str(webhook_id), error=str(error))
        finally:
            del self._busy[webhook_id]

    async def _send(self, session: aiohttp.ClientSession, webhook_id: UUID, deliveries: list[Delivery]) -> bool:
        """Return whether the endpoint has taken any."""
        outcomes = await asyncio.gather(*(self._post(session, each) for each in deliveries))
        now = datetime.now(UTC)
        taken, later, given_up = [], [], []
        for delivery, error in zip(deliveries, outcomes, strict=True):
            chance = random.random()  # noqa: S311 – spreads load
            due_at = now + timedelta(seconds=wait_s(delivery.attempts + 1, chance))
            if error is None:
                taken.append(delivery.delivery_id)
            elif due_at > delivery.made_at + GIVEN_UP:
                given_up.append(delivery.delivery_id)
            else:
                later.append((delivery.delivery_id, due_at))
        last_error = next((error for error in outcomes if error), None)
        await self._webhooks.note(webhook_id, taken, later, given_up, last_error)
        return bool(taken)

    async def _post(self, session: aiohttp.ClientSession, delivery: Delivery) -> str | None:
        """Return why it was not taken."""
        id_, timestamp = f"msg_{delivery.delivery_id.hex}", str(int(datetime.now(UTC).timestamp()))
        body = delivery.body.encode()
        headers = {
            "content-type": "application/json",
            "user-agent": "headwater",
            "webhook-id": id_,
            "webhook-timestamp": timestamp,
            "webhook-signature": signature(delivery.secret, f"{id_}.{timestamp}.".encode() + body),
        }
        return await self._outgoing.post(session, delivery.url, body, headers)
