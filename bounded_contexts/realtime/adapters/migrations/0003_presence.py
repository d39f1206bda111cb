"""What of a user's presence outlives their sockets, and the open sockets of a user."""

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"

SCHEMA = "realtime"


def upgrade() -> None:
    op.create_table(
        "presence",
        sa.Column("user_id", sa.Uuid, primary_key=True),
        sa.Column("status", sa.Text, nullable=False, server_default="online"),
        sa.Column("visible_to", sa.Text, nullable=False, server_default="everybody"),
        sa.Column("seen_at", sa.TIMESTAMP(timezone=True)),
        schema=SCHEMA,
    )
    op.create_index("session_open", "session", ["user_id"], schema=SCHEMA, postgresql_where=sa.text("ended_at is null"))


def downgrade() -> None:
    op.drop_index("session_open", "session", schema=SCHEMA)
    op.drop_table("presence", schema=SCHEMA)
