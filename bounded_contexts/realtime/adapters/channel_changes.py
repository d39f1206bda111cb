"""What administrators and services do to the subscriptions of a user's sockets on this node."""

from collections.abc import Collection, Mapping
from typing import Any
from uuid import UUID

import structlog

from bounded_contexts.realtime.adapters.channel_tokens import sealed
from bounded_contexts.realtime.adapters.session import Session
from bounded_contexts.realtime.adapters.ui import UiUpdates
from bounded_contexts.realtime.adapters.ui_sessions import UiSession
from bounded_contexts.realtime.adapters.wishes import Subscribing
from bounded_contexts.realtime.application.reactions import Recipient
from bounded_contexts.realtime.application.signals import ChannelsGiven, ChannelsTaken
from infra.opaque import OpaqueTokens
from shared_kernel.errors import HeadwaterError

log = structlog.get_logger()


class ChannelChanges:
    def __init__(self, of_user: Mapping[Recipient, Collection[Session]], ui: UiUpdates, tokens: OpaqueTokens) -> None:
        self._of_user, self._ui, self._tokens = of_user, ui, tokens

    def give(self, given: ChannelsGiven) -> None:
        """Subscribe as if each client had come with a channel token: from now on, unless it has the channel."""
        for socket in self._sockets(given.user_id, given.sid):
            for channel in given.channels:
                token = sealed(self._tokens, given.user_id, channel, given.until)
                begin: dict[str, Any] = {} if channel in socket.channels else {"position": None}
                try:
                    self._ui.subscribe(socket, (Subscribing(channel=channel, token=token, **begin),))
                except HeadwaterError as error:
                    log.info("realtime.channel_not_given", user=str(given.user_id), channel=channel, code=error.code)
            self._ui.keep(socket)

    def take(self, taken: ChannelsTaken) -> None:
        """End subscriptions; a client that may have the channel may subscribe again."""
        for socket in self._sockets(taken.user_id, taken.sid):
            for channel in taken.channels:
                self._ui.unsubscribe(socket, channel, taken.reason)
            self._ui.keep(socket)

    def _sockets(self, user: UUID, sid: str | None) -> list[UiSession]:
        return [
            each
            for each in self._of_user.get(user, ())
            if isinstance(each, UiSession)
            and each.names_channels
            and each.connection
            and sid in (None, each.connection.sid)
        ]
