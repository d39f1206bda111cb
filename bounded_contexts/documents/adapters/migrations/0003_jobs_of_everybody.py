"""The list of everybody's conversion jobs, for those who look after them."""

from alembic import op

revision = "0003"
down_revision = "0002"

SCHEMA = "documents"
NAME = "conversion_job_of_everybody"


def upgrade() -> None:
    op.create_index(NAME, "conversion_job", ["requested_at", "document_id"], schema=SCHEMA)


def downgrade() -> None:
    op.drop_index(NAME, "conversion_job", schema=SCHEMA)
