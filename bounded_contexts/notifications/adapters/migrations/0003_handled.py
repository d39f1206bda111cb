"""What the consumer groups have handled, for traces."""

from alembic import op

from infra.migrations import create_handled

revision = "0003"
down_revision = "0002"


def upgrade() -> None:
    create_handled("notifications")


def downgrade() -> None:
    op.drop_table("handled", schema="notifications")
