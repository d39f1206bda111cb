"""Stock items, their movements, and what orders hold."""

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"

SCHEMA = "inventory"


def upgrade() -> None:
    moment, sku = sa.TIMESTAMP(timezone=True), sa.Text(collation="C")
    op.create_table(
        "stock_item",
        sa.Column("sku", sku, primary_key=True),
        sa.Column("name", sa.Text, nullable=False),
        *(sa.Column(name, sa.BigInteger, nullable=False, server_default="0") for name in ("free", "reserved", "sold")),
        sa.Column("added_at", moment, nullable=False),
        schema=SCHEMA,
    )
    op.create_table(
        "stock_movement",
        sa.Column("movement_id", sa.Uuid, primary_key=True),
        sa.Column("sku", sku, nullable=False),
        sa.Column("kind", sa.Text, nullable=False),
        sa.Column("quantity", sa.Integer, nullable=False),
        sa.Column("receipt_id", sa.Uuid),
        sa.Column("order_id", sa.Uuid),
        sa.Column("moved_at", moment, nullable=False),
        schema=SCHEMA,
    )
    op.create_index("stock_movement_of_item", "stock_movement", ["sku", "moved_at", "movement_id"], schema=SCHEMA)
    op.create_table(
        "reservation",
        sa.Column("order_id", sa.Uuid, primary_key=True),
        sa.Column("is_held", sa.Boolean, nullable=False),
        sa.Column("expires_at", moment, nullable=False),
        schema=SCHEMA,
    )
    held = sa.text("is_held")
    op.create_index("reservation_held", "reservation", ["expires_at"], schema=SCHEMA, postgresql_where=held)


def downgrade() -> None:
    for table in ("reservation", "stock_movement", "stock_item"):
        op.drop_table(table, schema=SCHEMA)
