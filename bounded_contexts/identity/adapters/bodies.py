"""What identity's REST bodies and answers look like."""

from datetime import datetime
from typing import Annotated, Literal
from uuid import UUID

from pydantic import BaseModel, ConfigDict, Field

from bounded_contexts.identity.application.ports import Happening, ListedKey, ListedService, LiveSession, Person
from bounded_contexts.identity.application.ports import Login as LinkedLogin
from bounded_contexts.identity.application.sessions import SignedIn
from bounded_contexts.identity.domain.address import LIMIT as EMAIL_LIMIT
from bounded_contexts.identity.domain.password import LONGEST, SHORTEST
from bounded_contexts.identity.domain.user import NAME_LIMIT, User
from infra.http import Body, Moment, NextPage
from shared_kernel.permissions import SCOPES

Email = Annotated[str, Field(min_length=3, max_length=EMAIL_LIMIT + 20, examples=["ada@example.org"])]
Name = Annotated[str, Field(min_length=1, max_length=NAME_LIMIT + 20, examples=["Ada"])]
Password = Annotated[
    str, Field(max_length=4 * LONGEST, description=f"{SHORTEST} to {LONGEST} characters.", examples=["correct horse"])
]
Scopes = Annotated[list[str], Field(min_length=1, max_length=len(SCOPES), examples=[["messages:read"]])]
Token = Annotated[str, Field(min_length=1, max_length=4096, examples=["l8qkQm0vYbXf"])]
InCookie = Annotated[
    bool, Field(description="For pages in a browser: the refresh token comes as a cookie (docs/identity.md).")
]


class Registration(Body):
    email: Email
    name: Name
    password: Password


class NewUser(Body):
    """Without a password: the user asks for one by mail."""

    email: Email
    name: Name


class Profile(Body):
    """As a whole. Another address of one's own takes the password."""

    email: Email
    name: Name
    password: Password = ""


class ProfileChange(Body):
    """What is given is changed (RFC 7396). Neither can be removed, so null is refused. Another address of one's own takes the
    password."""

    model_config = ConfigDict(json_schema_extra={"examples": [{"name": "Ada"}]})
    email: Email = None  # type: ignore[assignment]  # left out, which null is not
    name: Name = None  # type: ignore[assignment]
    password: Password = ""


class Login(Body):
    email: Email
    password: Password
    device: Annotated[
        str, Field(max_length=200, description="What lists of sessions call it; else the program.", examples=["Phone"])
    ] = ""
    cookie: InCookie = False


class Refresh(Body):
    refresh_token: Annotated[Token | None, Field(description="Without it the one of the cookie is taken.")] = None


class Code(Body):
    code: Annotated[str, Field(min_length=1, max_length=40, examples=["123456"])]


class FurtherLogin(Code):
    mfa_token: Token
    device: Annotated[str, Field(max_length=200, examples=["Phone"])] = ""
    cookie: InCookie = False


class NewKey(Body):
    name: Name
    scopes: Scopes
    expires_at: Annotated[Moment | None, Field(examples=["2040-01-31T12:00:00Z"])] = None


class NewService(Body):
    name: Name
    scopes: Scopes


class ServiceChange(Body):
    """What is given is changed (RFC 7396); neither can be removed, so null is refused."""

    name: Name = None  # type: ignore[assignment]  # left out, which null is not
    scopes: Scopes = None  # type: ignore[assignment]


class Forgotten(Body):
    email: Email


class NewPassword(Body):
    token: Token
    password: Password


class OtherPassword(Body):
    present: Password
    new: Password


class Proof(Body):
    token: Token


class TokenAnswer(BaseModel):
    """As RFC 6749 section 5.1 names them."""

    access_token: str
    token_type: Literal["Bearer"] = "Bearer"  # noqa: S105
    expires_in: Annotated[int, Field(description="Seconds that the access token holds.")]
    refresh_token: Annotated[
        str | None,
        Field(
            description="Good for one exchange; a repeat within 10 s gets the same. Absent where it is in the cookie."
        ),
    ] = None
    session_id: UUID


class UserAnswer(BaseModel):
    """Others than the user and who may list users see id and name only."""

    id: UUID
    name: str
    email: str | None = None
    email_verified: bool | None = None
    roles: list[str] | None = None
    registered_at: datetime | None = None
    blocked_at: datetime | None = None


class UserPage(BaseModel):
    data: list[UserAnswer]
    page: NextPage


class SessionAnswer(BaseModel):
    id: UUID
    device: str
    address: str
    methods: Annotated[list[str], Field(description="RFC 8176.")]
    opened_at: datetime
    seen_at: Annotated[datetime, Field(description="When it was last refreshed.")]
    expires_at: datetime
    is_current: bool


