"""What operators see of the sagas and do with them; the CLI and the admin API stand on this (docs/sagas.md)."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Literal
from uuid import UUID

import sqlalchemy as sa

from infra.postgres import Database
from infra.sagas.runner import SagaRunner, of_saga
from infra.sagas.tables import note, saga, step
from shared_kernel.causation import because, current_cause
from shared_kernel.errors import NotFound, Refused
from shared_kernel.saga import Definition, Saga
from shared_kernel.saga_turns import Turn, compensated, retried

State = Literal["running", "undoing", "parked", "done", "undone"]

is_open = saga.c.ended_at.is_(None)
is_stuck = sa.and_(is_open, sa.or_(saga.c.parked.is_not(None), saga.c.stuck_at < sa.func.now()))
COLUMNS = (
    *(saga.c[name] for name in ("id", "definition", "key", "phase", "parked", "correlation_id", "version")),
    *(saga.c[name] for name in ("started_at", "changed_at", "ended_at")),
    is_stuck.label("is_stuck"),
)


@dataclass(frozen=True, slots=True)
class SagaChoice:
    """Which sagas are meant: those that fit all that is given."""

    definition: str | None = None
    state: State | None = None
    stuck: bool = False
    key: UUID | None = None  # of an order
    after: tuple[datetime, UUID] | None = None  # start and id of the one they come behind
    limit: int = 100


@dataclass(frozen=True, slots=True)
class SagaView:
    """A saga at one moment."""

    id: UUID
    definition: str
    key: UUID
    phase: str
    parked: str | None
    correlation_id: str
    version: int
    started_at: datetime
    changed_at: datetime
    ended_at: datetime | None
    is_stuck: bool

    @property
    def state(self) -> str:
        return "parked" if self.parked else self.phase


@dataclass(frozen=True, slots=True)
class StepView:
    """One step that was asked."""

    name: str
    status: str
    tries: int
    due_at: datetime | None


@dataclass(frozen=True, slots=True)
class NoteView:
    """One line of the history."""

    at: datetime
    what: str
    step: str
    detail: str
    causation_id: str
    actor: UUID | None


@dataclass(frozen=True, slots=True)
class SagaDetail:
    """All that is known of a saga."""

    saga: SagaView
    data: Mapping[str, Any]
    steps: Sequence[StepView]
    notes: Sequence[NoteView]


class SagaOperations:
    """Every saga of the house."""

    def __init__(self, database: Database, runner: SagaRunner) -> None:
        self._database = database
        self._runner = runner

    async def page(self, choice: SagaChoice) -> list[SagaView]:
        """Return sagas, those that began last first; of one beginning in the order of their ids."""
        query = sa.select(*COLUMNS).order_by(saga.c.started_at.desc(), saga.c.id.desc()).limit(choice.limit)
        async with self._database.transaction() as connection:
            rows = await connection.execute(query.where(*_conditions(choice)))
            return [SagaView(**row._mapping) for row in rows]

    async def detail(self, id_: UUID) -> SagaDetail:
        """Return one saga as it was at one moment. Raise `NotFound`."""
        async with self._database.transaction() as connection:
            await connection.execute(sa.text("set transaction isolation level repeatable read, read only"))
            found = (await connection.execute(sa.select(*COLUMNS, saga.c.data).where(saga.c.id == id_))).first()
            if found is None:
                raise NotFound("saga_not_found", f"there is no saga {id_}")
            steps = await connection.execute(sa.select(step).where(step.c.saga == id_))
            notes = await connection.execute(sa.select(note).where(note.c.saga == id_).order_by(note.c.number))
            view = {name: value for name, value in found._mapping.items() if name != "data"}
            known = self._runner.known.get(found.definition)
            return SagaDetail(
                SagaView(**view),
                found.data,
                _in_order(known.definition if known else None, [_step(row) for row in steps]),
                [NoteView(row.at, row.what, row.step, row.detail, row.causation_id, row.actor) for row in notes],
            )

    async def retry(self, id_: UUID) -> None:
        """Ask again for everything that is open. Safe to repeat. Raise `NotFound`, `Refused`."""
        await self._repair(id_, retried)

    async def compensate(self, id_: UUID) -> None:
        """Have the saga undo what it has done. Twice is once. Raise `NotFound`, and `Refused` where it is too late."""
        await self._repair(id_, compensated)

    async def _repair(
        self, id_: UUID, repair: Callable[[Definition[Any], Saga[Any], datetime], Turn[Any] | None]
    ) -> None:
        async with self._runner.unit({id_}) as unit:
            if not unit.has(id_):
                raise NotFound("saga_not_found", f"there is no saga {id_}")
            stored = unit.get(id_)
            found = unit.understood(stored)
            if found is None:
                raise Refused("saga_not_understood", "this version cannot read it")
            with because(of_saga(stored.correlation_id, current_cause())):
                if turn := repair(self._runner.known[stored.definition].definition, found, unit.now):
                    unit.apply(stored, turn)


def _conditions(choice: SagaChoice) -> list[sa.ColumnElement[bool]]:
    conditions: list[sa.ColumnElement[bool]] = []
    if choice.definition:
        conditions.append(saga.c.definition == choice.definition)
    if choice.state == "parked":
        conditions += [is_open, saga.c.parked.is_not(None)]
    elif choice.state:
        conditions += [saga.c.phase == choice.state, saga.c.parked.is_(None)]
        conditions += [is_open] if choice.state in ("running", "undoing") else []
    if choice.stuck:
        conditions.append(is_stuck)
    if choice.key:
        conditions.append(saga.c.key == choice.key)
    if choice.after:
        conditions.append(sa.tuple_(saga.c.started_at, saga.c.id) < sa.tuple_(*choice.after))
    return conditions


def _step(row: Any) -> StepView:
    return StepView(row.name, row.status, row.tries, row.due_at)


def _in_order(definition: Definition[Any] | None, steps: Sequence[StepView]) -> list[StepView]:
    """Return the steps as the table has them; what it does not have comes last."""
    names = [each.name for each in definition.each_step()] if definition else []
    return sorted(steps, key=lambda each: names.index(each.name) if each.name in names else len(names))
