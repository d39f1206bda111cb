"""Service accounts and their secrets."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects.postgresql import ARRAY

revision = "0003"
down_revision = "0002"

SCHEMA = "identity"


def upgrade() -> None:
    moment = sa.TIMESTAMP(timezone=True)
    op.create_table(
        "service_account",
        sa.Column("account_id", sa.Uuid, primary_key=True),
        sa.Column("name", sa.Text, nullable=False),
        sa.Column("scopes", ARRAY(sa.Text), nullable=False),
        sa.Column("created_at", moment, nullable=False),
        schema=SCHEMA,
    )
    op.create_index("service_account_created", "service_account", ["created_at", "account_id"], schema=SCHEMA)
    op.create_table(
        "service_secret",
        sa.Column("secret_id", sa.Uuid, primary_key=True),
        sa.Column("account_id", sa.Uuid, nullable=False, index=True),
        sa.Column("digest", sa.LargeBinary, nullable=False),
        sa.Column("created_at", moment, nullable=False),
        sa.Column("used_at", moment),
        schema=SCHEMA,
    )


def downgrade() -> None:
    for table in ("service_secret", "service_account"):
        op.drop_table(table, schema=SCHEMA)
