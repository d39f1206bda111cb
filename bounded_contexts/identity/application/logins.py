"""Signing in by an account at a provider, which vouches for who somebody is (OpenID Connect)."""

from dataclasses import dataclass
from datetime import datetime
from functools import partial
from uuid import UUID, uuid4

from bounded_contexts.identity.application.api_keys import end_keys
from bounded_contexts.identity.application.ports import Device, Ports
from bounded_contexts.identity.application.sessions import (
    PROVIDER,
    SecondFactorNeeded,
    SignedIn,
    end_sessions,
    open_session,
)
from bounded_contexts.identity.domain import user
from bounded_contexts.identity.domain.commands import (
    Asker,
    ChangePassword,
    LinkLogin,
    Register,
    RemoveSecondFactor,
    UnlinkLogin,
    VerifyEmail,
)
from shared_kernel.decider import execute, state_of
from shared_kernel.errors import Conflict, Refused, Taken


@dataclass(frozen=True, slots=True)
class Identified:
    """Whom a provider has identified."""

    issuer: str
    subject: str
    email: str | None  # one that the provider vouches for
    name: str


async def sign_in_by_provider(who: Identified, device: Device, ports: Ports) -> SignedIn:
    """Open a session of the account that is linked, or that has the address the provider vouches for, or of a new one.

    Raise `Refused` where there is neither link nor such an address, `Forbidden` for a blocked account,
    `SecondFactorNeeded`."""
    try:
        login_id, owner = await _login(who, ports)
    except (Taken, Conflict):  # somebody came at the same time, likely the same person; now it can be seen who
        login_id, owner = await _login(who, ports)
    state, _ = await state_of(user, ports.users, owner)
    user.require_active(state)
    if state.has_second_factor:
        raise SecondFactorNeeded(owner, login_id)
    still_linked = partial(ports.logins.is_present, login_id, owner)
    return await open_session(owner, state, still_linked, (PROVIDER,), device, ports)


async def unlink(user_id: UUID, login_id: UUID, session_id: UUID | None, at: datetime, ports: Ports) -> None:
    """Sign in by that account no longer; every session but this one is over. Raise `NotFound`, and `Refused` for the last
    way in."""
    async with ports.transaction():
        has_password = await ports.accounts.credential(user_id) is not None
        ask = UnlinkLogin(user_id=user_id, login_id=login_id, has_password=has_password, at=at)
        await execute(user, ports.users, user_id, ask)
        await end_sessions(user_id, "login_unlinked", at, ports, but=[session_id] if session_id else ())


async def _login(who: Identified, ports: Ports) -> tuple[UUID, UUID]:
    """Return the login and whose it is, linked now if it was not."""
    if found := await ports.logins.find(who.issuer, who.subject):
        return found
    if who.email is None:
        raise Refused("email_unverified", "the provider does not vouch for an address")
    at, login_id = ports.now(), uuid4()
    async with ports.transaction():
        owner = await ports.accounts.owner(who.email)
        if owner is None:
            owner = uuid4()
            new = Register(user_id=owner, email=who.email, name=_name(who.name, who.email), at=at)
            await execute(user, ports.users, owner, new)
        else:
            await _make_safe(owner, at, ports)
        await execute(user, ports.users, owner, VerifyEmail(user_id=owner, email=who.email, at=at))
        link = LinkLogin(user_id=owner, login_id=login_id, issuer=who.issuer, subject=who.subject, at=at)
        await execute(user, ports.users, owner, link)
    return login_id, owner


async def _make_safe(owner: UUID, at: datetime, ports: Ports) -> None:
    """Leave nothing by which somebody could come in who opened the account with another's address and waits for them.

    An address that was verified needs none of it. Raise `Refused` for an account that had another one which was verified,
    `Forbidden` for a blocked account."""
    state, _ = await state_of(user, ports.users, owner)
    user.require_active(state)
    if state.is_verified:
        return
    if state.was_verified:  # a present address with a slip in it is not for whoever owns that one
        raise Refused("email_unverified", "the account's address is not verified")
    await ports.accounts.remove_credential(owner)  # first: who signs in by it at this moment is waited for, or refused
    await execute(user, ports.users, owner, ChangePassword(user_id=owner, session_id=None, at=at))
    await ports.second_factors.forget(owner)
    themselves = Asker(owner, frozenset())
    await execute(user, ports.users, owner, RemoveSecondFactor(user_id=owner, asker=themselves, at=at))
    for each in await ports.logins.of_user(owner):
        gone = UnlinkLogin(user_id=owner, login_id=each.login_id, has_password=True, at=at)
        await execute(user, ports.users, owner, gone)
    await end_sessions(owner, "password_changed", at, ports)
    await end_keys(owner, ports)


def _name(given: str, email: str) -> str:
    """Return a name as accounts have them, of what the provider calls somebody."""
    printable = "".join(character for character in given if character.isprintable()).strip()
    return printable[: user.NAME_LIMIT].strip() or email.partition("@")[0]
