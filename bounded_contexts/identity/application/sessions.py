"""Signing in, staying in, and everything that ends it."""

from collections.abc import Awaitable, Callable, Collection
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import partial
from uuid import UUID, uuid4

from bounded_contexts.identity.application.ports import (
    ACCESS_LIFETIME,
    REFRESH_LIFETIME,
    Credential,
    Device,
    LiveSession,
    Ports,
    Reused,
)
from bounded_contexts.identity.domain import session, user
from bounded_contexts.identity.domain.address import compared
from bounded_contexts.identity.domain.commands import OpenSession, ReportReuse, RevokeSession
from bounded_contexts.identity.domain.user import User
from shared_kernel.decider import execute, state_of
from shared_kernel.errors import Forbidden, NotFound

RECENT = timedelta(minutes=10)
PASSWORD, CODE, SEVERAL = "pwd", "otp", "mfa"  # as RFC 8176 names them
PROVIDER = "fed"  # which RFC 8176 has no name for; this is Microsoft Entra's
FirstFactor = datetime | UUID  # since when the password is the one that was given, or the login at a provider


class SignInRefused(Exception):
    """Name or password is wrong, or the refresh token is. Which it was is not said."""


class SecondFactorNeeded(Exception):
    """Who it is was shown by the first factor; a code is needed as well."""

    def __init__(self, user_id: UUID, first: FirstFactor) -> None:
        super().__init__(user_id)
        self.user_id = user_id
        self.first = first


@dataclass(frozen=True, slots=True)
class SignedIn:
    access_token: str
    refresh_token: str
    session: LiveSession
    expires_in_s: int


async def sign_in(email: str, secret: str, device: Device, ports: Ports) -> SignedIn:
    """Open a session. Raise `SignInRefused`, after so many times `RateLimited`, `Forbidden` for a blocked account,
    `SecondFactorNeeded`.

    An address without an account is refused like a wrong password, after the same time."""
    keys = [f"address:{device.address}", login_key(email)]
    await ports.attempts.admit(keys)
    owner = await ports.accounts.owner(email)
    credential = await ports.accounts.credential(owner) if owner else None
    if not await ports.passwords.matches(secret, credential.hash if credential else None) or not (owner and credential):
        raise SignInRefused
    state, _ = await state_of(user, ports.users, owner)
    user.require_active(state)
    await ports.attempts.succeeded(keys)
    if ports.passwords.is_outdated(credential.hash):
        renewed = await ports.passwords.hash(secret)
        await ports.accounts.renew(owner, credential, renewed)
        credential = Credential(renewed, credential.changed_at)
    if state.has_second_factor:
        raise SecondFactorNeeded(owner, credential.changed_at)
    still_the_password = partial(ports.accounts.is_present, owner, credential)
    return await open_session(owner, state, still_the_password, (PASSWORD,), device, ports)


async def sign_in_further(
    user_id: UUID, first: FirstFactor, code: str, device: Device, at: datetime, ports: Ports
) -> SignedIn:
    """Open the session of somebody whose first factor was right. Raise `SignInRefused` for a wrong code or one that was used,
    after so many times `RateLimited`."""
    keys = [f"address:{device.address}", f"account:code {user_id}"]
    await ports.attempts.admit(keys)
    state, _ = await state_of(user, ports.users, user_id)
    user.require_active(state)
    still = await _still(user_id, first, ports)
    if not state.has_second_factor or not await ports.second_factors.accepts(user_id, code, at):
        raise SignInRefused
    await ports.attempts.succeeded(keys)
    method = PROVIDER if isinstance(first, UUID) else PASSWORD
    return await open_session(user_id, state, still, (method, CODE, SEVERAL), device, ports)


def login_key(email: str) -> str:
    """Return by what attempts to sign in are counted."""
    return f"account:login {compared(email)}"


async def _still(user_id: UUID, first: FirstFactor, ports: Ports) -> Callable[[], Awaitable[bool]]:
    """Return what tells whether the first factor holds. Raise `SignInRefused` where the password is another by now."""
    if isinstance(first, UUID):
        return partial(ports.logins.is_present, first, user_id)
    credential = await ports.accounts.credential(user_id)
    if credential is None or credential.changed_at != first:
        raise SignInRefused
    return partial(ports.accounts.is_present, user_id, credential)


