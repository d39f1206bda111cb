"""Build a group's read model anew from its topics, beside the one that is read, and switch to it (docs/consumers.md).

A group of its own fills the shadow tables. Once it is level with the live group, one transaction swaps the tables and puts the
live group where the shadow's was: its members are fenced and go on from there. Until that commits nothing live is touched.
"""

import asyncio
from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass, replace
from time import monotonic
from uuid import uuid4

import asyncpg
from confluent_kafka import KafkaException
from confluent_kafka.admin import AdminClient

from infra.avro import Codec
from infra.consumer import ConsumerRunner
from infra.envelope import Headers
from infra.kafka_client import KafkaConfig
from infra.kafka_consumer import KafkaBroker
from infra.kafka_reader import KafkaReader
from infra.member import GroupStore
from infra.migrations import LOCK as MIGRATIONS_LOCK
from infra.postgres import Database, is_transient
from infra.shadow import Shadow
from shared_kernel.errors import Conflict, NotFound, Refused
from shared_kernel.events import Position
from shared_kernel.module import Consumer, Module
from shared_kernel.records import Partition

LOCK = 7_101  # advisory, with the context: two rebuilds would share the shadow
LOOK_S = 0.2
NEAR = 1_000  # records behind the live group: small enough to stop it until the shadow is level
LEVEL_S = 2.0  # how long it is stopped for that at most, before it is let go and tried again
LOCK_TIMEOUT_MS = 1_000  # readers queue behind us while we wait for a long one

STANDING = 'select topic, partition, next from {schema}."position" where consumer = $1'
MOVE = """
insert into {schema}."position" as p (consumer, topic, partition, next, beyond, claim)
select $1, topic, partition, next, beyond, 1 from {schema}."position" where consumer = $2 order by topic, partition
on conflict (consumer, topic, partition) do update
set next = excluded.next, beyond = excluded.beyond, moved_at = now(), claim = p.claim + 1"""
# What failed in the rebuild is what the new tables lack, and nothing else is.
RESOLVE = "delete from {schema}.dead_letter where consumer = $1"
ADOPT = "update {schema}.dead_letter set consumer = $1 where consumer = $2"
FORGET = "delete from {schema}.{table} where starts_with(consumer, $1)"


@dataclass(frozen=True, slots=True)
class Stage:
    """How far a rebuild is."""

    done: int  # records
    total: int
    behind: int  # records the live group has and the shadow has not


@dataclass(frozen=True, slots=True)
class Plan:
    """What a rebuild would read and replace."""

    records: int
    tables: tuple[str, ...]


class Rebuild:
    """Rebuilds of the groups of a house that stands on the shadow of the context in question."""

    def __init__(
        self,
        owner: Database,  # may create schemas; for this one use, its session keeps a lock
        modules: Iterable[Module],
        stores: Mapping[str, GroupStore],
        config: KafkaConfig,
        codec: Codec,
    ) -> None:
        self._owner = owner
        self._known = {each.group: (module.name, each) for module in modules for each in module.groups}
        self._stores = stores
        self._config = config
        self._codec = codec

    async def plan(self, group: str) -> Plan:
        """Return what a rebuild would do. Raise `NotFound`, and `Refused` for a group that cannot be rebuilt."""
        context, consumer = self._rebuildable(group)
        tables = tuple(f"{context}.{table}" for table in consumer.read_model)
        return Plan(sum((await self._ends(consumer)).values()), tables)

    async def run(self, group: str, told: Callable[[Stage], None], *, keep: bool = False) -> Stage:
        """Fill the shadow and switch to it; `keep` leaves the former tables in the schema `<context>_before`.

        Raise as `plan`, and `Conflict` while another rebuild of the context runs or where tables cannot be copied."""
        context, consumer = self._rebuildable(group)
        ends = await self._ends(consumer)
        async with self._owner.driver() as connection:
            if not await connection.fetchval("select pg_try_advisory_lock($1, hashtext($2))", LOCK, context):
                raise Conflict("rebuild_running", f"another rebuild in {context} runs")
            run = _Run(connection, context, consumer, self._config, ends)
            await run.clean()
            await run.shadow.create()
            try:
                return await self._filled(run, told, keep=keep)
            finally:
                if not connection.is_closed():
                    await run.clean()

    async def _filled(self, run: "_Run", told: Callable[[Stage], None], *, keep: bool) -> Stage:
        consumer = replace(run.consumer, group=run.name)
        store = self._stores[run.context]
        runner = ConsumerRunner(consumer, KafkaBroker(self._config), self._codec, store, _Unsent())
        reading = asyncio.create_task(runner.run())
        try:
            while True:
                if reading.done():
                    reading.result()
                stage = await run.stage()
                told(stage)
                if stage.behind <= NEAR and (final := await run.switched(keep=keep)):
                    told(final)
                    return final
                await asyncio.sleep(LOOK_S)
        finally:
            reading.cancel()
            await asyncio.wait([reading])
            await asyncio.to_thread(_forget, self._config, run.name)

    def _rebuildable(self, group: str) -> tuple[str, Consumer]:
        if group not in self._known:
            raise NotFound("group_not_found", f"there is no group {group}; there are {', '.join(self._known)}")
        context, consumer = self._known[group]
        if not isinstance(consumer, Consumer) or not consumer.read_model:
            raise Refused("no_read_model", f"{group} has no tables that could be built anew")
        if consumer.has_outside_effects:
            raise Refused("outside_effects", f"{group} sends to the outside and would do so again")
        return context, consumer

    async def _ends(self, consumer: Consumer) -> dict[Partition, int]:
        """Return where the group's partitions end. Raise `Refused` if one has lost its beginning."""
        topics = sorted({handler.event.TOPIC for handler in consumer.handlers})
        async with KafkaReader(self._config).open(topics) as reader:
            beginnings, ends = await reader.beginnings(), await reader.ends()
        if gone := sorted(key for key, first in beginnings.items() if first):
            raise Refused("records_gone", f"{gone[0]} no longer has its first records: its events cannot be read again")
        return {(self._config.topic(topic), number): end for (topic, number), end in ends.items()}


