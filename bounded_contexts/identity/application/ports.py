"""What identity needs from the outside."""

from collections.abc import Callable, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Protocol
from uuid import UUID

from bounded_contexts.identity.domain.api_key import ApiKeyEvent
from bounded_contexts.identity.domain.service_account import ServiceAccountEvent
from bounded_contexts.identity.domain.session import SessionEvent
from bounded_contexts.identity.domain.user import User, UserEvent
from shared_kernel.events import EventStore, Position

SecurityEvent = UserEvent | SessionEvent | ApiKeyEvent

ACCESS_LIFETIME = timedelta(minutes=10)
REFRESH_LIFETIME = timedelta(days=30)  # without being used; each use begins it anew
GRACE = timedelta(
    seconds=10
)  # in which a replaced refresh token still gives its successor: answers get lost, tabs race


@dataclass(frozen=True, slots=True)
class Credential:
    """A password's hash, in the form that names its parameters."""

    hash: str
    changed_at: datetime


@dataclass(frozen=True, slots=True)
class Device:
    """Where a session is used, as it said itself."""

    name: str  # of the program, at most 200 characters
    address: str


@dataclass(frozen=True, slots=True)
class LiveSession:
    session_id: UUID
    user_id: UUID
    device: Device
    methods: tuple[str, ...]
    opened_at: datetime
    seen_at: datetime  # when it was last refreshed
    expires_at: datetime


@dataclass(frozen=True, slots=True)
class Reused:
    """The token had been replaced, longer than `GRACE` ago."""

    session_id: UUID


@dataclass(frozen=True, slots=True)
class Person:
    """A user as lists show them."""

    user_id: UUID
    email: str
    name: str
    is_verified: bool
    roles: tuple[str, ...]
    registered_at: datetime
    blocked_at: datetime | None


class CurrentUsers(Protocol):
    """Users by id, for whoever reads. Who decides loads the events: what is appended has to follow from them."""

    async def of(self, user: UUID) -> tuple[User, int]:
        """Return the user and the version, nothing older than what was committed before the call; `INITIAL` and 0 for nobody.
        Not for use inside a transaction, whose own changes it does not see."""
        ...


class Accounts(Protocol):
    """Addresses and passwords, beside what the events say."""

    async def owner(self, email: str) -> UUID | None:
        """Return whose address it is, however it is written."""
        ...

    async def credential(self, user: UUID) -> Credential | None: ...

    async def is_present(self, user: UUID, credential: Credential) -> bool:
        """Return whether it still is the user's; inside a transaction nobody changes it before that has ended."""
        ...

    async def set_credential(self, user: UUID, credential: Credential) -> None:
        """Store the hash in place of the former. Inside a transaction it joins it."""
        ...

    async def remove_credential(self, user: UUID) -> None:
        """Leave the user without a password. Inside a transaction it joins it, and waits for who is signing in by it."""
        ...

    async def renew(self, user: UUID, former: Credential, hash_: str) -> None:
        """Store another hash of the same password, unless it is another password by now."""
        ...


@dataclass(frozen=True, slots=True)
class Login:
    """An account at a provider, by which a user signs in."""

    login_id: UUID
    issuer: str
    linked_at: datetime


class Logins(Protocol):
    """Who is whom at providers. Links are made and removed by the users' events."""

    async def find(self, issuer: str, subject: str) -> tuple[UUID, UUID] | None:
        """Return the login of that account at the provider, and whose it is here."""
        ...

    async def is_present(self, login_id: UUID, user: UUID) -> bool:
        """Return whether it still is the user's; inside a transaction nobody unlinks it before that has ended."""
        ...

    async def of_user(self, user: UUID) -> list[Login]:
        """Return the user's, first linked first."""
        ...

    async def is_first_use(self, state: str, now: datetime, until: datetime) -> bool:
        """Return whether a sign-in that a provider answers is answered for the first time, and remember it."""
        ...


