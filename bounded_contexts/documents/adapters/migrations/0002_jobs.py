"""The list of conversion jobs."""

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"

SCHEMA = "documents"


def upgrade() -> None:
    moment = sa.TIMESTAMP(timezone=True)
    op.create_table(
        "conversion_job",
        sa.Column("document_id", sa.Uuid, primary_key=True),
        sa.Column("user_id", sa.Uuid, nullable=False),
        sa.Column("status", sa.Text, nullable=False),
        sa.Column("read", sa.Text),
        sa.Column("write", sa.Text, nullable=False),
        sa.Column("name", sa.Text),
        sa.Column("input_bytes", sa.BigInteger, nullable=False),
        sa.Column("read_bytes", sa.BigInteger, nullable=False, server_default="0"),
        sa.Column("result_bytes", sa.BigInteger),
        sa.Column("losses", sa.BigInteger),
        sa.Column("code", sa.Text),
        sa.Column("requested_at", moment, nullable=False),
        sa.Column("changed_at", moment, nullable=False),
        sa.Column("expires_at", moment),
        schema=SCHEMA,
    )
    columns = ["user_id", "requested_at", "document_id"]
    op.create_index("conversion_job_of_user", "conversion_job", columns, schema=SCHEMA)


def downgrade() -> None:
    op.drop_table("conversion_job", schema=SCHEMA)
