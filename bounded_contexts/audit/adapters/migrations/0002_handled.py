"""What the consumer groups have handled, for traces."""

from alembic import op

from infra.migrations import create_handled

revision = "0002"
down_revision = "0001"


def upgrade() -> None:
    create_handled("audit")


def downgrade() -> None:
    op.drop_table("handled", schema="audit")
