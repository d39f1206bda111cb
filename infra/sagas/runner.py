"""Run sagas: what an event or a timer brings about is stored, with the commands it asks for, in one transaction.

A batch of events is handled on one `Unit`: its sagas are locked and loaded together and saved together, and the group's
position commits with them. A timer is a saga's own transaction. So whatever dies, each effect is there once or not yet.
"""

from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from contextvars import ContextVar
from dataclasses import replace
from datetime import timedelta
from typing import Any
from uuid import UUID

import structlog
from pydantic import TypeAdapter

from infra.avro import Codec
from infra.crash_points import crash_point
from infra.postgres import Database, is_transient
from infra.sagas.metrics import SagaFigures
from infra.sagas.store_postgres import PostgresSagas
from infra.sagas.unit import Known, Unit
from shared_kernel.causation import Cause, because, current_cause
from shared_kernel.events import Event
from shared_kernel.saga import Definition
from shared_kernel.saga_turns import heard, overdue, started

LOOK_EVERY = timedelta(seconds=1)  # at the timers
COUNT_EVERY = timedelta(seconds=5)
DUE_AT_ONCE = 1_000  # sagas
# So long may nobody look after the timers before they are put off: while no process runs, or the group is paused, answers wait
# on their topics and silence says nothing. Afterwards there is a moment to read them.
GAP = timedelta(seconds=5)
GRACE = timedelta(seconds=15)

log = structlog.get_logger()


class SagaRunner:
    """What one process does for sagas. Several may run: each saga is one's at a time."""

    def __init__(
        self,
        database: Database,
        codec: Codec,
        definitions: Sequence[Definition[Any]],
        is_paused: Callable[[], Awaitable[bool]],
    ) -> None:
        self.known = {each.name: Known(each, TypeAdapter(each.data)) for each in definitions}
        self.store = PostgresSagas(database)
        self._database = database
        self._codec = codec
        self._is_paused = is_paused
        self._figures = SagaFigures(database, self.known)
        self._hearing: dict[type[Event], list[Definition[Any]]] = {}
        for each in definitions:
            for event in each.events:
                self._hearing.setdefault(event, []).append(each)
        self._unit: ContextVar[Unit | None] = ContextVar("unit", default=None)

    @property
    def events(self) -> tuple[type[Event], ...]:
        """Return every type of event that some saga hears."""
        return tuple(self._hearing)

    @asynccontextmanager
    async def together(self, events: Sequence[Event]) -> AsyncIterator[None]:
        """Enclose the handling of a batch, in its transaction."""
        if not events:
            yield
            return
        ids = {each.id_of(each.key_of(event)) for event in events for each in self._hearing[type(event)]}
        async with self.unit(ids) as unit:
            token = self._unit.set(unit)
            try:
                yield
            finally:
                self._unit.reset(token)
        crash_point("saga.after-save")

    async def hear(self, event: Event) -> None:
        """Have every saga hear the event that it concerns. Hearing it twice is hearing it once."""
        if unit := self._unit.get():
            self._hear(unit, event)
        else:
            async with self.together([event]):
                await self.hear(event)

    async def fire(self) -> None:
        """Do what the silence of steps is for, unless the group is paused. Safe to repeat and to do in several processes."""
        if await self._is_paused():
            return
        if away := await self.store.tick(GAP, GRACE):
            log.warning("sagas.put_off", seconds=away.total_seconds())
        for saga in await self.store.due(DUE_AT_ONCE):
            try:
                await self._fire(saga)
            except Exception as error:
                if is_transient(error):
                    raise
                log.error("saga.timer_failed", saga=str(saga), exc_info=error)  # the others' must not wait for it

    async def count(self) -> None:
        """Bring the figures up to date."""
        await self._figures.look()

    @asynccontextmanager
    async def unit(self, ids: set[UUID], *, wait: bool = True) -> AsyncIterator[Unit]:
        """Lend these sagas, as far as they exist, and save what became of them; all or nothing."""
        async with self._database.transaction():
            sagas = await self.store.locked(ids, wait=wait)
            unit = Unit(self._codec, self.known, sagas, await self.store.now())
            yield unit
            await unit.save(self.store)

    def _hear(self, unit: Unit, event: Event) -> None:
        for definition in self._hearing[type(event)]:
            key = definition.key_of(event)
            if not unit.has(definition.id_of(key)):
                if turn := started(definition, event, unit.now):
                    unit.start(definition, key, turn)
                continue
            stored = unit.get(definition.id_of(key))
            with because(of_saga(stored.correlation_id, current_cause())):
                if (saga := unit.understood(stored)) and (turn := heard(definition, saga, event, unit.now)):
                    unit.apply(stored, turn)

    async def _fire(self, id_: UUID) -> None:
        async with self.unit({id_}, wait=False) as unit:
            if not unit.has(id_):  # another process has it
                return
            stored = unit.get(id_)
            with because(Cause(stored.correlation_id, stored.causation_id, stored.traceparent)):
                saga = unit.understood(stored)
                if saga and (turn := overdue(self.known[stored.definition].definition, saga, unit.now)):
                    unit.apply(stored, turn)
            crash_point("timer.before-commit")
        crash_point("timer.after-commit")


def of_saga(correlation_id: str, cause: Cause | None) -> Cause:
    """Return what happens now as part of the saga's flow, whoever has caused it: a cancellation is another request."""
    return replace(cause, correlation_id=correlation_id) if cause else Cause(correlation_id, correlation_id)
