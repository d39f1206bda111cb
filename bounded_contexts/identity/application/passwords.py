"""Passwords: whether it is right, and new ones."""

from uuid import UUID

from bounded_contexts.identity.application.ports import Ports
from bounded_contexts.identity.domain import password, user
from shared_kernel.decider import state_of
from shared_kernel.errors import Forbidden


async def hashed(user_id: UUID, new: str, ports: Ports) -> str:
    """Return what is stored of the user's new password. Raise `Refused` for a weak one."""
    state, _ = await state_of(user, ports.users, user_id)
    password.checked(new, known=(state.name, state.email))
    return await ports.passwords.hash(new)


async def require_password(user_id: UUID, present: str, ports: Ports) -> None:
    """Raise `Forbidden` unless it is the user's password, after so many times `RateLimited`."""
    keys = [f"account:password {user_id}"]
    await ports.attempts.admit(keys)
    credential = await ports.accounts.credential(user_id)
    if not await ports.passwords.matches(present, credential.hash if credential else None):
        raise Forbidden("wrong_password", "the present password is another")
    await ports.attempts.succeeded(keys)
