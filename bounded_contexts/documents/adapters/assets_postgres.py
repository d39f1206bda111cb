"""The list of assets: ports `AssetWriter` and `AssetReader`."""

import sqlalchemy as sa
from sqlalchemy.dialects.postgresql import insert

from bounded_contexts.documents.adapters.tables import document_asset
from bounded_contexts.documents.application.asset_ports import ListedAsset
from bounded_contexts.documents.application.job_ports import Place
from bounded_contexts.documents.domain.asset import AssetEvent
from infra.postgres import Database
from schemas.documents.events import AssetRemoved


class PostgresAssets:
    def __init__(self, database: Database) -> None:
        self._database = database

    async def changed(self, event: AssetEvent) -> None:
        statement: sa.Executable
        if isinstance(event, AssetRemoved):
            statement = sa.delete(document_asset).where(document_asset.c.asset_id == event.asset_id)
        else:
            row = {
                "asset_id": event.asset_id,
                "name": event.name,
                "version": event.version,
                "media_type": event.media_type,
                "size": event.content_bytes,
                "sha256": event.content_sha256,
                "stored_at": event.stored_at,
            }
            new = insert(document_asset).values(row)
            statement = new.on_conflict_do_update(
                index_elements=["asset_id"],
                set_=row,
                where=document_asset.c.version < event.version,
            )
        async with self._database.transaction() as connection:
            await connection.execute(statement)

    async def newest(self, limit: int, before: Place | None = None) -> list[ListedAsset]:
        query = sa.select(document_asset)
        place = (document_asset.c.stored_at, document_asset.c.asset_id)
        if before:
            query = query.where(sa.tuple_(*place) < sa.tuple_(*before))
        query = query.order_by(*(each.desc() for each in place)).limit(limit)
        async with self._database.transaction() as connection:
            return [ListedAsset(**dict(row)) for row in (await connection.execute(query)).mappings()]
