"""What the partitions of one group member share: its handlers, where its state is kept, how a record is buried."""

import asyncio
import random
import traceback
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from functools import partial
from typing import NamedTuple

import structlog

from infra.avro import Codec, Undecodable
from infra.broker import GroupConsumer, Producer
from infra.consumer_metrics import GroupMetrics
from infra.consumer_tracing import processing
from infra.crash_points import crash_point
from infra.dead_letters import DeadLetters, Letter
from infra.envelope import Headers, cause_of, event_type
from infra.group_control import GroupControl
from infra.handled import HandledLog, finished
from infra.positions import Fenced, Positions, Progress
from infra.postgres import is_transient
from shared_kernel.causation import because
from shared_kernel.events import Event
from shared_kernel.module import Consumer, Handler
from shared_kernel.records import Record

ATTEMPTS = 3  # before an event that fails for good is a dead letter
BACKOFF_S = (0.05, 5.0)  # first and longest pause between tries, jittered

log = structlog.get_logger()


class Heard(NamedTuple):
    """A record that somebody listens to. Without a handler its bytes are no event, and `event` says why."""

    record: Record
    event: Event | Undecodable
    handler: Handler | None


@dataclass(frozen=True, slots=True)
class GroupStore:
    """One context's state of its groups, all in one database."""

    positions: Positions
    letters: DeadLetters
    control: GroupControl
    handled: HandledLog


@dataclass(slots=True)
class Member:
    """One process's part in a group."""

    consumer: Consumer
    codec: Codec
    store: GroupStore
    producer: Producer  # of dead letters
    prefix: str  # before every topic's name on the broker
    handlers: Mapping[str, Handler]
    kafka: GroupConsumer
    metrics: GroupMetrics
    is_paused: bool = True  # until operators' wishes are known: a paused group begins nothing after a restart either
    handled: int = 0  # records
    retrying: int = 0  # batches or keys between two tries

    @property
    def group(self) -> str:
        return self.consumer.group

    @property
    def full_name(self) -> str:
        """Return the group's name on the broker, under which letters and pauses are kept."""
        return self.prefix + self.consumer.group

    async def heard(self, records: Sequence[Record]) -> list[Heard]:
        """Return the records that somebody listens to, decoded if they can be. Raise `Unavailable`."""
        return await heard_of(records, self.handlers, self.codec)

    async def bury(self, letters: Sequence[Letter]) -> None:
        """Put the records on the group's dead-letter topic as they came, with why and where from in their headers, and
        keep them for operators, in the surrounding transaction. After a failure they may be on the topic twice."""
        for each in letters:
            record = each.record
            topic = dead_letter_topic(record.topic.removeprefix(self.prefix), self.group)
            await self.producer.send(topic, record.key, record.value, dead_letter_headers(each, self.group))
            with because(cause_of(record.headers)):
                log.error("consumer.dead_letter", group=self.group, error=each.error, **where(record))
        crash_point("letter.after-publish")
        await self.store.letters.bury(self.full_name, letters)

    async def redrive(self, letters: Sequence[Letter], progress: Progress, stopping: asyncio.Event) -> None:
        """Try each dead letter of a partition once, its effects and its end in one transaction. After one that fails again
        the rest of its key goes back; what may pass stays due."""
        failed: set[bytes | None] = set()
        for each in letters:
            if stopping.is_set():
                return
            try:
                if each.record.key in failed:
                    await self.store.letters.put_back(self.full_name, replace(each, attempts=0))
                elif error := await self._tried_again(each, progress):
                    self.metrics.of(each.record.topic).put_back()
                    await self.store.letters.put_back(self.full_name, letter(each.record, error, 1))
                    failed |= {each.record.key} if each.record.key is not None else set()
            except Fenced:
                log.info("consumer.redrive_gone", group=self.group, **where(each.record))
            except Exception as error:
                if not self.passes(error, each.record):
                    raise
                return

    async def _tried_again(self, each: Letter, progress: Progress) -> Exception | None:
        """Return why the record failed again for good, or nothing."""
        heard = await self.heard([each.record])
        try:
            async with self.store.positions.transaction():
                await self.store.positions.advance(self.group, {each.record.home: progress})  # fences who is late
                await self.store.letters.resolve(self.full_name, each)
                for one in heard:
                    if isinstance(one.event, Undecodable):
                        raise one.event
                    await call(one, self.group)
                done, tries = (each.record.offset, each.record.offset + 1), each.attempts + 1
                row = finished([done], [(*done, tries)])
                await self.store.handled.note(self.group, each.record.home, row)
                crash_point("redrive.before-commit")
            crash_point("redrive.after-commit")
        except Exception as error:
            if isinstance(error, Fenced) or is_transient(error):
                raise
            return error
        self.metrics.of(each.record.topic).redriven(*(one.event for one in heard))
        log.info("consumer.redriven", group=self.group, **where(each.record))
        return None

    def passes(self, error: Exception, record: Record) -> bool:
        """Return whether the same call may succeed later."""
        transient = is_transient(error)
        self.metrics.of(record.topic).failed(transient=transient)
        if transient:
            log.warning("consumer.retry", group=self.group, error=str(error), **where(record))
        return transient


