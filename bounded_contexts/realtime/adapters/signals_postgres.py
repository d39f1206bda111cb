"""Signals between nodes by PostgreSQL's LISTEN and NOTIFY (docs/adr/0035): port `Signals`."""

import asyncio
from collections.abc import Callable, Mapping
from typing import Any

import msgspec
import structlog

from bounded_contexts.realtime.application.signals import KINDS, Signal
from infra.member import backoff
from infra.postgres import Database

CHANNEL = "realtime"
PROBE_S = 30.0  # a connection that has died without a word is found by then

log = structlog.get_logger()


class PostgresSignals:
    def __init__(self, database: Database) -> None:
        self._database = database

    async def send(self, *signals: Signal) -> None:
        texts = [_encoded(signal) for signal in signals]
        async with self._database.transaction() as connection:
            await connection.exec_driver_sql(
                "select pg_notify($1, signal) from unnest($2::text[]) signal", (CHANNEL, texts)
            )

    async def hear(self, heard: Callable[[Signal], None]) -> None:
        pauses = backoff()
        while True:
            try:
                async with self._database.apart() as connection:
                    await _listen(connection, heard)
                    pauses = backoff()
            except Exception as error:  # whatever it is, sockets go on
                log.warning("realtime.signals_not_heard", error=str(error))
            await asyncio.sleep(next(pauses))


async def _listen(connection: Any, heard: Callable[[Signal], None]) -> None:
    """Return when the connection has ended."""
    ended = asyncio.Event()
    connection.add_termination_listener(lambda _: ended.set())

    def take(_connection: Any, _process: int, _channel: str, text: str) -> None:
        if signal := _decoded(text):
            heard(signal)

    await connection.add_listener(CHANNEL, take)
    while not ended.is_set():
        try:
            async with asyncio.timeout(PROBE_S):  # `wait_for` may swallow a cancellation when both come at once
                await ended.wait()
        except TimeoutError:
            await connection.execute("select 1", timeout=PROBE_S)


def _encoded(signal: Signal) -> str:
    named: Mapping[str, Any] = {"kind": type(signal).__name__, "signal": signal}
    return msgspec.json.encode(named).decode()


def _decoded(text: str) -> Signal | None:
    """Return the signal; None for one of another version of us, or of somebody else."""
    try:
        named = msgspec.json.decode(text, type=dict[str, Any])
        signal: Signal = msgspec.convert(named["signal"], KINDS[named["kind"]])
    except (msgspec.MsgspecError, KeyError):
        log.warning("realtime.signal_unknown")
        return None
    return signal
