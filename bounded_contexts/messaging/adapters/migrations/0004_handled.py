"""What the consumer groups have handled, for traces."""

from alembic import op

from infra.migrations import create_handled

revision = "0004"
down_revision = "0003"


def upgrade() -> None:
    create_handled("messaging")


def downgrade() -> None:
    op.drop_table("handled", schema="messaging")
