"""The audit log at rest: port `Log`."""

from collections.abc import AsyncIterator, Mapping, Sequence
from typing import Any

import sqlalchemy as sa
from sqlalchemy.dialects.postgresql import insert

from bounded_contexts.audit.adapters.tables import record, root
from bounded_contexts.audit.domain.chain import Head, Kept, chained
from bounded_contexts.audit.domain.root import Root
from infra.positions import PostgresPositions
from infra.postgres import Database
from shared_kernel.records import Record

SCHEMA, GROUP = "audit", "audit.log"
PAGE = 200  # records held at once while a chain is read
COLUMNS = tuple(column.name for column in record.columns)
# Chain by chain through the primary key: `distinct on` would read every row.
HEADS = """
with recursive chain as (
  (select topic, partition from record order by topic, partition limit 1)
  union all
  select next.topic, next.partition from chain cross join lateral (
    select topic, partition from record where (topic, partition) > (chain.topic, chain.partition)
    order by topic, partition limit 1
  ) as next
)
select chain.topic, chain.partition, head."offset", head.hash from chain cross join lateral (
  select "offset", hash from record where topic = chain.topic and partition = chain.partition
  order by "offset" desc limit 1
) as head
"""


class AlreadyKept(RuntimeError):
    """The chain is past these records: the topic was made anew, or somebody else has written to the log."""


class PostgresLog:
    def __init__(self, database: Database) -> None:
        self._database = database

    async def keep(self, records: Sequence[Record]) -> None:
        topic, partition = records[0].topic, records[0].partition
        last = (
            sa.select(record.c.topic, record.c.partition, record.c.offset, record.c.hash)
            .where(record.c.topic == topic, record.c.partition == partition)
            .order_by(record.c.offset.desc())
            .limit(1)
        )
        async with self._database.transaction() as connection:
            row = (await connection.execute(last)).first()
            head = Head(row.topic, row.partition, row.offset, row.hash) if row else None
            if head and head.offset >= records[0].offset:
                raise AlreadyKept(f"{topic}/{partition} was kept up to {head.offset}; now {records[0].offset} comes")
            rows = [tuple(getattr(each, name) for name in COLUMNS) for each in chained(records, head)]
            driver: Any = (await connection.get_raw_connection()).driver_connection
            await driver.copy_records_to_table("record", columns=COLUMNS, records=rows)

    async def done(self) -> Mapping[tuple[str, int], int]:
        positions = await PostgresPositions(self._database, SCHEMA).load(GROUP)
        return {chain: next_ for chain, next_ in positions.items() if next_ > 0}

    async def heads(self) -> list[Head]:
        async with self._database.transaction() as connection:
            found = await connection.exec_driver_sql(HEADS)
            return [Head(row.topic, row.partition, row.offset, row.hash) for row in found]

    async def chain(self, topic: str, partition: int) -> AsyncIterator[Kept]:
        of_chain = sa.select(record).where(record.c.topic == topic, record.c.partition == partition)
        rest = (
            of_chain  # from the least number there is: no offset of Kafka's is negative, one that was put there may be
        )
        while True:
            page = await self._kept(rest.order_by(record.c.offset).limit(PAGE))
            for kept in page:
                yield kept
            if len(page) < PAGE:
                return
            rest = of_chain.where(record.c.offset > page[-1].offset)

    async def about(self, correlation_id: str, limit: int) -> list[Kept]:
        return await self._kept(_in_time(record.c.correlation_id == correlation_id, limit))

    async def of_events(self, event_ids: Sequence[str], limit: int) -> list[Kept]:
        return await self._kept(_in_time(record.c.event_id.in_(event_ids), limit))

    async def seal(self, new: Root) -> bool:
        values = {column.name: getattr(new, column.name) for column in root.columns}
        async with self._database.transaction() as connection:
            added = await connection.execute(insert(root).values(values).on_conflict_do_nothing())
            return added.rowcount == 1

    async def last_root(self) -> Root | None:
        async with self._database.transaction() as connection:
            row = (await connection.execute(sa.select(root).order_by(root.c.number.desc()).limit(1))).first()
            return Root(*row) if row else None

    async def roots(self) -> AsyncIterator[Root]:
        after = -(2**63)
        while True:
            page = sa.select(root).where(root.c.number > after).order_by(root.c.number).limit(PAGE)
            async with self._database.transaction() as connection:
                found = [Root(*row) for row in await connection.execute(page)]
            for each in found:
                yield each
            if len(found) < PAGE:
                return
            after = found[-1].number

    async def _kept(self, query: sa.Select[Any]) -> list[Kept]:
        async with self._database.transaction() as connection:
            return [Kept(**row) for row in (await connection.execute(query)).mappings()]


def _in_time(condition: sa.ColumnElement[bool], limit: int) -> sa.Select[Any]:
    ordered = (record.c.timestamp_ms, record.c.topic, record.c.partition, record.c.offset)
    return sa.select(record).where(condition).order_by(*ordered).limit(limit)
