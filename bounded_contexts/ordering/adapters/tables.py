"""Ordering's tables. Their history is in migrations/."""

import sqlalchemy as sa
from sqlalchemy.dialects.postgresql import JSONB

metadata = sa.MetaData()  # no schema: a rebuild writes to tables of the same names in another one

Moment = sa.TIMESTAMP(timezone=True)

listed_order = sa.Table(
    "listed_order",
    metadata,
    sa.Column("order_id", sa.Uuid, primary_key=True),
    sa.Column("version", sa.Integer, nullable=False),  # of the order's stream
    sa.Column("buyer_id", sa.Uuid, nullable=False),
    sa.Column("status", sa.Text, nullable=False),
    sa.Column("lines", JSONB, nullable=False),
    sa.Column("total_minor", sa.BigInteger, nullable=False),
    sa.Column("currency", sa.Text, nullable=False),
    sa.Column("payment_id", sa.Uuid),
    sa.Column("reason", sa.Text),
    sa.Column("carrier", sa.Text),
    sa.Column("tracking_code", sa.Text),
    sa.Column("placed_at", Moment, nullable=False),
    sa.Column("changed_at", Moment, nullable=False),
    sa.Index("listed_order_of_buyer", "buyer_id", "placed_at", "order_id"),
    sa.Index("listed_order_by_time", "placed_at", "order_id"),
    sa.Index("listed_order_by_status", "status", "placed_at", "order_id"),
)

# How many orders somebody has is counted when it is asked for: a row that every order changed would have the partitions of the
# topic wait for each other.
buyer = sa.Table(
    "buyer",
    metadata,
    sa.Column("buyer_id", sa.Uuid, primary_key=True),
    sa.Column("since", Moment),  # null: known for having been blocked only
    sa.Column("is_active", sa.Boolean, nullable=False, server_default=sa.true()),
    sa.Index("buyer_active", "since", "buyer_id", postgresql_where=sa.text("is_active and since is not null")),
)
