"""Kept records, roots and positions. Records and roots are never changed: a trigger refuses it even to their owner."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects.postgresql import ARRAY

from infra.migrations import create_group_tables, create_position, drop_group_tables

revision = "0001"
down_revision = None

SCHEMA = "audit"
REFUSE = """
create function audit.refuse() returns trigger language plpgsql as $$
begin raise exception 'audit.% only grows', tg_table_name using errcode = 'insufficient_privilege'; end $$
"""
TRIGGER = """
create trigger only_grows before update or delete or truncate on audit.{table}
for each statement execute function audit.refuse()
"""


def upgrade() -> None:
    create_position(SCHEMA)
    create_group_tables(SCHEMA)
    op.create_table(
        "record",
        sa.Column("topic", sa.Text, primary_key=True),
        sa.Column("partition", sa.Integer, primary_key=True),
        sa.Column("offset", sa.BigInteger, primary_key=True),
        sa.Column("previous_offset", sa.BigInteger),
        sa.Column("timestamp_ms", sa.BigInteger, nullable=False),
        sa.Column("event_id", sa.Text, index=True),
        sa.Column("type", sa.Text),
        sa.Column("correlation_id", sa.Text, index=True),
        sa.Column("causation_id", sa.Text, index=True),
        sa.Column("key", sa.LargeBinary),
        sa.Column("value", sa.LargeBinary),
        sa.Column("header_names", ARRAY(sa.Text), nullable=False),
        sa.Column("header_values", ARRAY(sa.LargeBinary), nullable=False),
        sa.Column("hash", sa.LargeBinary, nullable=False),
        schema=SCHEMA,
    )
    op.create_table(
        "root",
        sa.Column("number", sa.BigInteger, primary_key=True, autoincrement=False),
        sa.Column("made_at", sa.TIMESTAMP(timezone=True), nullable=False),
        sa.Column("body", sa.LargeBinary, nullable=False),
        sa.Column("signature", sa.LargeBinary, nullable=False),
        sa.Column("public_key", sa.LargeBinary, nullable=False),
        schema=SCHEMA,
    )
    op.execute(REFUSE)
    for table in ("record", "root"):
        op.execute(TRIGGER.format(table=table))


def downgrade() -> None:
    drop_group_tables(SCHEMA)
    for table in ("root", "record", "position"):
        op.drop_table(table, schema=SCHEMA)
    op.execute("drop function audit.refuse()")