class Passwords(Protocol):
    """Hash and compare. Both take tens of milliseconds; a few run at once, others wait."""

    async def hash(self, password: str) -> str: ...

    async def matches(self, password: str, hash_: str | None) -> bool:
        """Return whether it is the password; without a hash False, after the same time."""
        ...

    def is_outdated(self, hash_: str) -> bool:
        """Return whether the hash was made with other parameters than today's."""
        ...


class Attempts(Protocol):
    """How often somebody has tried. Keys are an account or an address; all processes count together."""

    async def admit(self, keys: Sequence[str]) -> None:
        """Count an attempt. Raise `RateLimited` for one that has to wait after those before it."""
        ...

    async def succeeded(self, keys: Sequence[str]) -> None:
        """Forget the account's attempts, and this one of the address."""
        ...


class RefreshTokens(Protocol):
    """The tokens of sessions. They follow from session and generation; none is stored."""

    async def begin(self, session: LiveSession) -> str:
        """Return the session's first token. Inside a transaction it joins it."""
        ...

    async def rotate(self, token: str, now: datetime) -> tuple[LiveSession, str] | Reused | None:
        """Replace the token by its successor, which a repeat within `GRACE` gets, too; one statement decides. None for
        what is no token of a live session."""
        ...

    async def stays(self, session_id: UUID) -> bool:
        """Return whether the session is open, as those of other issuers are taken to be; inside a transaction it stays so until
        that ends."""
        ...

    def session_of(self, token: str) -> UUID | None:
        """Return the session that the token is of, however old it is; None for what was not given out here."""
        ...

    async def of_user(self, user: UUID) -> list[LiveSession]:
        """Return the live sessions, last seen first."""
        ...


class AccessTokens(Protocol):
    async def issue(self, session: LiveSession, roles: frozenset[str], now: datetime) -> str:
        """Return a signed token that speaks for the user until `ACCESS_LIFETIME` from now."""
        ...

    async def issue_to_service(self, client: "Client", scopes: Sequence[str], now: datetime) -> str:
        """Return one that speaks for a service account, within these scopes."""
        ...


class MailTokens(Protocol):
    """What mails carry: whoever sends it back has read the mail. Raise `Refused` for others, and for old ones."""

    def for_verification(self, user: UUID, email: str, now: datetime) -> str: ...

    def verification(self, token: str, now: datetime) -> tuple[UUID, str]:
        """Return whose it is and the address it was sent to."""
        ...

    def for_reset(self, user: UUID, email: str, credential: Credential | None, now: datetime) -> str:
        """Return one that holds until the password or the address is another."""
        ...

    def reset(self, token: str, now: datetime) -> tuple[UUID, str, datetime | None]:
        """Return whose it is, the address it was sent to, and since when the password was that which it replaces."""
        ...


class SecondFactors(Protocol):
    """One-time codes by time (TOTP, RFC 6238), and recovery codes for whoever has lost the device. Each code is good once."""

    async def begin(self, user: UUID) -> str:
        """Return a new secret in base32, which takes effect when a code of it was shown."""
        ...

    async def confirm(self, user: UUID, code: str, now: datetime) -> list[str] | None:
        """Return new recovery codes if the code is one of the new secret. Inside a transaction it joins it."""
        ...

    async def accepts(self, user: UUID, code: str, now: datetime) -> bool:
        """Return whether it is a code of now or a recovery code, and use it up."""
        ...

    async def forget(self, user: UUID) -> None:
        """Remove secret and codes. Inside a transaction it joins it."""
        ...


@dataclass(frozen=True, slots=True)
class ListedKey:
    """An API key as its owner sees it; the secret was shown once."""

    key_id: UUID
    user_id: UUID
    name: str
    scopes: tuple[str, ...]
    created_at: datetime
    expires_at: datetime | None
    used_at: datetime | None  # to the minute


