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
occupied = sa.Table(
    "occupied",
    metadata,
    sa.Column("node", sa.Uuid, primary_key=True),
    sa.Column("subject", sa.Text, primary_key=True),  # a channel that sockets of the node have subscribed to
)
webhook_subject = sa.Table(
    "webhook_subject",
    metadata,
    sa.Column("subject", sa.Text, primary_key=True),  # a channel or a user
    sa.Column("is_told", sa.Boolean, nullable=False),  # to be here
    sa.Column("differs_since", Moment),  # from what is; null: it does not
)
webhook = sa.Table(
    "webhook",
    metadata,
    sa.Column("webhook_id", sa.Uuid, primary_key=True),
    sa.Column("url", sa.Text, nullable=False),
    sa.Column("kinds", ARRAY(sa.Text), nullable=False),
    sa.Column("channels", ARRAY(sa.Text), nullable=False),  # globs
    sa.Column("sealed", sa.LargeBinary, nullable=False),  # the secret
    sa.Column("made_by", sa.Uuid, nullable=False),
    sa.Column("made_at", Moment, nullable=False),
    sa.Column("given_up", sa.BigInteger, nullable=False, server_default="0"),
    sa.Column("delivered_at", Moment),
    sa.Column("last_error", sa.Text),
    sa.Column("failed_at", Moment),
)
webhook_delivery = sa.Table(
    "webhook_delivery",
    metadata,
    sa.Column("nth", sa.BigInteger, sa.Identity(), primary_key=True),
    sa.Column("delivery_id", sa.Uuid, nullable=False, unique=True),
    sa.Column("webhook_id", sa.Uuid, nullable=False),
    sa.Column("subject", sa.Text, nullable=False),
    sa.Column("body", sa.Text, nullable=False),
    sa.Column("attempts", sa.Integer, nullable=False, server_default="0"),
    sa.Column("made_at", Moment, nullable=False),
    sa.Column("due_at", Moment, nullable=False),  # while one is sent: when another process may
    sa.Index("webhook_delivery_due", "webhook_id", "due_at"),
    sa.Index("webhook_delivery_order", "webhook_id", "subject", "nth"),
)
