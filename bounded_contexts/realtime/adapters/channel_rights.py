"""Which channels a socket may have, and until when."""

from collections.abc import Iterable
from datetime import datetime

from bounded_contexts.realtime.adapters.channel_tokens import granted_until
from bounded_contexts.realtime.adapters.session import Session
from bounded_contexts.realtime.adapters.wishes import Subscribing
from bounded_contexts.realtime.application.subscriptions import may_subscribe
from infra.opaque import OpaqueTokens
from shared_kernel.errors import Forbidden


class ChannelRights:
    def __init__(self, tokens: OpaqueTokens, open_channels: Iterable[str]) -> None:
        self._tokens, self._open_channels = tokens, open_channels

    def until(self, socket: Session, wish: Subscribing) -> datetime | None:
        """Return when the right to the channel ends, None if it does not. Raise `Refused` where there is none."""
        if self.takes_no_token(socket, wish.channel):
            return None
        until = granted_until(self._tokens, wish.token, socket.id, wish.channel) if wish.token else None
        if until is None:
            raise Forbidden("forbidden_channel", "it takes a channel token that is not over")
        return until

    def takes_no_token(self, socket: Session, channel: str) -> bool:
        """Return whether the channel is public, the user's own, or open to everybody who is signed in."""
        user = socket.user
        return socket.is_public or may_subscribe(user.id, user.roles, channel, self._open_channels)
