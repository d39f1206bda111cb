"""Payments's tables. Their history is in migrations/."""

import sqlalchemy as sa

metadata = sa.MetaData()
