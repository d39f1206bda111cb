"""Migrations on a fresh database: up, down, up again, and each context fenced off from the others."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from typing import Any
from uuid import uuid4

import pytest
import sqlalchemy as sa
from alembic.autogenerate import compare_metadata
from alembic.runtime.migration import MigrationContext
from pydantic import SecretStr
from sqlalchemy import make_url
from sqlalchemy.exc import ProgrammingError

from bounded_contexts.audit.adapters.tables import metadata as audit_tables
from bounded_contexts.documents.adapters.tables import metadata as documents_tables
from bounded_contexts.identity.adapters.tables import metadata as identity_tables
from bounded_contexts.inventory.adapters.tables import metadata as inventory_tables
from bounded_contexts.messaging.adapters.tables import metadata as messaging_tables
from bounded_contexts.notifications.adapters.tables import metadata as notifications_tables
from bounded_contexts.ordering.adapters.tables import metadata as ordering_tables
from bounded_contexts.payments.adapters.tables import metadata as payments_tables
from bounded_contexts.realtime.adapters.tables import metadata as realtime_tables
from headwater import wiring
from headwater.settings import SettingsError
from infra.migrations import ContextSchema, migrate, role_name, role_password, role_url
from infra.postgres import Database
from infra.sagas.tables import metadata as saga_tables
from shared_kernel.errors import Unavailable
from tests.conftest import SECRET, settings_for
from tests.servers import Servers


def in_schema(tables: sa.MetaData, schema: str) -> sa.MetaData:
    """Return the tables as they lie in the schema; the code leaves that to the connection."""
    there = sa.MetaData(schema=schema)
    for table in tables.sorted_tables:
        table.to_metadata(there)
    return there


TABLES = {
    name: in_schema(tables, name)
    for name, tables in (
        ("audit", audit_tables),
        ("identity", identity_tables),
        ("messaging", messaging_tables),
        ("notifications", notifications_tables),
        ("realtime", realtime_tables),
        ("ordering", ordering_tables),
        ("inventory", inventory_tables),
        ("payments", payments_tables),
        ("documents", documents_tables),
        ("sagas", saga_tables),
    )
}
SHARED = {
    "event",
    "outbox",
    "position",
    "dead_letter",
    "group_member",
    "paused_group",
    "handled",
    "snapshot",
    "alembic_version",
}  # infra's own, made by its functions
SCHEMAS = [
    ContextSchema(name, path, only_grow=wiring.ONLY_GROW.get(name, ())) for name, path in wiring.MIGRATIONS.items()
]


@asynccontextmanager
async def connected(url: str) -> AsyncIterator[Database]:
    database = Database(url, pool_size=2)
    try:
        yield database
    finally:
        await database.close()


async def execute(database: Database, statement: str) -> Any:
    async with database.transaction() as connection:
        result = await connection.execute(sa.text(statement))
        return result.all() if result.returns_rows else None


@asynccontextmanager
async def fresh(servers: Servers) -> AsyncIterator[str]:
    """Lend the URL of a database that nobody has used."""
    name = f"fresh_{uuid4().hex[:12]}"
    async with connected(servers.database_url) as server:
        async with server.driver() as connection:
            await connection.execute(f"create database {name}")
        yield make_url(servers.database_url).set(database=name).render_as_string(hide_password=False)
        async with server.driver() as connection:
            await connection.execute(f"drop database {name} with (force)")
            for context in wiring.MIGRATIONS:
                await connection.execute(f"drop role if exists {role_name(name, context)}")


@pytest.fixture
async def url(servers: Servers) -> AsyncIterator[str]:
    async with fresh(servers) as url:
        yield url


@pytest.fixture
async def owner(url: str) -> AsyncIterator[Database]:
    async with connected(url) as database:
        yield database


@pytest.fixture(scope="module")
async def migrated_url(servers: Servers) -> AsyncIterator[str]:
    """The URL of a migrated database, for tests that leave its schemas as they are."""
    async with fresh(servers) as url:
        async with connected(url) as owner:
            await migrate(owner, SCHEMAS, SECRET)
        yield url


@pytest.fixture
async def migrated_owner(migrated_url: str) -> AsyncIterator[Database]:
    async with connected(migrated_url) as database:
        yield database


async def tables(owner: Database) -> set[tuple[str, str]]:
    """Return (schema, table) of all that contexts have."""
    rows = await execute(
        owner,
        "select table_schema, table_name from information_schema.tables "
        "where table_schema not in ('pg_catalog', 'information_schema', 'public')",
    )
    return {(row[0], row[1]) for row in rows}


async def columns(owner: Database) -> list[tuple[Any, ...]]:
    rows = await execute(
        owner,
        "select table_schema, table_name, column_name, data_type, is_nullable, column_default "
        "from information_schema.columns where table_schema not in ('pg_catalog', 'information_schema') order by 1, 2, 3",
    )
    return [tuple(row) for row in rows]


def test_every_context_with_migrations_is_looked_at() -> None:
    assert set(TABLES) == set(wiring.MIGRATIONS)


async def test_from_an_empty_database_to_base_and_up_again(owner: Database) -> None:
    await migrate(owner, SCHEMAS, SECRET)
    first = await columns(owner)
    await migrate(owner, SCHEMAS, SECRET, revision="base")
    emptied = await tables(owner)
    await migrate(owner, SCHEMAS, SECRET)

    assert emptied == {(context, "alembic_version") for context in TABLES}
    assert first
    assert await columns(owner) == first


async def test_migrating_twice_is_migrating_once(owner: Database) -> None:
    await migrate(owner, SCHEMAS, SECRET)
    first = await columns(owner)

    await migrate(owner, SCHEMAS, SECRET)

    assert await columns(owner) == first


async def test_processes_may_migrate_at_the_same_time(owner: Database, url: str) -> None:
    async with connected(url) as another:
        await asyncio.gather(migrate(owner, SCHEMAS, SECRET), migrate(another, SCHEMAS, SECRET))

    assert {schema for schema, _ in await tables(owner)} == set(TABLES)


async def test_what_is_stored_survives_migrating_again(owner: Database) -> None:
    await migrate(owner, SCHEMAS, SECRET)
    await execute(owner, "insert into messaging.\"position\" values ('g', 't', 0, 5)")

    await migrate(owner, SCHEMAS, SECRET)

    assert [tuple(row) for row in await execute(owner, 'select consumer, next from messaging."position"')] == [("g", 5)]


@pytest.mark.parametrize("context", sorted(TABLES))
async def test_the_migrated_schema_is_what_the_code_believes(migrated_owner: Database, context: str) -> None:
    def is_ours(name: str | None, kind: str, parents: Any) -> bool:
        if kind == "schema":
            return name == context
        return kind != "table" or (name or "") not in SHARED

    def difference(connection: sa.Connection, believed: sa.MetaData) -> list[Any]:
        options = {"include_schemas": True, "include_name": is_ours, "compare_server_default": True}
        found: list[Any] = compare_metadata(MigrationContext.configure(connection, opts=options), believed)
        return found

    async with migrated_owner.transaction() as connection:
        assert await connection.run_sync(difference, TABLES[context]) == []
        surplus = await connection.run_sync(difference, sa.MetaData())

    assert {str(each[1]) for each in surplus if each[0] == "remove_table"} == set(TABLES[context].tables)


class TestFence:
    @pytest.fixture
    async def role(self, migrated_url: str) -> AsyncIterator[Database]:
        """Messaging's own connection."""
        async with connected(role_url(migrated_url, "messaging", SECRET)) as database:
            yield database

    async def test_a_context_reads_and_writes_its_own_tables(self, role: Database) -> None:
        for table in sorted(TABLES["messaging"].tables):
            await execute(role, f"select * from {table}")
            await execute(role, f"delete from {table}")
        await execute(role, "insert into messaging.outbox (topic, key, body, headers) values ('t', 'k', '', '[]')")

    @pytest.mark.parametrize(
        "statement",
        [
            *(f"select * from {table}" for table in sorted(TABLES["notifications"].tables)),
            "insert into notifications.\"position\" values ('g', 't', 0, 5)",
            "select * from notifications.alembic_version",
            "create table notifications.mine (id int)",
            "create table messaging.mine (id int)",
            "create table public.mine (id int)",
            "create schema mine",
            "create role mine",
            "alter table messaging.message add column mine int",
            "drop table messaging.message",
            "truncate messaging.message",
            "delete from messaging.alembic_version",
            "update messaging.alembic_version set version_num = '0'",
        ],
    )
    async def test_it_does_nothing_else(self, role: Database, statement: str) -> None:
        with pytest.raises(ProgrammingError, match=r"permission denied|must be owner"):
            await execute(role, statement)

    async def test_another_secret_does_not_open_it(self, migrated_url: str) -> None:
        async with connected(role_url(migrated_url, "messaging", "another " * 5)) as wrong:
            with pytest.raises(Unavailable, match="password authentication failed"):
                await wrong.ping()

    async def test_migrating_renews_the_password_when_the_secret_has_changed(self, owner: Database, url: str) -> None:
        changed = "changed " * 5
        await migrate(owner, SCHEMAS, SECRET)

        await migrate(owner, SCHEMAS, changed)

        assert role_password(changed, "messaging") != role_password(SECRET, "messaging")
        async with connected(role_url(url, "messaging", changed)) as renewed:
            await renewed.ping()


