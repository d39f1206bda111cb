"""Webhooks that were taken."""

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"

SCHEMA = "payments"


def upgrade() -> None:
    op.create_table(
        "webhook",
        sa.Column("event_id", sa.Text, primary_key=True),
        sa.Column("attempted_at", sa.BigInteger, primary_key=True),
        sa.Column("heard_at", sa.TIMESTAMP(timezone=True), nullable=False, index=True),
        schema=SCHEMA,
    )


def downgrade() -> None:
    op.drop_table("webhook", schema=SCHEMA)
