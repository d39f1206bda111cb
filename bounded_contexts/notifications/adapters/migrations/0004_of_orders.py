"""Entries that are about no conversation, and that nobody caused."""

from alembic import op

revision = "0004"
down_revision = "0003"

COLUMNS = ("conversation_id", "actor_id")


def upgrade() -> None:
    for column in COLUMNS:
        op.alter_column("entry", column, nullable=True, schema="notifications")


def downgrade() -> None:
    op.execute("delete from notifications.entry where conversation_id is null")
    for column in COLUMNS:
        op.alter_column("entry", column, nullable=False, schema="notifications")
