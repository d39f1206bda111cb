"""Accounts at providers, by which users sign in, and what was used once."""

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"

SCHEMA = "identity"


def upgrade() -> None:
    moment = sa.TIMESTAMP(timezone=True)
    op.create_table(
        "login",
        sa.Column("login_id", sa.Uuid, primary_key=True),
        sa.Column("digest", sa.LargeBinary, nullable=False, unique=True),
        sa.Column("user_id", sa.Uuid, nullable=False, index=True),
        sa.Column("issuer", sa.Text, nullable=False),
        sa.Column("linked_at", moment, nullable=False),
        schema=SCHEMA,
    )
    op.create_table(
        "used_state",
        sa.Column("digest", sa.LargeBinary, primary_key=True),
        sa.Column("expires_at", moment, nullable=False),
        schema=SCHEMA,
    )


def downgrade() -> None:
    for table in ("used_state", "login"):
        op.drop_table(table, schema=SCHEMA)
