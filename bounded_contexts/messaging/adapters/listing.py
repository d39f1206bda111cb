"""Wait until lists show what was decided."""

from uuid import UUID

from bounded_contexts.messaging.application.ports import Listed, Ports
from bounded_contexts.messaging.domain.conversation import Conversation
from infra.positions import comes_true


async def listed_as(id_: UUID, state: Conversation, wait_s: float, ports: Ports) -> tuple[Listed | None, bool]:
    """Return the conversation as listed, after waiting up to `wait_s` seconds until that is what was decided, and whether
    it is."""
    listed: Listed | None = None

    async def is_shown() -> bool:
        nonlocal listed
        listed = await ports.conversations.listed(id_)
        return listed is not None and _shows(listed, state)

    found = await comes_true(is_shown, wait_s)
    return listed, found and wait_s > 0


def _shows(listed: Listed, state: Conversation) -> bool:
    known = (frozenset(listed.member_ids), listed.title, dict(listed.metadata), listed.archived_at is None)
    return known == (state.members, state.title, dict(state.metadata), state.archived_at is None)
