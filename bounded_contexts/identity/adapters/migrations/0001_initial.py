"""Users, addresses, passwords, keys, sessions; event store and groups."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects.postgresql import ARRAY

from infra.migrations import (
    create_event_store,
    create_group_tables,
    create_handled,
    create_position,
    drop_group_tables,
)

revision = "0001"
down_revision = None

SCHEMA = "identity"


def upgrade() -> None:
    create_position(SCHEMA)
    create_event_store(SCHEMA)
    create_group_tables(SCHEMA)
    create_handled(SCHEMA)
    moment = sa.TIMESTAMP(timezone=True)
    op.create_table(
        "person",
        sa.Column("user_id", sa.Uuid, primary_key=True),
        sa.Column("email", sa.Text, nullable=False),
        sa.Column("name", sa.Text, nullable=False),
        sa.Column("is_verified", sa.Boolean, nullable=False),
        sa.Column("roles", ARRAY(sa.Text), nullable=False),
        sa.Column("registered_at", moment, nullable=False),
        sa.Column("blocked_at", moment),
        schema=SCHEMA,
    )
    op.create_index("person_registered", "person", ["registered_at", "user_id"], schema=SCHEMA)
    op.create_table(
        "address",
        sa.Column("digest", sa.LargeBinary, primary_key=True),
        sa.Column("user_id", sa.Uuid, nullable=False, unique=True),
        schema=SCHEMA,
    )
    op.create_table(
        "credential",
        sa.Column("user_id", sa.Uuid, primary_key=True),
        sa.Column("hash", sa.Text, nullable=False),
        sa.Column("changed_at", moment, nullable=False),
        schema=SCHEMA,
    )
    op.create_table(
        "user_key",
        sa.Column("user_id", sa.Uuid, primary_key=True),
        sa.Column("sealed", sa.LargeBinary, nullable=False),
        schema=SCHEMA,
    )
    op.create_table(
        "session",
        sa.Column("session_id", sa.Uuid, primary_key=True),
        sa.Column("user_id", sa.Uuid, nullable=False, index=True),
        sa.Column("generation", sa.Integer, nullable=False),
        sa.Column("device", sa.Text, nullable=False),
        sa.Column("address", sa.Text, nullable=False),
        sa.Column("methods", ARRAY(sa.Text), nullable=False),
        sa.Column("opened_at", moment, nullable=False),
        sa.Column("seen_at", moment, nullable=False),
        sa.Column("expires_at", moment, nullable=False),
        sa.Column("revoked_at", moment),
        schema=SCHEMA,
    )
    op.create_table(
        "signing_key",
        sa.Column("kid", sa.Text, primary_key=True),
        sa.Column("sealed", sa.LargeBinary, nullable=False),
        sa.Column("public", sa.LargeBinary, nullable=False),
        sa.Column("signs_from", moment, nullable=False),
        sa.Column("verifies_until", moment),
        schema=SCHEMA,
    )
    op.create_table(
        "totp",
        sa.Column("user_id", sa.Uuid, primary_key=True),
        sa.Column("sealed", sa.LargeBinary, nullable=False),
        sa.Column("is_confirmed", sa.Boolean, nullable=False),
        sa.Column("last_step", sa.BigInteger, nullable=False),
        schema=SCHEMA,
    )
    op.create_table(
        "recovery_code",
        sa.Column("digest", sa.LargeBinary, primary_key=True),
        sa.Column("user_id", sa.Uuid, nullable=False, index=True),
        schema=SCHEMA,
    )
    op.create_table(
        "api_key",
        sa.Column("key_id", sa.Uuid, primary_key=True),
        sa.Column("user_id", sa.Uuid, nullable=False, index=True),
        sa.Column("name", sa.Text, nullable=False),
        sa.Column("digest", sa.LargeBinary, nullable=False),
        sa.Column("scopes", ARRAY(sa.Text), nullable=False),
        sa.Column("created_at", moment, nullable=False),
        sa.Column("expires_at", moment),
        sa.Column("used_at", moment),
        sa.Column("revoked_at", moment),
        schema=SCHEMA,
    )
    op.create_table(
        "attempt",
        sa.Column("digest", sa.LargeBinary, primary_key=True),
        sa.Column("failures", sa.Integer, nullable=False),
        sa.Column("failed_at", moment, nullable=False),
        schema=SCHEMA,
    )


def downgrade() -> None:
    for table in (
        "attempt",
        "api_key",
        "recovery_code",
        "totp",
        "signing_key",
        "session",
        "user_key",
        "credential",
        "address",
        "person",
    ):
        op.drop_table(table, schema=SCHEMA)
    op.drop_table("handled", schema=SCHEMA)
    drop_group_tables(SCHEMA)
    for table in ("outbox", "event", "position"):
        op.drop_table(table, schema=SCHEMA)
