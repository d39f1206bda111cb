"""Kept states of stock items."""

from alembic import op

from infra.migrations import create_snapshot

revision = "0003"
down_revision = "0002"

SCHEMA = "inventory"


def upgrade() -> None:
    create_snapshot(SCHEMA)


def downgrade() -> None:
    op.drop_table("snapshot", schema=SCHEMA)
