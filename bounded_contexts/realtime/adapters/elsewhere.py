"""How many sockets of a user other nodes have."""

from uuid import UUID

import structlog

from bounded_contexts.realtime.adapters.session import Session
from bounded_contexts.realtime.application.limits import Limits
from bounded_contexts.realtime.application.ports import Connections
from shared_kernel.errors import Unavailable

log = structlog.get_logger()


class Elsewhere:
    def __init__(self, connections: Connections, node: UUID, limits: Limits) -> None:
        self._connections, self._node = connections, node
        self._is_asked = limits.connections_per_user_everywhere > 0

    async def count(self, session: Session) -> int:
        """Return how many, as far as nodes have told, which they do each second; 0 where nobody wants to know. A database that is
        away shuts nobody out."""
        if not self._is_asked:
            return 0
        try:
            return await self._connections.count(session.id, self._node)
        except Unavailable as error:
            log.warning("realtime.not_counted_elsewhere", code=error.code)
            return 0
