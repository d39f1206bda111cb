"""Sagas with their steps, history and clock; outbox, positions and group tables."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects.postgresql import JSONB

from infra.migrations import create_group_tables, create_handled, create_outbox, create_position, drop_group_tables

revision = "0001"
down_revision = None

SCHEMA = "sagas"


def upgrade() -> None:
    create_position(SCHEMA)
    create_outbox(SCHEMA)
    create_group_tables(SCHEMA)
    create_handled(SCHEMA)
    _create_sagas()
    moment = sa.TIMESTAMP(timezone=True)
    op.create_table(
        "note",
        sa.Column("saga", sa.Uuid, primary_key=True),
        sa.Column("number", sa.Integer, primary_key=True),
        sa.Column("at", moment, nullable=False),
        *(sa.Column(name, sa.Text, nullable=False) for name in ("what", "step", "detail", "causation_id")),
        sa.Column("actor", sa.Uuid),
        schema=SCHEMA,
    )
    op.create_table(
        "clock",
        sa.Column("name", sa.Text, primary_key=True),
        sa.Column("seen_at", moment, nullable=False),
        schema=SCHEMA,
    )


def downgrade() -> None:
    for table in ("clock", "note", "step", "saga", "handled"):
        op.drop_table(table, schema=SCHEMA)
    drop_group_tables(SCHEMA)
    for table in ("outbox", "position"):
        op.drop_table(table, schema=SCHEMA)


def _create_sagas() -> None:
    moment = sa.TIMESTAMP(timezone=True)
    op.create_table(
        "saga",
        sa.Column("id", sa.Uuid, primary_key=True),
        sa.Column("definition", sa.Text, nullable=False),
        sa.Column("key", sa.Uuid, nullable=False),
        sa.Column("version", sa.Integer, nullable=False),
        sa.Column("phase", sa.Text, nullable=False),
        sa.Column("parked", sa.Text),
        sa.Column("data", JSONB, nullable=False),
        sa.Column("correlation_id", sa.Text, nullable=False),
        sa.Column("causation_id", sa.Text, nullable=False),
        sa.Column("traceparent", sa.Text),
        sa.Column("notes", sa.Integer, nullable=False),
        *(sa.Column(name, moment, nullable=False) for name in ("started_at", "changed_at", "stuck_at")),
        sa.Column("ended_at", moment),
        schema=SCHEMA,
    )
    op.create_index("ix_saga_key", "saga", ["key"], schema=SCHEMA)
    op.create_index("saga_started", "saga", ["started_at", "id"], schema=SCHEMA)
    is_open = sa.text("ended_at is null")
    op.create_index("saga_open", "saga", ["definition", "started_at"], schema=SCHEMA, postgresql_where=is_open)
    op.create_table(
        "step",
        sa.Column("saga", sa.Uuid, primary_key=True),
        sa.Column("name", sa.Text, primary_key=True),
        sa.Column("status", sa.Text, nullable=False),
        sa.Column("tries", sa.Integer, nullable=False),
        sa.Column("due_at", moment),
        schema=SCHEMA,
    )
    is_due = sa.text("due_at is not null")
    op.create_index("step_due", "step", ["due_at"], schema=SCHEMA, postgresql_where=is_due)
