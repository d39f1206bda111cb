"""Dead letters, claims and members of the consumer groups."""

from infra.migrations import create_group_tables, drop_group_tables

revision = "0003"
down_revision = "0002"


def upgrade() -> None:
    create_group_tables("messaging")


def downgrade() -> None:
    drop_group_tables("messaging")
