"""The list of assets."""

import sqlalchemy as sa
from alembic import op

revision = "0007"
down_revision = "0006"

SCHEMA = "documents"


def upgrade() -> None:
    op.create_table(
        "document_asset",
        sa.Column("asset_id", sa.Uuid, primary_key=True),
        sa.Column("name", sa.Text, nullable=False),
        sa.Column("version", sa.Integer, nullable=False),
        sa.Column("media_type", sa.Text, nullable=False),
        sa.Column("size", sa.BigInteger, nullable=False),
        sa.Column("sha256", sa.Text, nullable=False),
        sa.Column("stored_at", sa.TIMESTAMP(timezone=True), nullable=False),
        schema=SCHEMA,
    )
    op.create_index("document_asset_by_time", "document_asset", ["stored_at", "asset_id"], schema=SCHEMA)


def downgrade() -> None:
    op.drop_table("document_asset", schema=SCHEMA)
