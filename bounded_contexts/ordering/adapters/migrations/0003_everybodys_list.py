"""Everybody's orders are listed, too, all of them or those of one status."""

from alembic import op

revision = "0003"
down_revision = "0002"

SCHEMA = "ordering"


def upgrade() -> None:
    op.create_index("listed_order_by_time", "listed_order", ["placed_at", "order_id"], schema=SCHEMA)
    op.create_index("listed_order_by_status", "listed_order", ["status", "placed_at", "order_id"], schema=SCHEMA)


def downgrade() -> None:
    for index in ("listed_order_by_status", "listed_order_by_time"):
        op.drop_index(index, "listed_order", schema=SCHEMA)
