"""Some sagas in one transaction: what becomes of them is gathered and saved at its end."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any
from uuid import UUID, uuid4

import structlog
from pydantic import TypeAdapter, ValidationError

from infra.avro import Codec
from infra.envelope import seal
from infra.sagas.metrics import DURATION
from infra.sagas.store_postgres import Command, PostgresSagas, StoredNote, StoredSaga
from shared_kernel.causation import Cause, current_cause
from shared_kernel.events import event_key
from shared_kernel.saga import ENDED, Definition, Mark, Note, Saga
from shared_kernel.saga_turns import NOT_UNDERSTOOD, Turn

log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class Known:
    """A saga's table, and how its data is written and read."""

    definition: Definition[Any]
    json: TypeAdapter[Any]


class Unit:
    """Sagas that somebody has to himself until the transaction ends."""

    def __init__(self, codec: Codec, known: Mapping[str, Known], sagas: dict[UUID, StoredSaga], now: datetime) -> None:
        self.now = now
        self._codec = codec
        self._known = known
        self._sagas = sagas
        self._changed: dict[UUID, StoredSaga] = {}
        self._steps: dict[tuple[UUID, str], Mark] = {}
        self._notes: list[StoredNote] = []
        self._commands: list[Command] = []

    def has(self, id_: UUID) -> bool:
        """Return whether there is such a saga here."""
        return id_ in self._sagas

    def get(self, id_: UUID) -> StoredSaga:
        """Return the saga as it is by now."""
        return self._sagas[id_]

    def understood(self, stored: StoredSaga) -> Saga[Any] | None:
        """Return the saga. Where this version cannot read it, park it and return nothing."""
        known = self._known.get(stored.definition)
        try:
            if known:
                return Saga(stored.phase, known.json.validate_json(stored.data), stored.marks, stored.parked)
            reason = f"there is no saga {stored.definition}"
        except ValidationError as error:
            reason = f"its data: {error.errors(include_url=False, include_input=False)}"
        if stored.parked != NOT_UNDERSTOOD and stored.phase not in ENDED:
            marks = {name: replace(mark, due=None) for name, mark in stored.marks.items()}
            self._put(stored, replace(stored, parked=NOT_UNDERSTOOD, marks=marks))
            self._note(self.get(stored.id), Note("parked", detail=reason[:1000]))
        return None

    def start(self, definition: Definition[Any], key: UUID, turn: Turn[Any]) -> None:
        """Add a new saga."""
        cause = current_cause() or Cause(str(uuid4()), "")
        stored = StoredSaga(
            id=definition.id_of(key),
            definition=definition.name,
            key=key,
            version=0,
            phase="running",
            parked=None,
            data="",
            correlation_id=cause.correlation_id,
            causation_id=cause.causation_id,
            traceparent=cause.traceparent,
            notes=0,
            started_at=self.now,
            changed_at=self.now,
            stuck_at=self.now + definition.deadline,
            ended_at=None,
            marks={},
        )
        self.apply(stored, turn)

    def apply(self, stored: StoredSaga, turn: Turn[Any]) -> None:
        """Take the turn; its commands are caused by what runs now."""
        cause, saga = current_cause(), turn.saga
        has_ended = saga.phase in ENDED
        changed = replace(
            stored,
            phase=saga.phase,
            parked=saga.parked,
            data=self._known[stored.definition].json.dump_json(saga.data).decode(),
            marks=saga.marks,
            causation_id=cause.causation_id if cause else stored.causation_id,
            traceparent=cause.traceparent if cause else stored.traceparent,
            ended_at=self.now if has_ended else None,
        )
        self._put(stored, changed)
        for note in turn.notes:
            self._note(changed, note)
        for command in turn.commands:
            headers = seal(command, self.now)
            self._commands.append(Command(command.TOPIC, event_key(command), self._codec.encode(command), headers))
        if has_ended:
            DURATION.labels(stored.definition, saga.phase).observe((self.now - stored.started_at).total_seconds())

    async def save(self, store: PostgresSagas) -> None:
        """Store what has become of the sagas. Raise `Conflict`."""
        if self._changed:
            steps = [(saga, name, mark) for (saga, name), mark in self._steps.items()]
            await store.save(list(self._changed.values()), steps, self._notes, self._commands)

    def _put(self, before: StoredSaga, after: StoredSaga) -> None:
        """Keep the saga, one version further than it is stored, and which of its steps are new."""
        if after.id not in self._changed:
            after = replace(after, version=before.version + 1)
        after.changed_at = self.now
        self._sagas[after.id] = self._changed[after.id] = after
        for name, mark in after.marks.items():
            if before.marks.get(name) != mark:
                self._steps[after.id, name] = mark

    def _note(self, stored: StoredSaga, note: Note) -> None:
        cause = current_cause()
        kept = self._sagas[stored.id]
        kept.notes += 1
        actor, causation_id = (cause.actor, cause.causation_id) if cause else (None, "")
        self._notes.append(StoredNote(stored.id, kept.notes, self.now, note, causation_id, actor))
        if note.what == "parked":
            log.error("saga.parked", saga=stored.definition, key=str(stored.key), step=note.step, why=note.detail)
