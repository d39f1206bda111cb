"""The lists of orders and of buyers."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects.postgresql import JSONB

revision = "0002"
down_revision = "0001"

SCHEMA = "ordering"


def upgrade() -> None:
    moment = sa.TIMESTAMP(timezone=True)
    op.create_table(
        "listed_order",
        sa.Column("order_id", sa.Uuid, primary_key=True),
        sa.Column("version", sa.Integer, nullable=False),
        sa.Column("buyer_id", sa.Uuid, nullable=False),
        sa.Column("status", sa.Text, nullable=False),
        sa.Column("lines", JSONB, nullable=False),
        sa.Column("total_minor", sa.BigInteger, nullable=False),
        sa.Column("currency", sa.Text, nullable=False),
        sa.Column("payment_id", sa.Uuid),
        sa.Column("reason", sa.Text),
        sa.Column("carrier", sa.Text),
        sa.Column("tracking_code", sa.Text),
        sa.Column("placed_at", moment, nullable=False),
        sa.Column("changed_at", moment, nullable=False),
        schema=SCHEMA,
    )
    op.create_index("listed_order_of_buyer", "listed_order", ["buyer_id", "placed_at", "order_id"], schema=SCHEMA)
    op.create_table(
        "buyer",
        sa.Column("buyer_id", sa.Uuid, primary_key=True),
        sa.Column("since", moment),
        sa.Column("is_active", sa.Boolean, nullable=False, server_default=sa.true()),
        schema=SCHEMA,
    )
    active = sa.text("is_active and since is not null")
    op.create_index("buyer_active", "buyer", ["since", "buyer_id"], schema=SCHEMA, postgresql_where=active)


def downgrade() -> None:
    for table in ("buyer", "listed_order"):
        op.drop_table(table, schema=SCHEMA)
