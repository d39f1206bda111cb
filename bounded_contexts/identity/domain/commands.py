"""What people can ask of identity."""

from dataclasses import dataclass
from datetime import datetime
from uuid import UUID


@dataclass(frozen=True, slots=True)
class Asker:
    """Who asks, by the token."""

    id: UUID
    roles: frozenset[str]


@dataclass(frozen=True, slots=True, kw_only=True)
class Register:
    user_id: UUID
    email: str
    name: str
    at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class ChangeProfile:
    """What is given is changed."""

    user_id: UUID
    name: str | None = None
    email: str | None = None
    asker: Asker
    at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class VerifyEmail:
    """By the token of a mail to `email`; when that is no longer the user's address, it verifies nothing."""

    user_id: UUID
    email: str
    at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class GrantRole:
    user_id: UUID
    role: str
    asker: Asker
    at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class RevokeRole:
    user_id: UUID
    role: str
    asker: Asker
    at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class Block:
    user_id: UUID
    asker: Asker
    at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class Unblock:
    user_id: UUID
    asker: Asker
    at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class Erase:
    """Forget the person for good."""

    user_id: UUID
    asker: Asker
    at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class ChangePassword:
    """The new one is stored in the same transaction."""

    user_id: UUID
    session_id: UUID | None  # the one that stays
    at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class RequestPasswordReset:
    user_id: UUID
    at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class RequestVerification:
    user_id: UUID
    at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class AddSecondFactor:
    """The user has shown to have it."""

    user_id: UUID
    at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class RemoveSecondFactor:
    user_id: UUID
    asker: Asker
    at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class LinkLogin:
    """The provider says that it is the user's."""

    user_id: UUID
    login_id: UUID
    issuer: str
    subject: str
    at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class UnlinkLogin:
    user_id: UUID
    login_id: UUID
    has_password: bool  # which is another way in
    at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class CreateApiKey:
    key_id: UUID
    user_id: UUID
    name: str
    scopes: frozenset[str]
    expires_at: datetime | None
    at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class RevokeApiKey:
    key_id: UUID
    user_id: UUID
    at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class OpenSession:
    session_id: UUID
    user_id: UUID
    methods: tuple[str, ...]  # RFC 8176
    at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class RevokeSession:
    session_id: UUID
    reason: str
    at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class ReportReuse:
    """A refresh token that had been replaced came again."""

    session_id: UUID
    at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class CreateServiceAccount:
    account_id: UUID
    secret_id: UUID
    name: str
    scopes: frozenset[str]
    asker: Asker
    at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class ChangeServiceAccount:
    """What is given is changed."""

    account_id: UUID
    name: str | None = None
    scopes: frozenset[str] | None = None
    asker: Asker
    at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class AddServiceSecret:
    """The one there is stays good beside it; of two the older ends."""

    account_id: UUID
    secret_id: UUID
    asker: Asker
    at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class RevokeServiceSecret:
    account_id: UUID
    secret_id: UUID
    asker: Asker
    at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class DeleteServiceAccount:
    account_id: UUID
    asker: Asker
    at: datetime
