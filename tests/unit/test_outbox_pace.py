"""How often a relay looks into an outbox: seldom when nothing has come for long, and at once often again when something has."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from itertools import pairwise
from typing import Any, cast

from infra.outbox_relay import AWAKE_S, DOZE_S, NAP_S, OutboxRelay
from tests.virtual_time import skip_waits

ROW = {"id": 1, "topic": "messages", "key": None, "body": b"", "headers": "[]"}
WRITTEN_S = 2 * AWAKE_S
LOOKED_S = 4 * AWAKE_S
NEARLY = 1e-6


class Row(tuple[Any, ...]):
    """A row by place and by name."""

    def __getitem__(self, key: Any) -> Any:
        return ROW[key] if isinstance(key, str) else super().__getitem__(key)


class Outbox:
    """The outbox, its database and the broker at once, as the relay sees them; one row is written, after a long while."""

    def __init__(self) -> None:
        self.looks: list[float] = []
        self.sent_at: list[float] = []

    @asynccontextmanager
    async def driver(self) -> AsyncIterator["Outbox"]:
        yield self

    async def execute(self, *_: Any, **__: Any) -> None:
        pass

    async def fetch(self, _: str, sent: Sequence[int], known: Sequence[int], __: int) -> list[Row]:
        self.looks.append(now := asyncio.get_running_loop().time())
        return [Row(ROW.values())] if now >= WRITTEN_S and not self.sent_at and not known else []

    def send_all(self, _: Sequence[Any]) -> "asyncio.Future[None]":
        loop = asyncio.get_running_loop()
        self.sent_at.append(loop.time())
        acknowledged = loop.create_future()
        acknowledged.set_result(None)
        return acknowledged

    def terminate(self) -> None:
        pass


async def looked() -> Outbox:
    outbox = Outbox()
    skip_waits(asyncio.get_running_loop())
    relay = asyncio.create_task(OutboxRelay(cast("Any", outbox), "pace", cast("Any", outbox)).run())
    await asyncio.sleep(LOOKED_S)
    relay.cancel()
    await asyncio.gather(relay, return_exceptions=True)
    return outbox


def test_a_relay_looks_seldom_while_nothing_comes_and_often_after_something_has() -> None:
    outbox = asyncio.run(looked())
    pauses = [(before, after - before) for before, after in pairwise(outbox.looks) if after > before]

    def between(begin: float, end: float) -> set[float]:
        return {round(pause, 6) for at, pause in pauses if begin + DOZE_S < at < end - DOZE_S}

    (sent_at,) = outbox.sent_at
    assert WRITTEN_S <= sent_at < WRITTEN_S + DOZE_S + NEARLY
    assert between(0, AWAKE_S) == between(sent_at, sent_at + AWAKE_S) == {NAP_S}
    assert between(AWAKE_S, WRITTEN_S) == between(sent_at + AWAKE_S, LOOKED_S) == {DOZE_S}
