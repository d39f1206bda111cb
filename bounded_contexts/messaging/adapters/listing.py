"""Wait until lists show what was decided."""

import asyncio
from time import monotonic
from uuid import UUID

from bounded_contexts.messaging.application.ports import Listed, Ports
from bounded_contexts.messaging.domain.conversation import Conversation

LOOK_AGAIN_S = 0.02


async def listed_as(id_: UUID, state: Conversation, wait_s: float, ports: Ports) -> tuple[Listed | None, bool]:
    """Return the conversation as listed, after waiting up to `wait_s` seconds until that is what was decided, and whether
    it is."""
    until = monotonic() + wait_s
    listed = await ports.conversations.listed(id_)
    while wait_s and not (listed and _shows(listed, state)):
        if monotonic() >= until:
            return listed, False
        await asyncio.sleep(LOOK_AGAIN_S)
        listed = await ports.conversations.listed(id_)
    return listed, bool(wait_s)


def _shows(listed: Listed, state: Conversation) -> bool:
    known = (frozenset(listed.member_ids), listed.title, dict(listed.metadata), listed.archived_at is None)
    return known == (state.members, state.title, dict(state.metadata), state.archived_at is None)