class ApiKeys(Protocol):
    async def begin(self, key: ListedKey) -> str:
        """Return the key as its owner sends it. Inside a transaction it joins it."""
        ...

    async def of_user(self, user: UUID) -> list[ListedKey]:
        """Return those that are good, last made first."""
        ...


@dataclass(frozen=True, slots=True)
class ListedSecret:
    """A secret of a service account; it was shown once."""

    secret_id: UUID
    created_at: datetime
    used_at: datetime | None  # to the minute


@dataclass(frozen=True, slots=True)
class ListedService:
    """A service account as administrators see it."""

    account_id: UUID
    name: str
    scopes: tuple[str, ...]
    created_at: datetime
    secrets: tuple[ListedSecret, ...]  # first added first


@dataclass(frozen=True, slots=True)
class Client:
    """A service account that has shown a secret."""

    account_id: UUID
    secret_id: UUID
    scopes: frozenset[str]


class ServiceAccounts(Protocol):
    async def add_secret(self, account: UUID, secret: UUID, at: datetime) -> str:
        """Return a new secret of this id. Inside a transaction it joins it."""
        ...

    async def authenticated(self, account: UUID, secret: str) -> Client | None:
        """Return whose secret it is, None unless it is a good one of this account."""
        ...

    async def one(self, account: UUID) -> ListedService | None: ...

    async def page(self, limit: int, after: tuple[datetime, UUID] | None) -> list[ListedService]:
        """Return service accounts, first created first, those after `after`."""
        ...


@dataclass(frozen=True, slots=True)
class Happening:
    """Something that concerns who may act as a user."""

    id: UUID
    at: datetime
    event: SecurityEvent
    device: Device | None  # where the event is one of a session


class SecurityHistory(Protocol):
    async def page(self, user: UUID, limit: int, before: tuple[datetime, UUID] | None) -> list[Happening]:
        """Return what happened to the user's account, sessions and keys, last first, that before `before`."""
        ...


class Mail(Protocol):
    async def send(self, to: str, subject: str, text: str, id_: str) -> None:
        """Hand the mail over to a server; a repeat has the same `id_`. Raise `Unavailable` for what may pass, `Refused`
        for an address that does not take it."""
        ...


class Opener(Protocol):
    async def opened(self, event: UserEvent) -> UserEvent:
        """Return the event with what is personal in plain text, empty once the user is erased."""
        ...


class Directory(Protocol):
    """The list of users."""

    async def changed(self, event: UserEvent) -> None:
        """Take the event over. Events come in order; one that comes again changes nothing."""
        ...

    async def page(self, limit: int, after: tuple[datetime, UUID] | None) -> list[Person]:
        """Return users, first registered first, those after `after`."""
        ...

    async def named(self, ids: Sequence[UUID]) -> dict[UUID, Person]:
        """Return those of the users that are listed."""
        ...


class ReadState(Protocol):
    """How far the directory has come."""

    async def reached(self, position: Position, timeout_s: float) -> bool: ...


@dataclass(frozen=True, slots=True)
class Ports:
    current_users: CurrentUsers
    users: EventStore[UserEvent]  # refuses an address that is somebody else's with `Taken`
    sessions: EventStore[SessionEvent]
    keys: EventStore[ApiKeyEvent]
    services: EventStore[ServiceAccountEvent]
    transaction: Callable[
        [], AbstractAsyncContextManager[object]
    ]  # what is written inside is there together or not at all
    accounts: Accounts
    passwords: Passwords
    attempts: Attempts
    refresh_tokens: RefreshTokens
    access_tokens: AccessTokens
    second_factors: SecondFactors
    api_keys: ApiKeys
    service_accounts: ServiceAccounts
    security_history: SecurityHistory
    logins: Logins
    mail_tokens: MailTokens
    mail: Mail
    opener: Opener
    directory: Directory
    stored: ReadState
    now: Callable[[], datetime]  # time-zone aware, UTC
