"""What a document was made of, so that the same need not be rendered twice; unknown for those that are listed already."""

import sqlalchemy as sa
from alembic import op

revision = "0008"
down_revision = "0007"

SCHEMA = "documents"


def upgrade() -> None:
    op.add_column("document", sa.Column("input_sha256", sa.Text), schema=SCHEMA)
    op.create_index(
        "document_by_instructions",
        "document",
        ["user_id", "input_sha256"],
        schema=SCHEMA,
        postgresql_where=sa.text("status = 'rendered'"),
    )


def downgrade() -> None:
    op.drop_index("document_by_instructions", "document", schema=SCHEMA)
    op.drop_column("document", "input_sha256", schema=SCHEMA)
