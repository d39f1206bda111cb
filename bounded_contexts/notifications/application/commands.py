"""One function for each thing a user can do with notifications. Each writes exactly once."""

from collections.abc import Sequence
from datetime import datetime
from uuid import UUID

from bounded_contexts.notifications.application.ports import Ports
from schemas.notifications.events import NotificationsRead
from shared_kernel.errors import NotFound
from shared_kernel.events import Position


async def mark_read(recipient: UUID, ids: Sequence[UUID], all_until: datetime | None, ports: Ports) -> Position:
    """Mark one's own entries read. Raise `NotFound` if one of the ids is not the recipient's; then none is marked."""
    if set(ids) - await ports.inbox.owned(recipient, ids):
        raise NotFound("notification_not_found")
    seen = NotificationsRead(
        recipient_id=recipient, notification_ids=tuple(ids), all_until=all_until, read_at=ports.now()
    )
    return await ports.log.publish(seen)
