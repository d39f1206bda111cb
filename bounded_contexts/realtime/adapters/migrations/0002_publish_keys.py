"""Publish keys, the signed requests that were seen of late, and the event store of both."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects.postgresql import ARRAY

from infra.migrations import create_event_store

revision = "0002"
down_revision = "0001"

SCHEMA = "realtime"


def upgrade() -> None:
    create_event_store(SCHEMA)
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
    for table in ("signed_request", "publish_key", "outbox", "event"):
        op.drop_table(table, schema=SCHEMA)
