"""Socket.IO's connection state recovery, for clients that ask for it (docs/adr/0046): `pid` names a socket beyond its
connection, the last argument of each event is the position to go on from, and any node can take it up.

https://socket.io/docs/v4/connection-state-recovery"""

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from uuid import uuid4

from pydantic import BaseModel, ConfigDict, Field

from bounded_contexts.realtime.application.ports import KeptChannels
from infra.feed_positions import open_feed
from infra.opaque import OpaqueTokens
from shared_kernel.errors import Refused, Unavailable
from shared_kernel.module import Offsets

KIND = "recovery"


class Auth(BaseModel):
    """What a client says when it connects; unknown fields are for other versions."""

    model_config = ConfigDict(extra="ignore", strict=True)

    token: str | None = None
    position: str | None = Field(None, max_length=4096)
    echo: bool = False
    recovery: bool = False  # whether it wants to be recovered
    # The client library's own, of the socket that it had.
    pid: str | None = Field(None, max_length=256)
    offset: str | None = Field(None, max_length=4096)


@dataclass(frozen=True, slots=True)
class Recovery:
    """How a socket that is to be recovered has begun."""

    pid: str
    position: Offsets | None = None  # where it goes on; None: it is not recovered
    is_lost: bool = False  # it has missed what cannot be made up for
    channels: Mapping[str, datetime | None] = field(default_factory=dict)  # that it had, and until when


class Recoveries:
    def __init__(self, tokens: OpaqueTokens, kept: KeptChannels) -> None:
        self._tokens, self._kept = tokens, kept

    async def begin(
        self, auth: Auth, place: str, can_resume: Callable[[Offsets], Awaitable[bool]], *, has_channels: bool
    ) -> Recovery:
        """Return how the socket begins; `place` is the namespace and the user, whose `pid` is nobody else's. Raise
        `Unavailable`."""
        if auth.pid is None or auth.offset is None:
            return self._anew(place)
        try:
            self._tokens.open(KIND, auth.pid, place)
            position = open_feed(self._tokens, auth.offset)
        except Refused:
            return self._anew(place, is_lost=True)
        channels = await self._kept.of(auth.pid) if has_channels else {}
        if channels is None or not await _is_kept(position, can_resume):
            return self._anew(place, is_lost=True)
        return Recovery(auth.pid, position, channels=channels)

    async def keep(self, recovery: Recovery, channels: Mapping[str, datetime | None]) -> None:
        """Remember the channels that the socket has from now on. Raise `Unavailable`."""
        await self._kept.keep(recovery.pid, channels)

    def _anew(self, place: str, *, is_lost: bool = False) -> Recovery:
        return Recovery(self._tokens.seal(KIND, uuid4().bytes, place), is_lost=is_lost)


async def _is_kept(position: Offsets, can_resume: Callable[[Offsets], Awaitable[bool]]) -> bool:
    try:
        return await can_resume(position)
    except Unavailable:
        return True  # who cannot be served now is sent away, and comes back to ask again
