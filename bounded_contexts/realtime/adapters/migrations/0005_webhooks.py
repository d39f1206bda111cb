"""Who is on which node's channels, what of it was told, and webhooks with what waits for them."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects.postgresql import ARRAY

revision = "0005"
down_revision = "0004"

SCHEMA = "realtime"


def upgrade() -> None:
    moment = sa.TIMESTAMP(timezone=True)
    op.create_table(
        "occupied",
        sa.Column("node", sa.Uuid, primary_key=True),
        sa.Column("subject", sa.Text, primary_key=True),
        schema=SCHEMA,
    )
    op.create_table(
        "webhook_subject",
        sa.Column("subject", sa.Text, primary_key=True),
        sa.Column("is_told", sa.Boolean, nullable=False),
        sa.Column("differs_since", moment),
        schema=SCHEMA,
    )
    op.create_table(
        "webhook",
        sa.Column("webhook_id", sa.Uuid, primary_key=True),
        sa.Column("url", sa.Text, nullable=False),
        sa.Column("kinds", ARRAY(sa.Text), nullable=False),
        sa.Column("channels", ARRAY(sa.Text), nullable=False),
        sa.Column("sealed", sa.LargeBinary, nullable=False),
        sa.Column("made_by", sa.Uuid, nullable=False),
        sa.Column("made_at", moment, nullable=False),
        sa.Column("given_up", sa.BigInteger, nullable=False, server_default="0"),
        sa.Column("delivered_at", moment),
        sa.Column("last_error", sa.Text),
        sa.Column("failed_at", moment),
        schema=SCHEMA,
    )
    op.create_table(
        "webhook_delivery",
        sa.Column("nth", sa.BigInteger, sa.Identity(), primary_key=True),
        sa.Column("delivery_id", sa.Uuid, nullable=False, unique=True),
        sa.Column("webhook_id", sa.Uuid, nullable=False),
        sa.Column("subject", sa.Text, nullable=False),
        sa.Column("body", sa.Text, nullable=False),
        sa.Column("attempts", sa.Integer, nullable=False, server_default="0"),
        sa.Column("made_at", moment, nullable=False),
        sa.Column("due_at", moment, nullable=False),
        schema=SCHEMA,
    )
    op.create_index("webhook_delivery_due", "webhook_delivery", ["webhook_id", "due_at"], schema=SCHEMA)
    op.create_index("webhook_delivery_order", "webhook_delivery", ["webhook_id", "subject", "nth"], schema=SCHEMA)


def downgrade() -> None:
    for table in ("webhook_delivery", "webhook", "webhook_subject", "occupied"):
        op.drop_table(table, schema=SCHEMA)
