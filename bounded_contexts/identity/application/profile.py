"""Name and address of a user, and the end of both."""

from datetime import datetime
from uuid import UUID

from bounded_contexts.identity.application.commands import change_user
from bounded_contexts.identity.application.passwords import require_password
from bounded_contexts.identity.application.ports import Ports
from bounded_contexts.identity.application.sessions import require_recent
from bounded_contexts.identity.domain import user
from bounded_contexts.identity.domain.commands import Asker, ChangeProfile, Erase
from bounded_contexts.identity.domain.user import User
from shared_kernel.decider import state_of
from shared_kernel.errors import NotFound
from shared_kernel.permissions import require


async def change_profile(
    ask: ChangeProfile, secret: str, ports: Ports, expected: int | None = None
) -> tuple[User, int]:
    """Change a profile, as `change_user` does. Another address of one's own takes the password `secret`: it receives the mail
    for a new one, and with a token alone, which may be stolen, nobody sets it. Raise `Forbidden`, `RateLimited`."""
    if ask.email is not None and ask.asker.id == ask.user_id:
        state, _ = await state_of(user, ports.users, ask.user_id)
        if state.registered_at and ask.email.strip() != state.email:
            await ports.attempts.admit([f"account:mail {ask.user_id}"])
            await require_password(ask.user_id, secret, ports)
    return await change_user(ask, ports, expected)


async def erase(ask: Erase, session_id: UUID | None, ports: Ports, expected: int | None = None) -> None:
    """Forget a person for good, as `change_user` does. It takes having signed in of late, in the session that asks."""
    if ask.user_id != ask.asker.id:
        require(ask.asker.roles, "identity:erase")
    await require_recent(ask.asker.id, session_id, ask.at, ports)
    await change_user(ask, ports, expected)


async def known_user(user_id: UUID, asker: Asker, ports: Ports, as_of: datetime | None = None) -> tuple[User, int]:
    """Return the user and their version: as they are, to anybody; as they were, to themselves and who may list users. Raise
    `NotFound`, `Forbidden`."""
    if as_of and user_id != asker.id:
        require(asker.roles, "identity:list")
    reading = state_of(user, ports.users, user_id, as_of) if as_of else ports.current_users.of(user_id)
    state, version = await reading
    if state.registered_at is None or state.erased_at or not state.name:  # a name is empty where its key is gone
        raise NotFound("user_not_found")
    return state, version
