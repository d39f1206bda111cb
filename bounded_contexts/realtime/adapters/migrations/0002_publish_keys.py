"""Publish keys with their event store, the signed requests that were seen of late, and consumer groups."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects.postgresql import ARRAY

from infra.migrations import (
    create_event_store,
    create_group_tables,
    create_handled,
    create_position,
    drop_group_tables,
)

revision = "0002"
down_revision = "0001"

SCHEMA = "realtime"


def upgrade() -> None:
    create_position(SCHEMA)
    create_event_store(SCHEMA)
    create_group_tables(SCHEMA)
    create_handled(SCHEMA)
    moment = sa.TIMESTAMP(timezone=True)
    op.create_table(
        "publish_key",
        sa.Column("key_id", sa.Uuid, primary_key=True),
        sa.Column("name", sa.Text, nullable=False),
        sa.Column("channels", ARRAY(sa.Text), nullable=False),
        sa.Column("may_public", sa.Boolean, nullable=False),
        sa.Column("sealed", sa.LargeBinary, nullable=False),
        sa.Column("former", sa.LargeBinary),
        sa.Column("former_until", moment),
        sa.Column("made_at", moment, nullable=False),
        sa.Column("rotated_at", moment),
        schema=SCHEMA,
    )
    op.create_table(
        "signed_request",
        sa.Column("key_id", sa.Uuid, primary_key=True),
        sa.Column("request_id", sa.Text, primary_key=True),
        sa.Column("seen_at", moment, nullable=False, index=True),
        schema=SCHEMA,
    )


def downgrade() -> None:
    drop_group_tables(SCHEMA)
    for table in ("signed_request", "publish_key", "handled", "outbox", "event", "position"):
        op.drop_table(table, schema=SCHEMA)