class _Run:
    """One rebuild, on the connection that holds its lock."""

    def __init__(
        self,
        connection: "asyncpg.Connection[asyncpg.Record]",
        context: str,
        consumer: Consumer,
        config: KafkaConfig,
        ends: Mapping[Partition, int],
    ) -> None:
        self.context, self.consumer = context, consumer
        # Never used twice: the broker may still wait for the member of a run that was killed.
        self.name = f"{consumer.group}.rebuild-{uuid4().hex[:8]}"
        self.shadow = Shadow(connection, context, consumer.read_model)
        self._connection = connection
        self._config = config
        self._ends = ends
        self._is_analyzed = False

    async def clean(self) -> None:
        """Forget what this run, or one that was killed, has left."""
        runs = f"{self.consumer.group}.rebuild-"
        for table, name in (
            ("position", runs),
            ("handled", runs),
            *((t, self._config.topic(runs)) for t in ("dead_letter", "group_member")),
        ):
            await self._connection.execute(FORGET.format(schema=self.context, table=table), name)
        await self.shadow.drop()

    async def stage(self) -> Stage:
        """Return how far the shadow is."""
        live, shadow = await self._standing(self.consumer.group), await self._standing(self.name)
        goals = {key: max(end, live.get(key, 0)) for key, end in self._ends.items()}
        done = sum(min(shadow.get(key, 0), goal) for key, goal in goals.items())
        return Stage(done, sum(goals.values()), self._behind(live, shadow))

    def _behind(self, live: Mapping[Partition, int], shadow: Mapping[Partition, int]) -> int:
        """Return how many records the shadow lacks: those the live tables have, all where they have none of a partition."""
        return sum(max((live.get(key, 0) or end) - shadow.get(key, 0), 0) for key, end in self._ends.items())

    async def switched(self, *, keep: bool) -> Stage | None:
        """Switch and return how far that was; None, having changed nothing, if somebody holds a lock for long or the
        shadow does not become level."""
        if not self._is_analyzed:
            await self.shadow.analyze()
            self._is_analyzed = True
        try:
            async with self._connection.transaction():
                await self._connection.execute(f"set local lock_timeout = {LOCK_TIMEOUT_MS}")
                await self._connection.execute("select pg_advisory_xact_lock($1)", MIGRATIONS_LOCK)
                live = await self._standing(self.consumer.group, locked=True)  # from here on its members wait
                await self._level(live)
                await self._standing(self.name, locked=True)
                await self.shadow.require_likeness()
                final = await self.stage()
                await self.shadow.switch(keep=keep)
                await self._take_over()
        except (TimeoutError, asyncpg.PostgresError) as error:
            if self._connection.is_closed() or not is_transient(error):
                raise
            return None
        return final

    async def _level(self, live: Mapping[Partition, int]) -> None:
        """Wait until the shadow has what the live tables have. Raise `TimeoutError`."""
        until = monotonic() + LEVEL_S
        while self._behind(live, await self._standing(self.name)):
            if monotonic() > until:
                raise TimeoutError
            await asyncio.sleep(LOOK_S / 20)

    async def _take_over(self) -> None:
        group, ours = self.consumer.group, self.name
        full_names = self._config.topic(group), self._config.topic(ours)
        await self._connection.execute(MOVE.format(schema=self.context), group, ours)
        await self._connection.execute(RESOLVE.format(schema=self.context), full_names[0])
        await self._connection.execute(ADOPT.format(schema=self.context), *full_names)
        await self._connection.execute(FORGET.format(schema=self.context, table="position"), ours)

    async def _standing(self, group: str, *, locked: bool = False) -> dict[Partition, int]:
        order = " order by topic, partition for update" if locked else ""
        rows = await self._connection.fetch(STANDING.format(schema=self.context) + order, group)
        return {(row["topic"], row["partition"]): row["next"] for row in rows}


class _Unsent:
    """Takes the dead letters of a rebuild: their records lie on the dead-letter topic, or fail for the live group too."""

    def send(
        self, topic: str, key: str | bytes | None, value: bytes | None, headers: Headers
    ) -> "asyncio.Future[Position]":
        sent: asyncio.Future[Position] = asyncio.get_running_loop().create_future()
        sent.set_result(Position(topic, 0, 0))
        return sent


def _forget(config: KafkaConfig, group: str) -> None:
    """Have the broker forget the group; if it does not, it will by itself in some days."""
    with suppress(KafkaException):
        admin = AdminClient(config.confluent())
        for done in admin.delete_consumer_groups([config.topic(group)], request_timeout=5).values():
            done.result(5)
