"""The list of templates."""

import sqlalchemy as sa
from alembic import op

revision = "0006"
down_revision = "0005"

SCHEMA = "documents"


def upgrade() -> None:
    op.create_table(
        "document_template",
        sa.Column("template_id", sa.Uuid, primary_key=True),
        sa.Column("name", sa.Text, nullable=False),
        sa.Column("version", sa.Integer, nullable=False),
        sa.Column("kind", sa.Text, nullable=False),
        sa.Column("size", sa.BigInteger, nullable=False),
        sa.Column("sha256", sa.Text, nullable=False),
        sa.Column("stored_at", sa.TIMESTAMP(timezone=True), nullable=False),
        schema=SCHEMA,
    )
    op.create_index("document_template_by_time", "document_template", ["stored_at", "template_id"], schema=SCHEMA)


def downgrade() -> None:
    op.drop_table("document_template", schema=SCHEMA)
