"""The second factor: added once a code was shown, asked at each sign-in, removed by a code or an administrator."""

from datetime import datetime
from uuid import UUID

from bounded_contexts.identity.application.ports import Ports
from bounded_contexts.identity.domain import user
from bounded_contexts.identity.domain.commands import AddSecondFactor, RemoveSecondFactor
from shared_kernel.decider import execute, state_of
from shared_kernel.errors import Forbidden, Refused


async def enrol(user_id: UUID, ports: Ports) -> tuple[str, str]:
    """Return a new secret and the account's address, by which an app names it. Raise `Refused` while there is one."""
    state, _ = await state_of(user, ports.users, user_id)
    user.require_active(state)
    if state.has_second_factor:
        raise Refused("second_factor_present", "remove the present one first")
    return await ports.second_factors.begin(user_id), state.email


async def confirm(user_id: UUID, code: str, at: datetime, ports: Ports) -> list[str]:
    """Ask for a code at each sign-in from now on; return the recovery codes. Raise `Forbidden` for a wrong code."""
    await ports.attempts.admit([f"account:code {user_id}"])
    async with ports.transaction():
        codes = await ports.second_factors.confirm(user_id, code, at)
        if codes is None:
            raise Forbidden("wrong_code", "this is no code of the new secret")
        await execute(user, ports.users, user_id, AddSecondFactor(user_id=user_id, at=at))
    await ports.attempts.succeeded([f"account:code {user_id}"])
    return codes


async def remove(ask: RemoveSecondFactor, code: str | None, ports: Ports) -> None:
    """Ask for the password alone again: with a code of one's own, or as an administrator. Raise `Forbidden`."""
    if ask.asker.id == ask.user_id:
        await ports.attempts.admit([f"account:code {ask.user_id}"])
        if code is None or not await ports.second_factors.accepts(ask.user_id, code, ask.at):
            raise Forbidden("wrong_code", "it takes a code of now, or a recovery code")
        await ports.attempts.succeeded([f"account:code {ask.user_id}"])
    async with ports.transaction():
        await ports.second_factors.forget(ask.user_id)  # first, as a confirmation at the same time does
        await execute(user, ports.users, ask.user_id, ask)
