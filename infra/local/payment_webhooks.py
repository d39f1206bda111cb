"""What the simulated payment provider tells its customer by itself: signed by Standard Webhooks, repeated until it is taken."""

import asyncio
from time import time
from typing import NamedTuple

import httpx

from infra.local.payment_faults import Faults
from infra.webhooks import signature

ATTEMPTS = 5
PAUSE_S = 0.5  # before the second attempt, doubling
TIMEOUT_S = 5.0
TAKEN = (409, 413)  # with 2xx: asking again would not help


class Event(NamedTuple):
    """What happened, and in which trace: a webhook may be heard before the answer, and what follows belongs to the same order."""

    id: str
    body: bytes
    traceparent: str  # empty outside of any trace


class Webhooks:
    """Sends in the background, each event by itself: they may overtake each other."""

    def __init__(self, url: str, secret: bytes) -> None:
        self._url = url
        self._secret = secret
        self._client = httpx.AsyncClient(timeout=TIMEOUT_S)  # one for all: to make one takes 30 ms
        self._held: Event | None = None  # until the next one has gone before it
        self._tasks: set[asyncio.Task[None]] = set()

    def send(self, event: Event, faults: Faults) -> None:
        """Have the event sent, as often and in the order that is asked for."""
        if faults.webhooks_reversed and self._held is None:
            self._held = event
            return
        held, self._held = self._held, None
        task = asyncio.create_task(self._deliver([event, held] if held else [event], faults.webhook_copies))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _deliver(self, events: list[Event], copies: int) -> None:
        for event in events:
            for _ in range(copies):
                await self._insist(event)

    async def _insist(self, event: Event) -> None:
        for attempt in range(ATTEMPTS):
            at = str(int(time()))
            headers = {
                "content-type": "application/json",
                "webhook-id": event.id,
                "webhook-timestamp": at,
                "webhook-signature": signature(self._secret, f"{event.id}.{at}.".encode() + event.body),
            }
            if event.traceparent:
                headers["traceparent"] = event.traceparent
            try:
                answer = await self._client.post(self._url, content=event.body, headers=headers)
                if answer.is_success or answer.status_code in TAKEN:
                    return
            except httpx.HTTPError:
                pass  # as if it had refused
            await asyncio.sleep(PAUSE_S * 2**attempt)