async def open_session(
    owner: UUID,
    state: User,
    holds: Callable[[], Awaitable[bool]],
    methods: tuple[str, ...],
    device: Device,
    ports: Ports,
) -> SignedIn:
    """Open a session. Raise `SignInRefused` unless what has shown who it is still `holds`, with the session opened."""
    at = ports.now()
    opened = LiveSession(uuid4(), owner, device, methods, at, at, at + REFRESH_LIFETIME)
    async with ports.transaction():
        if not await holds():
            raise SignInRefused
        await execute(
            session,
            ports.sessions,
            opened.session_id,
            OpenSession(session_id=opened.session_id, user_id=owner, methods=opened.methods, at=at),
        )
        token = await ports.refresh_tokens.begin(opened)
    return await _signed_in(opened, token, state.roles, at, ports)


async def refresh(token: str, at: datetime, ports: Ports) -> SignedIn:
    """Exchange a refresh token for the next one and an access token. Raise `SignInRefused`.

    One that was replaced more than a moment ago is somebody's copy: the session is over, for both."""
    found = await ports.refresh_tokens.rotate(token, at)
    if isinstance(found, Reused):
        await execute(session, ports.sessions, found.session_id, ReportReuse(session_id=found.session_id, at=at))
        raise SignInRefused
    if found is None:
        raise SignInRefused
    live, successor = found
    state, _ = await ports.current_users.of(live.user_id)
    user.require_active(state)
    return await _signed_in(live, successor, state.roles, at, ports)


async def require_recent(user_id: UUID, session_id: UUID | None, at: datetime, ports: Ports) -> None:
    """Raise `Forbidden` unless the user has signed in of late: with a token alone, which may be stolen, nobody gets what
    outlasts it. What other issuers' tokens come from is not known here."""
    if session_id is None or (await state_of(session, ports.sessions, session_id))[0].user_id != user_id:
        return
    live = await ports.refresh_tokens.of_user(user_id)
    if not any(each.session_id == session_id and at - each.opened_at <= RECENT for each in live):
        raise Forbidden("sign_in_again", f"this takes having signed in within {RECENT.seconds // 60} minutes")


async def sign_out(token: str, at: datetime, ports: Ports) -> None:
    """End the session that a refresh token is of, be it one that was replaced; again, or what is no token, is no change."""
    if found := ports.refresh_tokens.session_of(token):
        await execute(session, ports.sessions, found, RevokeSession(session_id=found, reason="signed_out", at=at))


async def end_session(user_id: UUID, session_id: UUID, reason: str, at: datetime, ports: Ports) -> None:
    """Revoke one of the user's sessions; again is no change. Raise `NotFound` for somebody else's."""
    state, _ = await state_of(session, ports.sessions, session_id)
    if state.user_id != user_id:
        raise NotFound("session_not_found")
    await execute(session, ports.sessions, session_id, RevokeSession(session_id=session_id, reason=reason, at=at))


async def end_sessions(
    user_id: UUID,
    reason: str,
    at: datetime,
    ports: Ports,
    but: Collection[UUID] = (),
    opened_by: datetime | None = None,
) -> int:
    """Revoke all of the user's sessions but these, or those that were opened by then; return how many there were."""
    live = await ports.refresh_tokens.of_user(user_id)
    ended = [
        each.session_id
        for each in live
        if each.session_id not in but and not (opened_by and each.opened_at > opened_by)
    ]
    for each in ended:
        await execute(session, ports.sessions, each, RevokeSession(session_id=each, reason=reason, at=at))
    return len(ended)


async def _signed_in(live: LiveSession, token: str, roles: frozenset[str], at: datetime, ports: Ports) -> SignedIn:
    access = await ports.access_tokens.issue(live, roles, at)
    return SignedIn(access, token, live, int(ACCESS_LIFETIME.total_seconds()))
