"""Bring each context's schema to its newest version and fence it off: one schema and one role per context."""

import hashlib
import hmac
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import sqlalchemy as sa
from alembic import command, op
from alembic.config import Config
from sqlalchemy import make_url
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.ext.asyncio import AsyncConnection

from infra.postgres import Database

LOCK = 7_100  # advisory: two migrations never run side by side
ENVIRONMENT = Path(__file__).parent / "alembic"
NAME = re.compile(r"[a-z][a-z0-9_]{0,40}")


@dataclass(frozen=True, slots=True)
class ContextSchema:
    """A context's schema, named like the context."""

    name: str
    migrations: Path
    own_server: Database | None = None  # given its own database: nobody else is on it, no role is made
    only_grow: tuple[str, ...] = ()  # tables whose rows the context's role may add and read, but not change or delete


async def migrate(database: Database, schemas: Sequence[ContextSchema], secret: str, revision: str = "head") -> None:
    """Create and upgrade (or, to another `revision`, move) every schema; make or renew its role. Safe to repeat.

    Raise `Unavailable` when the database is away."""
    for schema in schemas:
        async with (schema.own_server or database).transaction() as connection:
            await connection.execute(sa.text("select pg_advisory_xact_lock(:lock)"), {"lock": LOCK})
            await connection.execute(sa.text(f"create schema if not exists {_checked(schema.name)}"))
            await connection.run_sync(_run_alembic, schema, revision)
            if schema.own_server is None:
                await _fence(connection, schema, secret)


def role_url(url: str, context: str, secret: str) -> str:
    """Return the URL a context's processes use: its own role, a password that only this installation can derive."""
    parsed = make_url(url)
    named = parsed.set(username=role_name(parsed.database or "", context), password=role_password(secret, context))
    return named.render_as_string(hide_password=False)


def role_name(database: str, context: str) -> str:
    """Return the context's role; roles belong to the whole server, so the database's name is in it."""
    return f"{re.sub(r'[^a-z0-9_]', '_', database.lower())}_{context}"


def role_password(secret: str, context: str) -> str:
    """Return the role's password: hex, so that it needs no quoting."""
    return hmac.digest(hashlib.sha256(b"headwater roles " + secret.encode()).digest(), context.encode(), "sha256").hex()


def create_position(schema: str) -> None:
    """Create the table of the context's consumer positions (first form; change it by a new migration)."""
    op.create_table(
        "position",
        sa.Column("consumer", sa.Text, primary_key=True),
        sa.Column("topic", sa.Text, primary_key=True),
        sa.Column("partition", sa.Integer, primary_key=True),
        sa.Column("next", sa.BigInteger, nullable=False),
        sa.Column("moved_at", sa.TIMESTAMP(timezone=True), nullable=False, server_default=sa.func.now()),
        schema=schema,
    )


def create_group_tables(schema: str) -> None:
    """Give positions claims and finished stretches; create dead letters, members and pauses (first form)."""
    op.add_column(
        "position", sa.Column("beyond", sa.ARRAY(sa.BigInteger), nullable=False, server_default="{}"), schema=schema
    )
    op.add_column("position", sa.Column("claim", sa.BigInteger, nullable=False, server_default="0"), schema=schema)
    moment = sa.TIMESTAMP(timezone=True)
    op.create_table(
        "dead_letter",
        sa.Column("consumer", sa.Text, primary_key=True),
        sa.Column("topic", sa.Text, primary_key=True),
        sa.Column("partition", sa.Integer, primary_key=True),
        sa.Column("place", sa.BigInteger, primary_key=True),  # the record's offset, a word SQL keeps for itself
        sa.Column("key", sa.LargeBinary),
        sa.Column("value", sa.LargeBinary),
        sa.Column("header_names", sa.ARRAY(sa.Text), nullable=False),
        sa.Column("header_values", sa.ARRAY(sa.LargeBinary), nullable=False),
        sa.Column("produced_ms", sa.BigInteger, nullable=False),
        sa.Column("type", sa.Text, nullable=False),
        sa.Column("error", sa.Text, nullable=False),
        sa.Column("stack", sa.Text, nullable=False),
        sa.Column("attempts", sa.Integer, nullable=False),
        sa.Column("buried_at", moment, nullable=False),
        sa.Column("is_due", sa.Boolean, nullable=False),
        schema=schema,
    )
    # A hash, since a B-tree takes no key of more than 2,704 bytes, and a record's may have a megabyte.
    op.create_index("dead_letter_of_key", "dead_letter", ["key"], schema=schema, postgresql_using="hash")
    op.create_table(
        "group_member",
        sa.Column("consumer", sa.Text, primary_key=True),
        sa.Column("member", sa.Uuid, primary_key=True),
        sa.Column("process", sa.Text, nullable=False),
        *(sa.Column(name, sa.Integer, nullable=False) for name in ("partitions", "waiting", "running", "retrying")),
        sa.Column("handled", sa.BigInteger, nullable=False),
        sa.Column("seen_at", moment, nullable=False),
        schema=schema,
    )
    op.create_table("paused_group", sa.Column("consumer", sa.Text, primary_key=True), schema=schema)


