"""Notifications' tables. Their history is in migrations/."""

import sqlalchemy as sa

metadata = sa.MetaData()  # no schema: a rebuild writes to tables of the same names in another one

Moment = sa.TIMESTAMP(timezone=True)

entry = sa.Table(
    "entry",
    metadata,
    sa.Column("notification_id", sa.Uuid, primary_key=True),
    sa.Column("recipient_id", sa.Uuid, nullable=False),
    sa.Column("kind", sa.Text, nullable=False),
    sa.Column("cause_id", sa.Uuid, nullable=False, index=True),
    sa.Column("conversation_id", sa.Uuid),
    sa.Column("actor_id", sa.Uuid),
    sa.Column("preview", sa.Text, nullable=False),
    sa.Column("raised_at", Moment, nullable=False),
    sa.Column("withdrawn_at", Moment),
    sa.Index("entry_of_recipient", "recipient_id", "raised_at", "notification_id"),
)

# Marks that may come before the entries they are about: the topics are read side by side, above all in a rebuild.
mark = sa.Table(
    "mark",
    metadata,
    sa.Column("notification_id", sa.Uuid, primary_key=True),
    sa.Column("recipient_id", sa.Uuid, nullable=False),
    sa.Column("read_at", Moment, nullable=False),
)
mark_all = sa.Table(
    "mark_all",
    metadata,
    sa.Column("recipient_id", sa.Uuid, primary_key=True),
    sa.Column("until", Moment, nullable=False),
    sa.Column("read_at", Moment, nullable=False),
)
