"""Inbox entries, marks and positions."""

import sqlalchemy as sa
from alembic import op

from infra.migrations import create_position

revision = "0001"
down_revision = None

SCHEMA = "notifications"


def upgrade() -> None:
    create_position(SCHEMA)
    moment = sa.TIMESTAMP(timezone=True)
    op.create_table(
        "entry",
        sa.Column("notification_id", sa.Uuid, primary_key=True),
        sa.Column("recipient_id", sa.Uuid, nullable=False),
        sa.Column("kind", sa.Text, nullable=False),
        sa.Column("cause_id", sa.Uuid, nullable=False, index=True),
        sa.Column("conversation_id", sa.Uuid, nullable=False),
        sa.Column("actor_id", sa.Uuid, nullable=False),
        sa.Column("preview", sa.Text, nullable=False),
        sa.Column("raised_at", moment, nullable=False),
        sa.Column("withdrawn_at", moment),
        schema=SCHEMA,
    )
    op.create_index("entry_of_recipient", "entry", ["recipient_id", "raised_at", "notification_id"], schema=SCHEMA)
    op.create_table(
        "mark",
        sa.Column("notification_id", sa.Uuid, primary_key=True),
        sa.Column("recipient_id", sa.Uuid, nullable=False),
        sa.Column("read_at", moment, nullable=False),
        schema=SCHEMA,
    )
    op.create_table(
        "mark_all",
        sa.Column("recipient_id", sa.Uuid, primary_key=True),
        sa.Column("until", moment, nullable=False),
        sa.Column("read_at", moment, nullable=False),
        schema=SCHEMA,
    )


def downgrade() -> None:
    for table in ("mark_all", "mark", "entry", "position"):
        op.drop_table(table, schema=SCHEMA)