def drop_group_tables(schema: str) -> None:
    """Undo `create_group_tables`."""
    for table in ("paused_group", "group_member", "dead_letter"):
        op.drop_table(table, schema=schema)
    for column in ("claim", "beyond"):
        op.drop_column("position", column, schema=schema)


def create_handled(schema: str) -> None:
    """Create the table of what the context's groups have handled (first form)."""
    moment, offsets = sa.TIMESTAMP(timezone=True), sa.ARRAY(sa.BigInteger)
    op.create_table(
        "handled",
        sa.Column("consumer", sa.Text, primary_key=True),
        sa.Column("topic", sa.Text, primary_key=True),
        sa.Column("partition", sa.Integer, primary_key=True),
        sa.Column("first", sa.BigInteger, primary_key=True),
        sa.Column("since", moment, primary_key=True),
        sa.Column("past", sa.BigInteger, nullable=False),
        sa.Column("until", moment, nullable=False),
        *(sa.Column(name, offsets, nullable=False) for name in ("stretches", "tries", "buried")),
        schema=schema,
    )
    # No index on what is extended: rows are then changed in place.
    op.create_index("handled_since", "handled", ["since"], schema=schema)


def create_event_store(schema: str) -> None:
    """Create the context's event and outbox tables (first form; change them by a new migration)."""
    op.create_table(
        "event",
        sa.Column("stream", sa.Uuid, primary_key=True),
        sa.Column("version", sa.Integer, primary_key=True),
        sa.Column("place", sa.BigInteger, sa.Identity(), nullable=False),
        sa.Column("id", sa.Uuid, nullable=False, unique=True),
        sa.Column("type", sa.Text, nullable=False),
        sa.Column("body", sa.LargeBinary, nullable=False),
        sa.Column("recorded_at", sa.TIMESTAMP(timezone=True), nullable=False),
        sa.Column("headers", JSONB, nullable=False),
        schema=schema,
    )
    create_outbox(schema)


def create_outbox(schema: str) -> None:
    """Create the table of what the relay sends (first form; change it by a new migration)."""
    op.create_table(
        "outbox",
        sa.Column("id", sa.BigInteger, sa.Identity(), primary_key=True),
        sa.Column("topic", sa.Text, nullable=False),
        sa.Column("key", sa.Text, nullable=False),
        sa.Column("body", sa.LargeBinary, nullable=False),
        sa.Column("headers", JSONB, nullable=False),
        schema=schema,
    )


def create_snapshot(schema: str) -> None:
    """Create the table of the states that are kept of long streams (first form). Its rows may be deleted at any time."""
    op.create_table(
        "snapshot",
        sa.Column("stream", sa.Uuid, primary_key=True),
        sa.Column("form", sa.Text, primary_key=True),
        sa.Column("version", sa.Integer, nullable=False),
        sa.Column("state", sa.LargeBinary, nullable=False),
        sa.Column("kept_at", sa.TIMESTAMP(timezone=True), nullable=False, server_default=sa.func.now()),
        schema=schema,
    )


def _run_alembic(connection: sa.Connection, schema: ContextSchema, revision: str) -> None:
    config = Config()
    config.set_main_option("script_location", str(ENVIRONMENT))
    config.set_main_option("version_locations", str(schema.migrations))
    config.set_main_option("path_separator", "os")
    config.attributes.update({"connection": connection, "schema": schema.name})
    move = command.upgrade if revision == "head" else command.downgrade
    move(config, revision)


async def _fence(connection: AsyncConnection, fenced: ContextSchema, secret: str) -> None:
    """Let the context's role use its own schema and nothing else."""
    database = str(await connection.scalar(sa.text("select current_database()")))
    role, schema = role_name(database, fenced.name), _checked(fenced.name)
    known = await connection.scalar(sa.text("select 1 from pg_roles where rolname = :role"), {"role": role})
    verb = "alter" if known else "create"
    for statement in (
        f"{verb} role \"{role}\" login password '{role_password(secret, fenced.name)}'",
        f'grant usage on schema {schema} to "{role}"',
        f'grant select, insert, update, delete on all tables in schema {schema} to "{role}"',
        f'grant usage on all sequences in schema {schema} to "{role}"',
        f'revoke insert, update, delete on {schema}.alembic_version from "{role}"',
        f"revoke all on schema {schema} from public",
    ):
        await connection.execute(sa.text(statement))
    for table in fenced.only_grow:
        name = f"{schema}.{_checked(table)}"
        if await connection.scalar(sa.text("select to_regclass(:name)"), {"name": name}):  # not after a downgrade
            await connection.execute(sa.text(f'revoke update, delete on {name} from "{role}"'))


def _checked(name: str) -> str:
    """Names go into DDL, which takes no parameters."""
    if not NAME.fullmatch(name):
        raise ValueError(f"{name!r} is no name of a context")
    return name