class SessionList(BaseModel):
    data: list[SessionAnswer]


class HappeningAnswer(BaseModel):
    type: Annotated[str, Field(description="The event's name, as on the topics.", examples=["SessionOpened"])]
    at: datetime
    session_id: UUID | None = None
    device: str | None = None
    address: str | None = None
    methods: Annotated[list[str] | None, Field(description="RFC 8176.")] = None
    key_id: UUID | None = None
    login_id: UUID | None = None
    role: str | None = None
    reason: Annotated[str | None, Field(description="Why the session is over.")] = None


class HappeningPage(BaseModel):
    data: list[HappeningAnswer]
    page: NextPage


class SecretAnswer(BaseModel):
    secret: Annotated[str, Field(description="Base32, to be typed.")]
    uri: Annotated[str, Field(description="`otpauth://…`, to be shown as a QR code.")]


class RecoveryAnswer(BaseModel):
    recovery_codes: Annotated[
        list[str], Field(description="Each opens one sign-in instead of a code. Shown this once.")
    ]


class KeyAnswer(BaseModel):
    id: UUID
    name: str
    scopes: list[str]
    created_at: datetime
    expires_at: datetime | None
    used_at: Annotated[datetime | None, Field(description="To the minute.")]


class NewKeyAnswer(KeyAnswer):
    key: Annotated[str, Field(description="To be sent as a bearer token or in `X-API-Key`. Shown this once.")]


class KeyList(BaseModel):
    data: list[KeyAnswer]


class SecretOfService(BaseModel):
    id: UUID
    created_at: datetime
    used_at: Annotated[datetime | None, Field(description="To the minute.")]


class ServiceAnswer(BaseModel):
    id: Annotated[UUID, Field(description="The `client_id`, too.")]
    name: str
    scopes: list[str]
    created_at: datetime
    secrets: Annotated[list[SecretOfService], Field(description="Those that are good, first added first: two at most.")]


class NewServiceAnswer(ServiceAnswer):
    client_secret: Annotated[str, Field(description="For `/oauth2/token`. Shown this once.")]


class ServicePage(BaseModel):
    data: list[ServiceAnswer]
    page: NextPage


class LoginAnswer(BaseModel):
    id: UUID
    issuer: Annotated[str, Field(description="The provider.", examples=["https://accounts.example.org"])]
    linked_at: datetime


class LoginList(BaseModel):
    data: list[LoginAnswer]


class PermissionAnswer(BaseModel):
    roles: list[str]
    permissions: list[str]


def token_answer(of: SignedIn, *, in_cookie: bool) -> TokenAnswer:
    return TokenAnswer(
        access_token=of.access_token,
        expires_in=of.expires_in_s,
        refresh_token=None if in_cookie else of.refresh_token,
        session_id=of.session.session_id,
    )


def user_answer(id_: UUID, of: User | Person, *, whole: bool = True) -> UserAnswer:
    if not whole:
        return UserAnswer(id=id_, name=of.name)
    return UserAnswer(
        id=id_,
        name=of.name,
        email=of.email,
        email_verified=of.is_verified,
        roles=sorted(of.roles),
        registered_at=of.registered_at,
        blocked_at=of.blocked_at,
    )


def key_answer(of: ListedKey) -> KeyAnswer:
    return KeyAnswer(
        id=of.key_id,
        name=of.name,
        scopes=list(of.scopes),
        created_at=of.created_at,
        expires_at=of.expires_at,
        used_at=of.used_at,
    )


def login_answer(of: LinkedLogin) -> LoginAnswer:
    return LoginAnswer(id=of.login_id, issuer=of.issuer, linked_at=of.linked_at)


def session_answer(of: LiveSession, current: UUID | None) -> SessionAnswer:
    return SessionAnswer(
        id=of.session_id,
        device=of.device.name,
        address=of.device.address,
        methods=list(of.methods),
        opened_at=of.opened_at,
        seen_at=of.seen_at,
        expires_at=of.expires_at,
        is_current=of.session_id == current,
    )


def service_answer(of: ListedService) -> ServiceAnswer:
    return ServiceAnswer(
        id=of.account_id,
        name=of.name,
        scopes=list(of.scopes),
        created_at=of.created_at,
        secrets=[
            SecretOfService(id=each.secret_id, created_at=each.created_at, used_at=each.used_at) for each in of.secrets
        ],
    )


def happening_answer(of: Happening) -> HappeningAnswer:
    shown = HappeningAnswer.model_fields.keys() - {"type", "at", "device", "address"}
    return HappeningAnswer(
        type=type(of.event).__name__,
        at=of.at,
        device=of.device.name if of.device else None,
        address=of.device.address if of.device else None,
        **{name: getattr(of.event, name, None) for name in shown},
    )