async def heard_of(records: Sequence[Record], handlers: Mapping[str, Handler], codec: Codec) -> list[Heard]:
    """Return the records that a handler listens to, decoded if they can be. Raise `Unavailable`."""
    strange = [record for record in records if not codec.knows(record.value) and _may_be_heard(record, handlers)]
    if strange:
        await codec.learn(record.value for record in strange)
    return [heard for record in records if (heard := _decoded(record, handlers, codec))]


def _may_be_heard(record: Record, handlers: Mapping[str, Handler]) -> bool:
    """Return whether the record's header names an event that is listened to, or none."""
    name = event_type(record.headers)
    return name is None or name in handlers


def _decoded(record: Record, handlers: Mapping[str, Handler], codec: Codec) -> Heard | None:
    try:
        event = codec.decode(record.value, handlers)
        if event is None and event_type(record.headers) is None:
            codec.decode(record.value)  # nothing but its schema says that it is not for us: that has to be true
    except Undecodable as error:
        return Heard(record, error, None) if _may_be_heard(record, handlers) else None
    handler = handlers.get(event.NAME) if event else None
    return Heard(record, event, handler) if event and handler else None


def letter(record: Record, error: BaseException, attempts: int) -> Letter:
    """Return the record as one that failed for good."""
    stack = _storable("".join(traceback.format_exception(error))[-4000:])
    reason = _storable(f"{type(error).__name__}: {error}"[:1000])
    return Letter(record, reason, stack, max(attempts, 1), datetime.now(UTC))


def _storable(text: str) -> str:
    """Return the text with what UTF-8 or PostgreSQL refuse replaced: a reason must not keep its record from being buried."""
    return text.replace("\0", "\N{REPLACEMENT CHARACTER}").encode("utf-8", "replace").decode()


def behind(record: Record) -> Letter:
    """Return the record as one that waits behind another dead letter of its key."""
    return Letter(record, "waits behind an earlier record of its key", "", 0, datetime.now(UTC))


async def call(heard: Heard, group: str) -> None:
    """Have one event handled, as caused by it."""
    record, event, handler = heard
    if handler is None or isinstance(event, Undecodable):
        return
    with because(partial(cause_of, record.headers)), processing(group, record, event):
        await handler.call([event] if handler.batch else event)


def dead_letter_topic(topic: str, group: str) -> str:
    """Return where the records of `topic` go that `group` cannot handle."""
    return f"{topic}.{group}.dlq"


def where(record: Record) -> dict[str, object]:
    """Return the record's place for a line of log."""
    return {"topic": record.topic, "partition": record.partition, "offset": record.offset}


def dead_letter_headers(each: Letter, group: str) -> Headers:
    """Return the record's own headers, then why it is dead and where it was."""
    reasons = {
        "dlq_topic": each.record.topic,
        "dlq_partition": str(each.record.partition),
        "dlq_offset": str(each.record.offset),
        "dlq_group": group,
        "dlq_attempts": str(each.attempts),
        "dlq_error": each.error,
        "dlq_stack": each.stack,
        "dlq_at": each.buried_at.isoformat(),
    }
    own = [(name, value or b"") for name, value in each.record.headers]
    return own + [(name, text.encode()) for name, text in reasons.items()]


def backoff(jitter: Callable[[], float] = random.random) -> "_Backoff":
    """Return ever longer pauses in seconds, each between half and all of the doubling limit."""
    return _Backoff(jitter)


class _Backoff:
    def __init__(self, jitter: Callable[[], float]) -> None:
        self._jitter = jitter
        self._limit, self._most = BACKOFF_S

    def __iter__(self) -> "_Backoff":
        return self

    def __next__(self) -> float:
        pause = self._limit * (0.5 + self._jitter() / 2)
        self._limit = min(self._limit * 2, self._most)
        return pause
