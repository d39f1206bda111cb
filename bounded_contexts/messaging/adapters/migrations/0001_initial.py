"""Messages, their former texts, the list of conversations; event store and positions."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects.postgresql import ARRAY, JSONB

from infra.migrations import create_event_store, create_position

revision = "0001"
down_revision = None

SCHEMA = "messaging"


def upgrade() -> None:
    create_position(SCHEMA)
    create_event_store(SCHEMA)
    moment = sa.TIMESTAMP(timezone=True)
    op.create_table(
        "message",
        sa.Column("message_id", sa.Uuid, primary_key=True),
        sa.Column("conversation_id", sa.Uuid, nullable=False),
        sa.Column("seq", sa.BigInteger, nullable=False),
        sa.Column("sender_id", sa.Uuid, nullable=False),
        sa.Column("client_id", sa.Text, nullable=False),
        sa.Column("body", sa.Text, nullable=False),
        sa.Column("version", sa.Integer, nullable=False, server_default="1"),
        sa.Column("sent_at", moment, nullable=False),
        sa.Column("edited_at", moment),
        sa.Column("deleted_at", moment),
        sa.UniqueConstraint("conversation_id", "seq"),
        schema=SCHEMA,
    )
    op.create_table(
        "message_edit",
        sa.Column("edit_id", sa.Uuid, primary_key=True),
        sa.Column("message_id", sa.Uuid, nullable=False, index=True),
        sa.Column("version", sa.Integer, nullable=False),
        sa.Column("body", sa.Text, nullable=False),
        sa.Column("written_at", moment, nullable=False),
        schema=SCHEMA,
    )
    op.create_table(
        "conversation",
        sa.Column("conversation_id", sa.Uuid, primary_key=True),
        sa.Column("kind", sa.Text, nullable=False),
        sa.Column("title", sa.Text),
        sa.Column("member_ids", ARRAY(sa.Uuid), nullable=False),
        sa.Column("started_at", moment, nullable=False),
        sa.Column("last_message_at", moment),
        sa.Column("public", sa.Boolean, nullable=False, server_default=sa.false()),
        sa.Column("metadata", JSONB, nullable=False, server_default="{}"),
        sa.Column("archived_at", moment),
        schema=SCHEMA,
    )
    op.create_index("conversation_members", "conversation", ["member_ids"], schema=SCHEMA, postgresql_using="gin")
    public = sa.text("public")
    op.create_index(
        "conversation_public", "conversation", ["started_at", "conversation_id"], schema=SCHEMA, postgresql_where=public
    )


def downgrade() -> None:
    for table in ("conversation", "message_edit", "message", "outbox", "event", "position"):
        op.drop_table(table, schema=SCHEMA)
