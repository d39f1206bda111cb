"""Realtime's tables. Their history is in migrations/."""

import sqlalchemy as sa
from sqlalchemy.dialects.postgresql import ARRAY, JSONB

metadata = sa.MetaData()

Moment = sa.TIMESTAMP(timezone=True)

node = sa.Table(
    "node",
    metadata,
    sa.Column("node", sa.Uuid, primary_key=True),
    sa.Column("seen_at", Moment, nullable=False),
    sa.Column("reached", JSONB, nullable=False),  # topic → partition → next offset: everything before it was delivered
)
session = sa.Table(
    "session",
    metadata,
    sa.Column("sid", sa.Text, primary_key=True),
    sa.Column("node", sa.Uuid, nullable=False),
    sa.Column("user_id", sa.Uuid, nullable=False),
    sa.Column("connected_at", Moment, nullable=False),
    sa.Column("acknowledged", JSONB),  # the position it came with: its client had handled everything before it
    sa.Column("begins", JSONB, nullable=False),  # what came from there on was queued for it,
    sa.Column("reached", JSONB),  # up to there; null: as far as its node is
    sa.Column("ended_at", Moment),
    sa.Index("session_of_user", "user_id", "connected_at"),
    sa.Index("session_open", "user_id", postgresql_where=sa.text("ended_at is null")),
)
presence = sa.Table(
    "presence",
    metadata,
    sa.Column("user_id", sa.Uuid, primary_key=True),
    sa.Column("status", sa.Text, nullable=False, server_default="online"),  # as chosen
    sa.Column("visible_to", sa.Text, nullable=False, server_default="everybody"),
    sa.Column("seen_at", Moment),  # when the last socket ended, or when they became invisible
)
recovery = sa.Table(
    "recovery",
    metadata,
    sa.Column("pid", sa.Text, primary_key=True),
    sa.Column("channels", JSONB, nullable=False),  # name → until when the right to it lasts; null: as long as it does
    sa.Column("kept_at", Moment, nullable=False, index=True),
)
publish_key = sa.Table(
    "publish_key",
    metadata,
    sa.Column("key_id", sa.Uuid, primary_key=True),
    sa.Column("name", sa.Text, nullable=False),
    sa.Column("channels", ARRAY(sa.Text), nullable=False),  # globs
    sa.Column("may_public", sa.Boolean, nullable=False),
    sa.Column("sealed", sa.LargeBinary, nullable=False),  # the secret
    sa.Column("former", sa.LargeBinary),  # and the one before, sealed as well,
    sa.Column("former_until", Moment),  # which holds until then
    sa.Column("made_at", Moment, nullable=False),
    sa.Column("rotated_at", Moment),
)
signed_request = sa.Table(
    "signed_request",
    metadata,
    sa.Column("key_id", sa.Uuid, primary_key=True),
    sa.Column("request_id", sa.Text, primary_key=True),
    sa.Column("seen_at", Moment, nullable=False, index=True),
)
