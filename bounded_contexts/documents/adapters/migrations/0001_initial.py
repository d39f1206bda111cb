"""Event store, positions and group tables."""

from alembic import op

from infra.migrations import (
    create_event_store,
    create_group_tables,
    create_handled,
    create_position,
    drop_group_tables,
)

revision = "0001"
down_revision = None

SCHEMA = "documents"


def upgrade() -> None:
    create_position(SCHEMA)
    create_event_store(SCHEMA)
    create_group_tables(SCHEMA)
    create_handled(SCHEMA)


def downgrade() -> None:
    op.drop_table("handled", schema=SCHEMA)
    drop_group_tables(SCHEMA)
    for table in ("outbox", "event", "position"):
        op.drop_table(table, schema=SCHEMA)
