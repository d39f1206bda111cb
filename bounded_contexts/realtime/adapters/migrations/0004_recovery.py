"""The channels of sockets that are to be recovered."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects.postgresql import JSONB

revision = "0004"
down_revision = "0003"

SCHEMA = "realtime"


def upgrade() -> None:
    op.create_table(
        "recovery",
        sa.Column("pid", sa.Text, primary_key=True),
        sa.Column("channels", JSONB, nullable=False),
        sa.Column("kept_at", sa.TIMESTAMP(timezone=True), nullable=False, index=True),
        schema=SCHEMA,
    )


def downgrade() -> None:
    op.drop_table("recovery", schema=SCHEMA)
