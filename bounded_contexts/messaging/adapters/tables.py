"""Messaging's tables. Their history is in migrations/."""

import sqlalchemy as sa
from sqlalchemy.dialects.postgresql import ARRAY, JSONB

metadata = sa.MetaData()  # no schema: a rebuild writes to tables of the same names in another one

Moment = sa.TIMESTAMP(timezone=True)

message = sa.Table(
    "message",
    metadata,
    sa.Column("message_id", sa.Uuid, primary_key=True),
    sa.Column("conversation_id", sa.Uuid, nullable=False),
    sa.Column("seq", sa.BigInteger, nullable=False),
    sa.Column("sender_id", sa.Uuid, nullable=False),
    sa.Column("client_id", sa.Text, nullable=False),
    sa.Column("body", sa.Text, nullable=False),
    sa.Column("version", sa.Integer, nullable=False, server_default="1"),
    sa.Column("sent_at", Moment, nullable=False),
    sa.Column("edited_at", Moment),
    sa.Column("deleted_at", Moment),
    sa.Column("erased_at", Moment),
    sa.UniqueConstraint("conversation_id", "seq"),
)

message_edit = sa.Table(
    "message_edit",
    metadata,
    sa.Column("edit_id", sa.Uuid, primary_key=True),
    sa.Column("message_id", sa.Uuid, nullable=False, index=True),
    sa.Column("version", sa.Integer, nullable=False),  # of the text that was replaced
    sa.Column("body", sa.Text, nullable=False),  # the text that was replaced
    sa.Column("written_at", Moment, nullable=False),  # when that text was written
)

# Outlives the message's row: emptied tables and messages that come late get no text back.
erasure = sa.Table(
    "erasure",
    metadata,
    sa.Column("message_id", sa.Uuid, primary_key=True),
    sa.Column("erased_at", Moment, nullable=False),
)

conversation = sa.Table(
    "conversation",
    metadata,
    sa.Column("conversation_id", sa.Uuid, primary_key=True),
    sa.Column("kind", sa.Text, nullable=False),
    sa.Column("title", sa.Text),
    sa.Column("member_ids", ARRAY(sa.Uuid), nullable=False),
    sa.Column("started_at", Moment, nullable=False),
    sa.Column("last_message_at", Moment),
    sa.Column("public", sa.Boolean, nullable=False, server_default=sa.false()),
    sa.Column("metadata", JSONB, nullable=False, server_default="{}"),
    sa.Column("archived_at", Moment),
    sa.Index("conversation_members", "member_ids", postgresql_using="gin"),
    sa.Index("conversation_public", "started_at", "conversation_id", postgresql_where=sa.text("public")),
)