async def test_a_context_may_have_its_own_database(owner: Database, servers: Servers) -> None:
    name = f"own_{uuid4().hex[:12]}"
    url = make_url(servers.database_url).set(database=name).render_as_string(hide_password=False)
    async with owner.driver() as connection:
        await connection.execute(f"create database {name}")
    async with connected(url) as own:
        schemas = [replace(each, own_server=own if each.name == "messaging" else None) for each in SCHEMAS]
        await migrate(owner, schemas, SECRET)

        assert {schema for schema, _ in await tables(own)} == {"messaging"}
        assert {schema for schema, _ in await tables(owner)} == set(TABLES) - {"messaging"}
    async with owner.driver() as connection:
        await connection.execute(f"drop database {name} with (force)")


@pytest.mark.parametrize("name", ["", "Messaging", "a-b", "a;drop", "1a", "x" * 50])
async def test_a_name_that_could_be_more_than_a_name_is_refused(migrated_owner: Database, name: str) -> None:
    with pytest.raises(ValueError, match="is no name of a context"):
        await migrate(migrated_owner, [ContextSchema(name, wiring.MIGRATIONS["messaging"])], SECRET)


@pytest.mark.parametrize(
    ("wrong", "told"),
    [({"password": "wr0ng-pass"}, "authentication failed"), ({"database": "nowhere"}, '"nowhere" does not exist')],
)
async def test_a_database_that_refuses_us_is_told_with_the_variable(
    servers: Servers, wrong: dict[str, Any], told: str
) -> None:
    url = make_url(servers.database_url).set(**wrong).render_as_string(hide_password=False)
    settings = settings_for(servers).model_copy(update={"database_url": SecretStr(url)})

    with pytest.raises(SettingsError) as refused:
        await wiring.migrate_all(settings)

    assert "class" not in str(refused.value)
    assert told in str(refused.value)
    assert str(refused.value).endswith("correct HEADWATER_DATABASE_URL")
    assert "wr0ng-pass" not in str(refused.value)
