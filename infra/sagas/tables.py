"""The sagas' tables. Their history is in migrations/."""

import sqlalchemy as sa
from sqlalchemy.dialects.postgresql import JSONB

metadata = sa.MetaData()

Moment = sa.TIMESTAMP(timezone=True)

saga = sa.Table(
    "saga",
    metadata,
    sa.Column("id", sa.Uuid, primary_key=True),  # follows from definition and key
    sa.Column("definition", sa.Text, nullable=False),
    sa.Column("key", sa.Uuid, nullable=False),
    sa.Column("version", sa.Integer, nullable=False),
    sa.Column("phase", sa.Text, nullable=False),
    sa.Column("parked", sa.Text),  # why it waits for an operator
    sa.Column("data", JSONB, nullable=False),
    sa.Column("correlation_id", sa.Text, nullable=False),
    sa.Column("causation_id", sa.Text, nullable=False),  # of the newest event it has heard
    sa.Column("traceparent", sa.Text),
    sa.Column("notes", sa.Integer, nullable=False),  # how many lines its history has
    sa.Column("started_at", Moment, nullable=False),
    sa.Column("changed_at", Moment, nullable=False),
    sa.Column("stuck_at", Moment, nullable=False),  # from then on it is late, if it is open
    sa.Column("ended_at", Moment),
    sa.Index("ix_saga_key", "key"),
    sa.Index("saga_started", "started_at", "id"),
    sa.Index("saga_open", "definition", "started_at", postgresql_where=sa.text("ended_at is null")),
)

# One row for each step that was asked; what is due is its timer.
step = sa.Table(
    "step",
    metadata,
    sa.Column("saga", sa.Uuid, primary_key=True),
    sa.Column("name", sa.Text, primary_key=True),
    sa.Column("status", sa.Text, nullable=False),
    sa.Column("tries", sa.Integer, nullable=False),
    sa.Column("due_at", Moment),
    sa.Index("step_due", "due_at", postgresql_where=sa.text("due_at is not null")),
)

note = sa.Table(
    "note",
    metadata,
    sa.Column("saga", sa.Uuid, primary_key=True),
    sa.Column("number", sa.Integer, primary_key=True),
    sa.Column("at", Moment, nullable=False),
    sa.Column("what", sa.Text, nullable=False),
    sa.Column("step", sa.Text, nullable=False),
    sa.Column("detail", sa.Text, nullable=False),
    sa.Column("causation_id", sa.Text, nullable=False),
    sa.Column("actor", sa.Uuid),  # whoever asked for it, if somebody did
)

# One row: when timers were last looked after.
clock = sa.Table(
    "clock",
    metadata,
    sa.Column("name", sa.Text, primary_key=True),
    sa.Column("seen_at", Moment, nullable=False),
)
