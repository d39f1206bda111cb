"""Orders that wait for their confirmation, and an invoice."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects.postgresql import JSONB

revision = "0005"
down_revision = "0004"

SCHEMA = "documents"


def upgrade() -> None:
    op.create_table(
        "placed_order",
        sa.Column("order_id", sa.Uuid, primary_key=True),
        sa.Column("buyer_id", sa.Uuid, nullable=False),
        sa.Column("currency", sa.Text, nullable=False),
        sa.Column("lines", JSONB, nullable=False),
        sa.Column("placed_at", sa.TIMESTAMP(timezone=True), nullable=False),
        schema=SCHEMA,
    )


def downgrade() -> None:
    op.drop_table("placed_order", schema=SCHEMA)
