"""The list of templates: ports `TemplateWriter` and `TemplateReader`."""

import sqlalchemy as sa
from sqlalchemy.dialects.postgresql import insert

from bounded_contexts.documents.adapters.tables import document_template
from bounded_contexts.documents.application.job_ports import Place
from bounded_contexts.documents.application.template_ports import ListedTemplate
from bounded_contexts.documents.domain.template import TemplateEvent
from infra.postgres import Database
from schemas.documents.events import TemplateRemoved


class PostgresTemplates:
    def __init__(self, database: Database) -> None:
        self._database = database

    async def changed(self, event: TemplateEvent) -> None:
        statement: sa.Executable
        if isinstance(event, TemplateRemoved):
            statement = sa.delete(document_template).where(document_template.c.template_id == event.template_id)
        else:
            row = {
                "template_id": event.template_id,
                "name": event.name,
                "version": event.version,
                "kind": event.kind,
                "size": event.content_bytes,
                "sha256": event.content_sha256,
                "stored_at": event.stored_at,
            }
            new = insert(document_template).values(row)
            statement = new.on_conflict_do_update(
                index_elements=["template_id"],
                set_=row,
                where=document_template.c.version < event.version,
            )
        async with self._database.transaction() as connection:
            await connection.execute(statement)

    async def newest(self, limit: int, before: Place | None = None) -> list[ListedTemplate]:
        query = sa.select(document_template)
        place = (document_template.c.stored_at, document_template.c.template_id)
        if before:
            query = query.where(sa.tuple_(*place) < sa.tuple_(*before))
        query = query.order_by(*(each.desc() for each in place)).limit(limit)
        async with self._database.transaction() as connection:
            return [ListedTemplate(**dict(row)) for row in (await connection.execute(query)).mappings()]
