"""The list of conversion jobs: ports `JobWriter` and `JobReader`."""

from typing import Any
from uuid import UUID

import sqlalchemy as sa
from sqlalchemy.dialects.postgresql import insert

from bounded_contexts.documents.adapters.tables import conversion_job
from bounded_contexts.documents.application.job_ports import Choice, Listed, Place, Usage
from bounded_contexts.documents.domain.conversion import OPEN, ConversionEvent, Status
from infra.postgres import Database
from schemas.documents.events import (
    ConversionBegun,
    ConversionCancelled,
    ConversionDeleted,
    ConversionFailed,
    ConversionProgressed,
    ConversionRequested,
    DocumentConverted,
    ResultExpired,
)

Step = ConversionBegun | DocumentConverted | ConversionFailed | ConversionCancelled | ResultExpired


class PostgresJobs:
    def __init__(self, database: Database) -> None:
        self._database = database

    async def changed(self, event: ConversionEvent) -> None:
        this = conversion_job.c.document_id == event.document_id
        statement: sa.Executable
        match event:
            case ConversionRequested():
                statement = insert(conversion_job).values(_row(event)).on_conflict_do_nothing()
            case ConversionDeleted():
                statement = sa.delete(conversion_job).where(this)
            case _:
                before, values = _step(event)
                statement = sa.update(conversion_job).where(this, conversion_job.c.status.in_(before)).values(values)
        async with self._database.transaction() as connection:
            await connection.execute(statement)

    async def progressed(self, event: ConversionProgressed) -> None:
        is_open = conversion_job.c.status.in_(OPEN)
        this = sa.update(conversion_job).where(conversion_job.c.document_id == event.document_id, is_open)
        async with self._database.transaction() as connection:
            await connection.execute(this.values(read_bytes=event.read_bytes))

    async def page(self, choice: Choice, limit: int, before: Place | None = None) -> list[Listed]:
        query = sa.select(conversion_job)
        if choice.user_id:
            query = query.where(conversion_job.c.user_id == choice.user_id)
        if choice.status:
            query = query.where(conversion_job.c.status == choice.status)
        place = (conversion_job.c.requested_at, conversion_job.c.document_id)
        if before:
            query = query.where(sa.tuple_(*place) < sa.tuple_(*before))
        query = query.order_by(*(each.desc() for each in place)).limit(limit)
        async with self._database.transaction() as connection:
            return [Listed(**dict(row)) for row in (await connection.execute(query)).mappings()]

    async def job(self, document_id: UUID) -> Listed | None:
        query = sa.select(conversion_job).where(conversion_job.c.document_id == document_id)
        async with self._database.transaction() as connection:
            row = (await connection.execute(query)).mappings().first()
        return Listed(**dict(row)) if row else None

    async def usage(self, user_id: UUID) -> Usage:
        is_open = conversion_job.c.status.in_(OPEN)
        inputs = sa.func.coalesce(sa.func.sum(conversion_job.c.input_bytes).filter(is_open), 0)
        is_there = conversion_job.c.status == "converted"
        results = sa.func.coalesce(sa.func.sum(conversion_job.c.result_bytes).filter(is_there), 0)
        query = sa.select(sa.func.count().filter(is_open), inputs + results).where(conversion_job.c.user_id == user_id)
        async with self._database.transaction() as connection:
            waiting, stored = (await connection.execute(query)).one()
        return Usage(waiting, int(stored))


def _row(event: ConversionRequested) -> dict[str, Any]:
    same = ("document_id", "user_id", "read", "write", "name", "input_bytes", "requested_at")
    row = {name: getattr(event, name) for name in same}
    return {**row, "status": "waiting", "changed_at": event.requested_at}


def _step(event: Step) -> tuple[tuple[Status, ...], dict[str, Any]]:
    """Return in which status the event finds a job, so that it is taken over once, and what it changes."""
    match event:
        case ConversionBegun():
            return OPEN, {"status": "running", "changed_at": event.begun_at}
        case DocumentConverted():
            found = {"result_bytes": event.result_bytes, "losses": sum(event.losses.values())}
            there = {"expires_at": event.expires_at, "read_bytes": conversion_job.c.input_bytes}
            return OPEN, {"status": "converted", "changed_at": event.converted_at, **found, **there}
        case ConversionFailed():
            return OPEN, {"status": "failed", "changed_at": event.failed_at, "code": event.code}
        case ConversionCancelled():
            return OPEN, {"status": "cancelled", "changed_at": event.cancelled_at}
        case ResultExpired():
            return ("converted",), {"status": "expired", "changed_at": event.expired_at}
