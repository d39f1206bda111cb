"""One function for each thing a person can do with accounts. Each writes events exactly once."""

from datetime import datetime
from uuid import UUID

from bounded_contexts.identity.application.api_keys import end_keys
from bounded_contexts.identity.application.passwords import hashed, require_password
from bounded_contexts.identity.application.ports import Credential, Ports
from bounded_contexts.identity.application.sessions import end_sessions, login_key
from bounded_contexts.identity.domain import password, user
from bounded_contexts.identity.domain.commands import (
    Asker,
    ChangePassword,
    Register,
    RequestPasswordReset,
    RequestVerification,
    VerifyEmail,
)
from bounded_contexts.identity.domain.user import AskedByOthers, User
from shared_kernel.decider import AtVersion, execute
from shared_kernel.errors import Refused, Taken
from shared_kernel.permissions import require


async def register(ask: Register, secret: str, origin: str, ports: Ports) -> tuple[User, int]:
    """Open an account. Raise `Refused`, `Taken` for an address that has one, `RateLimited` who is told so too often."""
    password.checked(secret, known=(ask.name, ask.email))
    await ports.attempts.admit([f"address:{origin}"])
    if await ports.accounts.owner(ask.email):  # before the work of hashing; the store decides
        raise Taken("email_taken", "somebody has an account with this address")
    hash_ = await ports.passwords.hash(secret)
    async with ports.transaction():
        state, version, _ = await execute(user, ports.users, ask.user_id, ask)
        await ports.accounts.set_credential(ask.user_id, Credential(hash_, ask.at))
    await ports.attempts.succeeded([f"address:{origin}"])
    return state, version


async def create_user(ask: Register, asker: Asker, ports: Ports) -> tuple[User, int]:
    """Open somebody's account, without a password: they ask for a new one by mail. Raise `Forbidden`, `Refused`, `Taken`."""
    require(asker.roles, "identity:create")
    state, version, _ = await execute(user, ports.users, ask.user_id, ask)
    return state, version


async def change_user(ask: AskedByOthers, ports: Ports, expected: int | None = None) -> tuple[User, int]:
    """Change an account as its owner or an administrator; if a version is `expected`, only that one.

    Raise `Forbidden`, `NotFound`, `Refused`, `Taken`, and `Stale` for another version."""
    users = ports.users if expected is None else AtVersion(ports.users, expected)
    state, version, _ = await execute(user, users, ask.user_id, ask)
    return state, version


async def change_password(
    user_id: UUID, session_id: UUID | None, present: str, new: str, at: datetime, ports: Ports
) -> None:
    """Give oneself another password; every session but this one is over. Raise as `require_password` does."""
    await require_password(user_id, present, ports)
    hash_ = await hashed(user_id, new, ports)
    async with ports.transaction():
        await execute(user, ports.users, user_id, ChangePassword(user_id=user_id, session_id=session_id, at=at))
        await ports.accounts.set_credential(user_id, Credential(hash_, at))
        await end_sessions(user_id, "password_changed", at, ports, but=[session_id] if session_id else ())


async def reset_password(token: str, new: str, at: datetime, ports: Ports) -> UUID:
    """Give whoever the token was sent to another password; every session and API key is over. Raise `Refused` for a token
    that was used before."""
    user_id, email, since = ports.mail_tokens.reset(token, at)
    credential = await ports.accounts.credential(user_id)
    if (credential.changed_at if credential else None) != since or await ports.accounts.owner(email) != user_id:
        raise Refused("invalid_reset_token", "the password or the address was changed since")
    hash_ = await hashed(user_id, new, ports)
    async with ports.transaction():
        await execute(user, ports.users, user_id, ChangePassword(user_id=user_id, session_id=None, at=at))
        if (
            await ports.accounts.credential(user_id) != credential
        ):  # the event before waits for who did the same meanwhile
            raise Refused("invalid_reset_token", "it was used")
        await ports.accounts.set_credential(user_id, Credential(hash_, at))
        await end_sessions(user_id, "password_changed", at, ports)
        await end_keys(user_id, ports)
    await ports.attempts.succeeded([login_key(email)])
    return user_id


async def request_reset(email: str, at: datetime, ports: Ports) -> None:
    """Have a mail sent, if the address has an account. Who asks must not learn whether."""
    owner = await ports.accounts.owner(email)
    if owner is not None:
        await execute(user, ports.users, owner, RequestPasswordReset(user_id=owner, at=at))


async def request_verification(user_id: UUID, at: datetime, ports: Ports) -> None:
    """Have the mail sent once more, unless the address is verified. Raise `RateLimited`."""
    await ports.attempts.admit([f"account:mail {user_id}"])
    await execute(user, ports.users, user_id, RequestVerification(user_id=user_id, at=at))


async def verify_email(token: str, at: datetime, ports: Ports) -> UUID:
    """Take the address for verified. Raise `Refused` for a token of another address or an old one; twice is once."""
    user_id, email = ports.mail_tokens.verification(token, at)
    await execute(user, ports.users, user_id, VerifyEmail(user_id=user_id, email=email, at=at))
    return user_id
