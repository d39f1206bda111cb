"""The list of payments."""

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"

SCHEMA = "payments"


def upgrade() -> None:
    moment = sa.TIMESTAMP(timezone=True)
    op.create_table(
        "payment",
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
        sa.Column("begun_at", moment, nullable=False),
        sa.Column("changed_at", moment, nullable=False),
        sa.Column("asked", sa.ARRAY(sa.Text), nullable=False, server_default="{}"),
        schema=SCHEMA,
    )
    op.create_index("payment_by_time", "payment", ["begun_at", "payment_id"], schema=SCHEMA)
    waits = sa.text("asked <> '{}'")
    op.create_index("payment_that_waits", "payment", ["payment_id"], schema=SCHEMA, postgresql_where=waits)


def downgrade() -> None:
    op.drop_table("payment", schema=SCHEMA)
