"""Inventory's tables. Their history is in migrations/."""

import sqlalchemy as sa

metadata = sa.MetaData()  # no schema: a rebuild writes to tables of the same names in another one

Moment = sa.TIMESTAMP(timezone=True)
Sku = sa.Text(collation="C")  # in the order of bytes, by which a prefix is a stretch of the index

stock_item = sa.Table(
    "stock_item",
    metadata,
    sa.Column("sku", Sku, primary_key=True),
    sa.Column("name", sa.Text, nullable=False),
    *(sa.Column(name, sa.BigInteger, nullable=False, server_default="0") for name in ("free", "reserved", "sold")),
    sa.Column("added_at", Moment, nullable=False),
)

stock_movement = sa.Table(
    "stock_movement",
    metadata,
    sa.Column("movement_id", sa.Uuid, primary_key=True),  # follows from what has moved: a repeat is the same row
    sa.Column("sku", Sku, nullable=False),
    sa.Column("kind", sa.Text, nullable=False),
    sa.Column("quantity", sa.Integer, nullable=False),
    sa.Column("receipt_id", sa.Uuid),
    sa.Column("order_id", sa.Uuid),
    sa.Column("moved_at", Moment, nullable=False),
    sa.Index("stock_movement_of_item", "sku", "moved_at", "movement_id"),
)

# One row an order for ever: an event that comes again finds what has become of it.
reservation = sa.Table(
    "reservation",
    metadata,
    sa.Column("order_id", sa.Uuid, primary_key=True),
    sa.Column("is_held", sa.Boolean, nullable=False),
    sa.Column("expires_at", Moment, nullable=False),
    sa.Index("reservation_held", "expires_at", postgresql_where=sa.text("is_held")),
)
