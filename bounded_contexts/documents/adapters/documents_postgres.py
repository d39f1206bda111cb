"""The list of documents that are rendered: ports `DocumentWriter` and `DocumentReader`."""

from collections.abc import Sequence
from dataclasses import fields
from datetime import datetime
from typing import Any
from uuid import UUID

import sqlalchemy as sa
from sqlalchemy.dialects.postgresql import insert

from bounded_contexts.documents.adapters.tables import document
from bounded_contexts.documents.application.document_ports import ListedDocument
from bounded_contexts.documents.application.job_ports import Place, Usage
from bounded_contexts.documents.domain.document import OPEN, DocumentEvent, Status
from bounded_contexts.documents.domain.rendering.fidelity import Target
from infra.postgres import Database
from schemas.documents.events import (
    DocumentCancelled,
    DocumentDeleted,
    DocumentExpired,
    DocumentFailed,
    DocumentRendered,
    DocumentRequested,
    RenderingBegun,
)
from shared_kernel.blobs import BlobName

SAME = ("document_id", "user_id", "target", "name", "origin", "source_id", "input_id", "input_bytes", "requested_at")
LISTED = tuple(each.name for each in fields(ListedDocument))
ALIKE = 3  # documents of the same instructions that are looked at
Step = RenderingBegun | DocumentRendered | DocumentFailed | DocumentCancelled | DocumentExpired


class PostgresDocuments:
    def __init__(self, database: Database) -> None:
        self._database = database

    async def changed(self, event: DocumentEvent) -> None:
        this = document.c.document_id == event.document_id
        statement: sa.Executable
        match event:
            case DocumentRequested():
                row = {name: getattr(event, name) for name in SAME}
                row |= {"status": "waiting", "changed_at": event.requested_at, "input_sha256": event.input_sha256}
                statement = insert(document).values(row).on_conflict_do_nothing()
            case DocumentDeleted():
                statement = sa.delete(document).where(this)
            case _:
                before, values = _step(event)
                statement = sa.update(document).where(this, document.c.status.in_(before)).values(values)
        async with self._database.transaction() as connection:
            await connection.execute(statement)

    async def of_user(self, user_id: UUID, limit: int, before: Place | None = None) -> list[ListedDocument]:
        query = sa.select(*[document.c[name] for name in LISTED]).where(document.c.user_id == user_id)
        place = (document.c.requested_at, document.c.document_id)
        if before:
            query = query.where(sa.tuple_(*place) < sa.tuple_(*before))
        query = query.order_by(*(each.desc() for each in place)).limit(limit)
        async with self._database.transaction() as connection:
            return [ListedDocument(**dict(row)) for row in (await connection.execute(query)).mappings()]

    async def usage(self, user_id: UUID) -> Usage:
        is_open, is_there = document.c.status.in_(OPEN), document.c.status == "rendered"
        size = document.c.input_bytes + sa.func.coalesce(document.c.result_bytes, 0)
        stored = sa.func.coalesce(sa.func.sum(size).filter(is_open | is_there), 0)
        query = sa.select(sa.func.count().filter(is_open), stored)
        query = query.where(document.c.user_id == user_id, document.c.origin != "order")
        async with self._database.transaction() as connection:
            waiting, bytes_ = (await connection.execute(query)).one()
        return Usage(waiting, int(bytes_))

    async def past(self, moment: datetime, limit: int) -> list[UUID]:
        query = sa.select(document.c.document_id).where(
            document.c.status == "rendered", document.c.expires_at <= moment
        )
        async with self._database.transaction() as connection:
            return list((await connection.execute(query.order_by(document.c.expires_at).limit(limit))).scalars())

    async def alike(self, user_id: UUID, target: Target, input_sha256: str) -> list[UUID]:
        query = sa.select(document.c.document_id).where(
            document.c.user_id == user_id,
            document.c.input_sha256 == input_sha256,
            document.c.target == target,
            document.c.status == "rendered",
        )
        async with self._database.transaction() as connection:
            found = await connection.execute(query.order_by(document.c.changed_at.desc()).limit(ALIKE))
            return list(found.scalars())

    async def needed(self, blobs: Sequence[BlobName]) -> set[BlobName]:
        query = sa.select(document.c.document_id, document.c.input_id, document.c.result_id).where(
            document.c.document_id.in_({blob.owner for blob in blobs}), document.c.status == "rendered"
        )
        async with self._database.transaction() as connection:
            rows = (await connection.execute(query)).all()
        return {BlobName(owner, part) for owner, *parts in rows for part in parts}.intersection(blobs)


def _step(event: Step) -> tuple[tuple[Status, ...], dict[str, Any]]:
    """Return in which status the event finds a document, so that it is taken over once, and what it changes."""
    match event:
        case RenderingBegun():
            return OPEN, {"status": "running", "changed_at": event.begun_at}
        case DocumentRendered():
            found = {name: getattr(event, name) for name in ("result_id", "result_bytes", "pages", "expires_at")}
            found["warnings"] = sum(event.warnings.values())
            return OPEN, {"status": "rendered", "changed_at": event.rendered_at, **found}
        case DocumentFailed():
            return OPEN, {"status": "failed", "changed_at": event.failed_at, "code": event.code}
        case DocumentCancelled():
            return OPEN, {"status": "cancelled", "changed_at": event.cancelled_at}
        case DocumentExpired():
            return ("rendered",), {"status": "expired", "changed_at": event.expired_at}
