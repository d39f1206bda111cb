"""The tables of documents. Their history is in migrations/."""

import sqlalchemy as sa
from sqlalchemy.dialects.postgresql import JSONB

metadata = sa.MetaData()  # no schema: a rebuild writes to tables of the same names in another one

Moment = sa.TIMESTAMP(timezone=True)

conversion_job = sa.Table(
    "conversion_job",
    metadata,
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
    sa.Column("requested_at", Moment, nullable=False),
    sa.Column("changed_at", Moment, nullable=False),
    sa.Column("expires_at", Moment),
    sa.Index("conversion_job_of_user", "user_id", "requested_at", "document_id"),
    sa.Index("conversion_job_of_everybody", "requested_at", "document_id"),
)

document = sa.Table(
    "document",
    metadata,
    sa.Column("document_id", sa.Uuid, primary_key=True),
    sa.Column("user_id", sa.Uuid, nullable=False),
    sa.Column("status", sa.Text, nullable=False),
    sa.Column("target", sa.Text, nullable=False),
    sa.Column("name", sa.Text),
    sa.Column("origin", sa.Text, nullable=False),
    sa.Column("source_id", sa.Uuid),
    sa.Column("input_id", sa.Uuid, nullable=False),
    sa.Column("input_bytes", sa.BigInteger, nullable=False),
    sa.Column("input_sha256", sa.Text),
    sa.Column("result_id", sa.Uuid),
    sa.Column("result_bytes", sa.BigInteger),
    sa.Column("pages", sa.Integer),
    sa.Column("warnings", sa.BigInteger),
    sa.Column("code", sa.Text),
    sa.Column("requested_at", Moment, nullable=False),
    sa.Column("changed_at", Moment, nullable=False),
    sa.Column("expires_at", Moment),
    sa.Index("document_of_user", "user_id", "requested_at", "document_id"),
    sa.Index("document_by_instructions", "user_id", "input_sha256", postgresql_where=sa.text("status = 'rendered'")),
    sa.Index("document_by_expiry", "expires_at", postgresql_where=sa.text("status = 'rendered'")),
)

document_template = sa.Table(
    "document_template",
    metadata,
    sa.Column("template_id", sa.Uuid, primary_key=True),
    sa.Column("name", sa.Text, nullable=False),
    sa.Column("version", sa.Integer, nullable=False),
    sa.Column("kind", sa.Text, nullable=False),
    sa.Column("size", sa.BigInteger, nullable=False),
    sa.Column("sha256", sa.Text, nullable=False),
    sa.Column("stored_at", Moment, nullable=False),
    sa.Index("document_template_by_time", "stored_at", "template_id"),
)

document_asset = sa.Table(
    "document_asset",
    metadata,
    sa.Column("asset_id", sa.Uuid, primary_key=True),
    sa.Column("name", sa.Text, nullable=False),
    sa.Column("version", sa.Integer, nullable=False),
    sa.Column("media_type", sa.Text, nullable=False),
    sa.Column("size", sa.BigInteger, nullable=False),
    sa.Column("sha256", sa.Text, nullable=False),
    sa.Column("stored_at", Moment, nullable=False),
    sa.Index("document_asset_by_time", "stored_at", "asset_id"),
)

placed_order = sa.Table(
    "placed_order",
    metadata,
    sa.Column("order_id", sa.Uuid, primary_key=True),
    sa.Column("buyer_id", sa.Uuid, nullable=False),
    sa.Column("currency", sa.Text, nullable=False),
    sa.Column("lines", JSONB, nullable=False),  # of each the SKU, quantity and price in minor units
    sa.Column("placed_at", Moment, nullable=False),
)
