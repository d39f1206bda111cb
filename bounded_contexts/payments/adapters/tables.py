"""Payments's tables. Their history is in migrations/."""

import sqlalchemy as sa

metadata = sa.MetaData()  # no schema: a rebuild writes to tables of the same names in another one

Moment = sa.TIMESTAMP(timezone=True)

# Webhooks that were taken, for as long as their time would let them be taken again.
webhook = sa.Table(
    "webhook",
    metadata,
    sa.Column("event_id", sa.Text, primary_key=True),
    sa.Column("attempted_at", sa.BigInteger, primary_key=True),  # Unix time in seconds, of each attempt
    sa.Column("heard_at", Moment, nullable=False, index=True),
)

payment = sa.Table(
    "payment",
    metadata,
    sa.Column("payment_id", sa.Uuid, primary_key=True),
    sa.Column("order_id", sa.Uuid, nullable=False, unique=True),
    sa.Column("buyer_id", sa.Uuid),
    sa.Column("status", sa.Text, nullable=False),
    sa.Column("amount_minor", sa.BigInteger, nullable=False, server_default="0"),
    sa.Column("captured_minor", sa.BigInteger, nullable=False, server_default="0"),
    sa.Column("refunded_minor", sa.BigInteger, nullable=False, server_default="0"),
    sa.Column("currency", sa.Text),
    sa.Column("reason", sa.Text),
    sa.Column("provider_reference", sa.Text),
    sa.Column("begun_at", Moment, nullable=False),
    sa.Column("changed_at", Moment, nullable=False),
    sa.Column("asked", sa.ARRAY(sa.Text), nullable=False, server_default="{}"),  # steps of no known outcome
    sa.Index("payment_by_time", "begun_at", "payment_id"),
    sa.Index("payment_that_waits", "payment_id", postgresql_where=sa.text("asked <> '{}'")),
)
