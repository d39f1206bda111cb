"""The list of documents that are rendered."""

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"

SCHEMA = "documents"


def upgrade() -> None:
    moment = sa.TIMESTAMP(timezone=True)
    op.create_table(
        "document",
        sa.Column("document_id", sa.Uuid, primary_key=True),
        sa.Column("user_id", sa.Uuid, nullable=False),
        sa.Column("status", sa.Text, nullable=False),
        sa.Column("target", sa.Text, nullable=False),
        sa.Column("name", sa.Text),
        sa.Column("origin", sa.Text, nullable=False),
        sa.Column("source_id", sa.Uuid),
        sa.Column("input_id", sa.Uuid, nullable=False),
        sa.Column("input_bytes", sa.BigInteger, nullable=False),
        sa.Column("result_id", sa.Uuid),
        sa.Column("result_bytes", sa.BigInteger),
        sa.Column("pages", sa.Integer),
        sa.Column("warnings", sa.BigInteger),
        sa.Column("code", sa.Text),
        sa.Column("requested_at", moment, nullable=False),
        sa.Column("changed_at", moment, nullable=False),
        sa.Column("expires_at", moment),
        schema=SCHEMA,
    )
    op.create_index("document_of_user", "document", ["user_id", "requested_at", "document_id"], schema=SCHEMA)
    is_there = sa.text("status = 'rendered'")
    op.create_index("document_by_expiry", "document", ["expires_at"], schema=SCHEMA, postgresql_where=is_there)


def downgrade() -> None:
    op.drop_table("document", schema=SCHEMA)
