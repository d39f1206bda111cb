"""Identity's tables. Their history is in migrations/."""

import sqlalchemy as sa
from sqlalchemy.dialects.postgresql import ARRAY

metadata = sa.MetaData()  # no schema: a rebuild writes to tables of the same names in another one

Moment = sa.TIMESTAMP(timezone=True)

# The list of users, in plain text: what erasure removes beside the key.
person = sa.Table(
    "person",
    metadata,
    sa.Column("user_id", sa.Uuid, primary_key=True),
    sa.Column("email", sa.Text, nullable=False),
    sa.Column("name", sa.Text, nullable=False),
    sa.Column("is_verified", sa.Boolean, nullable=False),
    sa.Column("roles", ARRAY(sa.Text), nullable=False),
    sa.Column("registered_at", Moment, nullable=False),
    sa.Column("blocked_at", Moment),
    sa.Index("person_registered", "registered_at", "user_id"),
)

# Whose address it is; a keyed digest, by which nobody can be written to.
address = sa.Table(
    "address",
    metadata,
    sa.Column("digest", sa.LargeBinary, primary_key=True),
    sa.Column("user_id", sa.Uuid, nullable=False, unique=True),
)

credential = sa.Table(
    "credential",
    metadata,
    sa.Column("user_id", sa.Uuid, primary_key=True),
    sa.Column("hash", sa.Text, nullable=False),
    sa.Column("changed_at", Moment, nullable=False),
)

# Each user's key, sealed with the installation's.
user_key = sa.Table(
    "user_key",
    metadata,
    sa.Column("user_id", sa.Uuid, primary_key=True),
    sa.Column("sealed", sa.LargeBinary, nullable=False),
)

session = sa.Table(
    "session",
    metadata,
    sa.Column("session_id", sa.Uuid, primary_key=True),
    sa.Column("user_id", sa.Uuid, nullable=False, index=True),
    sa.Column("generation", sa.Integer, nullable=False),  # of the refresh token that is good
    sa.Column("device", sa.Text, nullable=False),
    sa.Column("address", sa.Text, nullable=False),
    sa.Column("methods", ARRAY(sa.Text), nullable=False),
    sa.Column("opened_at", Moment, nullable=False),
    sa.Column("seen_at", Moment, nullable=False),
    sa.Column("expires_at", Moment, nullable=False),
    sa.Column("revoked_at", Moment),
)

signing_key = sa.Table(
    "signing_key",
    metadata,
    sa.Column("kid", sa.Text, primary_key=True),
    sa.Column("sealed", sa.LargeBinary, nullable=False),  # the private key
    sa.Column("public", sa.LargeBinary, nullable=False),
    sa.Column("signs_from", Moment, nullable=False),
    sa.Column("verifies_until", Moment),  # null: until it is replaced
)

totp = sa.Table(
    "totp",
    metadata,
    sa.Column("user_id", sa.Uuid, primary_key=True),
    sa.Column("sealed", sa.LargeBinary, nullable=False),  # the secret
    sa.Column("is_confirmed", sa.Boolean, nullable=False),
    sa.Column(
        "last_step", sa.BigInteger, nullable=False
    ),  # of the last code that was good: it and those before are used up
)

recovery_code = sa.Table(
    "recovery_code",
    metadata,
    sa.Column("digest", sa.LargeBinary, primary_key=True),
    sa.Column("user_id", sa.Uuid, nullable=False, index=True),
)

api_key = sa.Table(
    "api_key",
    metadata,
    sa.Column("key_id", sa.Uuid, primary_key=True),
    sa.Column("user_id", sa.Uuid, nullable=False, index=True),
    sa.Column("name", sa.Text, nullable=False),
    sa.Column("digest", sa.LargeBinary, nullable=False),  # SHA-256 of 256 random bits
    sa.Column("scopes", ARRAY(sa.Text), nullable=False),
    sa.Column("created_at", Moment, nullable=False),
    sa.Column("expires_at", Moment),
    sa.Column("used_at", Moment),
    sa.Column("revoked_at", Moment),
)

service_account = sa.Table(
    "service_account",
    metadata,
    sa.Column("account_id", sa.Uuid, primary_key=True),
    sa.Column("name", sa.Text, nullable=False),
    sa.Column("scopes", ARRAY(sa.Text), nullable=False),
    sa.Column("created_at", Moment, nullable=False),
    sa.Index("service_account_created", "created_at", "account_id"),
)

service_secret = sa.Table(
    "service_secret",
    metadata,
    sa.Column("secret_id", sa.Uuid, primary_key=True),
    sa.Column("account_id", sa.Uuid, nullable=False, index=True),
    sa.Column("digest", sa.LargeBinary, nullable=False),  # keyed, of 256 random bits
    sa.Column("created_at", Moment, nullable=False),
    sa.Column("used_at", Moment),
)

# Accounts at providers; the digest, which is keyed, is of issuer and subject.
login = sa.Table(
    "login",
    metadata,
    sa.Column("login_id", sa.Uuid, primary_key=True),
    sa.Column("digest", sa.LargeBinary, nullable=False, unique=True),
    sa.Column("user_id", sa.Uuid, nullable=False, index=True),
    sa.Column("issuer", sa.Text, nullable=False),
    sa.Column("linked_at", Moment, nullable=False),
)

# Of sign-ins that a provider has answered: each is good once.
used_state = sa.Table(
    "used_state",
    metadata,
    sa.Column("digest", sa.LargeBinary, primary_key=True),
    sa.Column("expires_at", Moment, nullable=False),
)

attempt = sa.Table(
    "attempt",
    metadata,
    sa.Column("digest", sa.LargeBinary, primary_key=True),  # of the account or address
    sa.Column("failures", sa.Integer, nullable=False),
    sa.Column("failed_at", Moment, nullable=False),
)
