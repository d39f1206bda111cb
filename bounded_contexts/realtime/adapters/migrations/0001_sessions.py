"""Which sockets were open, and from where to where each was sent events."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects.postgresql import JSONB

revision = "0001"
down_revision = None

SCHEMA = "realtime"


def upgrade() -> None:
    moment = sa.TIMESTAMP(timezone=True)
    op.create_table(
        "node",
        sa.Column("node", sa.Uuid, primary_key=True),
        sa.Column("seen_at", moment, nullable=False),
        sa.Column("reached", JSONB, nullable=False),
        schema=SCHEMA,
    )
    op.create_table(
        "session",
        sa.Column("sid", sa.Text, primary_key=True),
        sa.Column("node", sa.Uuid, nullable=False),
        sa.Column("user_id", sa.Uuid, nullable=False),
        sa.Column("connected_at", moment, nullable=False),
        sa.Column("acknowledged", JSONB),
        sa.Column("begins", JSONB, nullable=False),
        sa.Column("reached", JSONB),
        sa.Column("ended_at", moment),
        schema=SCHEMA,
    )
    op.create_index("session_of_user", "session", ["user_id", "connected_at"], schema=SCHEMA)


def downgrade() -> None:
    for table in ("session", "node"):
        op.drop_table(table, schema=SCHEMA)
