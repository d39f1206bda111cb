"""API keys of users."""

from uuid import UUID

from bounded_contexts.identity.application.ports import ListedKey, Ports
from bounded_contexts.identity.domain import api_key, user
from bounded_contexts.identity.domain.commands import CreateApiKey, RevokeApiKey
from shared_kernel.decider import execute, state_of
from shared_kernel.errors import Forbidden, Refused

LIMIT = 50  # keys of one user


async def create_key(ask: CreateApiKey, session_id: UUID | None, ports: Ports) -> tuple[ListedKey, str]:
    """Return the key as it is listed, and as it is sent; the session that asks is open until it is stored, so that what ends
    both ends this key. Raise `Refused`, `Forbidden`, `NotFound` for a user without an account."""
    state, _ = await state_of(user, ports.users, ask.user_id)
    user.require_active(state)
    if len(await ports.api_keys.of_user(ask.user_id)) >= LIMIT:
        raise Refused("too_many_keys", f"at most {LIMIT}: revoke one first")
    listed = ListedKey(
        ask.key_id, ask.user_id, ask.name.strip(), tuple(sorted(ask.scopes)), ask.at, ask.expires_at, None
    )
    async with ports.transaction():
        if session_id and not await ports.refresh_tokens.stays(session_id):
            raise Forbidden("sign_in_again", "the session is over")
        await execute(api_key, ports.keys, ask.key_id, ask)
        return listed, await ports.api_keys.begin(listed)


async def revoke_key(ask: RevokeApiKey, ports: Ports) -> None:
    """Refuse the key from now on; again is no change. Raise `NotFound` for somebody else's."""
    await execute(api_key, ports.keys, ask.key_id, ask)


async def end_keys(user_id: UUID, ports: Ports) -> None:
    """Revoke every key of the user."""
    for each in await ports.api_keys.of_user(user_id):
        await revoke_key(RevokeApiKey(key_id=each.key_id, user_id=user_id, at=ports.now()), ports)
