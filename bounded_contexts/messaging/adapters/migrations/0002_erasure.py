"""Messages whose text was removed for good."""

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"

SCHEMA = "messaging"


def upgrade() -> None:
    moment = sa.TIMESTAMP(timezone=True)
    op.add_column("message", sa.Column("erased_at", moment), schema=SCHEMA)
    op.create_table(
        "erasure",
        sa.Column("message_id", sa.Uuid, primary_key=True),
        sa.Column("erased_at", moment, nullable=False),
        schema=SCHEMA,
    )


def downgrade() -> None:
    op.drop_table("erasure", schema=SCHEMA)
    op.drop_column("message", "erased_at", schema=SCHEMA)
