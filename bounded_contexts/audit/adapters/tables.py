"""Audit's tables, which only grow. Their history is in migrations/."""

import sqlalchemy as sa
from sqlalchemy.dialects.postgresql import ARRAY

metadata = sa.MetaData()

record = sa.Table(
    "record",
    metadata,
    sa.Column("topic", sa.Text, primary_key=True),
    sa.Column("partition", sa.Integer, primary_key=True),
    sa.Column("offset", sa.BigInteger, primary_key=True),
    sa.Column("previous_offset", sa.BigInteger),
    sa.Column("timestamp_ms", sa.BigInteger, nullable=False),
    sa.Column("event_id", sa.Text, index=True),
    sa.Column("type", sa.Text),
    sa.Column("correlation_id", sa.Text, index=True),
    sa.Column("causation_id", sa.Text, index=True),
    sa.Column("key", sa.LargeBinary),
    sa.Column("value", sa.LargeBinary),
    sa.Column("header_names", ARRAY(sa.Text), nullable=False),
    sa.Column("header_values", ARRAY(sa.LargeBinary), nullable=False),
    sa.Column("hash", sa.LargeBinary, nullable=False),
)
root = sa.Table(
    "root",
    metadata,
    sa.Column("number", sa.BigInteger, primary_key=True, autoincrement=False),
    sa.Column("made_at", sa.TIMESTAMP(timezone=True), nullable=False),
    sa.Column("body", sa.LargeBinary, nullable=False),
    sa.Column("signature", sa.LargeBinary, nullable=False),
    sa.Column("public_key", sa.LargeBinary, nullable=False),
)
