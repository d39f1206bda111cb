"""The gateway: Socket.IO in namespace `/chat`, and the plain WebSocket of an older service (docs/realtime.md). It lets in
who wants UI updates, too, which `UiUpdates` sends.

Every node reads every event itself and delivers it to its own sockets. Delivery never waits for a client: a packet is made
once and put into each queue; a session whose queue is full is left to `CatchUp`.
"""

import asyncio
import random
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from typing import Any
from uuid import UUID

from pydantic import ValidationError

from bounded_contexts.realtime.adapters import metrics, packets
from bounded_contexts.realtime.adapters.anonymous import anonymous
from bounded_contexts.realtime.adapters.catch_up import CatchUp
from bounded_contexts.realtime.adapters.channel_changes import ChannelChanges
from bounded_contexts.realtime.adapters.commands import Asked, CommandLine, SessionCommand, of_its_user
from bounded_contexts.realtime.adapters.connection import GRACE_S, Connection, Kind, Refusal
from bounded_contexts.realtime.adapters.elsewhere import Elsewhere
from bounded_contexts.realtime.adapters.engine import Engine
from bounded_contexts.realtime.adapters.graph_sockets import GraphSession
from bounded_contexts.realtime.adapters.occupied_channels import OccupiedChannels
from bounded_contexts.realtime.adapters.past_in_turns import PastInTurns
from bounded_contexts.realtime.adapters.plain import PlainSession, PlainSockets
from bounded_contexts.realtime.adapters.presences import Presences
from bounded_contexts.realtime.adapters.recovery import Auth, Recoveries
from bounded_contexts.realtime.adapters.run import Run
from bounded_contexts.realtime.adapters.session import Session
from bounded_contexts.realtime.adapters.session_notes import SessionNotes
from bounded_contexts.realtime.adapters.token_expiry import TokenExpiry
from bounded_contexts.realtime.adapters.typists import Typists
from bounded_contexts.realtime.adapters.ui import TOPIC as UPDATES
from bounded_contexts.realtime.adapters.ui import UiUpdates
from bounded_contexts.realtime.adapters.ui_frames import EventsSession, PageSession, PlainPublicSession, PlainUiSession
from bounded_contexts.realtime.adapters.ui_sessions import PublicSession, UiSession
from bounded_contexts.realtime.application.erased import ErasedMessages
from bounded_contexts.realtime.application.limits import Limits
from bounded_contexts.realtime.application.own_messages import OwnMessages
from bounded_contexts.realtime.application.ports import Ports
from bounded_contexts.realtime.application.reactions import Recipient, delivery_of
from bounded_contexts.realtime.application.recent import Recent, copied
from bounded_contexts.realtime.application.signals import (
    ChannelsGiven,
    ChannelsTaken,
    Disconnection,
    PresenceChanged,
    Signal,
    Typed,
)
from infra import tracing
from infra.access_tokens import AccessTokens, Unauthenticated, User
from infra.feed_positions import open_feed, seal_feed
from infra.metrics import Sample, sample
from infra.opaque import OpaqueTokens
from infra.problems import of_error, of_validation, problem
from shared_kernel.errors import Forbidden, HeadwaterError
from shared_kernel.events import Recorded
from shared_kernel.module import Offsets

FEED = "realtime.delivery"  # the role, and the group by which it shows in traces
BREATH = 32  # events delivered before writers and readers get their turn
KINDS: Mapping[Kind, type[Session]] = {
    "chat": Session,
    "plain": PlainSession,
    "graph": GraphSession,
    "ui": UiSession,
    "public": PublicSession,
    "events": EventsSession,
    "page": PageSession,
    "plain-ui": PlainUiSession,
    "plain-public": PlainPublicSession,
}
RECOVERED = (Session, UiSession, PublicSession)  # what of them speaks Socket.IO
RETURNS_PER_S = 200  # clients that are sent to other nodes in a second when this one stops


@dataclass(frozen=True, slots=True)
class Load:
    """What a node holds for its clients."""

    sessions: int
    queued_events: int  # in all queues together
    queued_bytes: int  # counted once for each client, though a packet is one object


class ChatGateway:
    """Its socket side is `asgi` and `plain`, its event side `deliver` and `reached`. Clients are let in once reading is live."""

    def __init__(
        self, ports: Ports, access_tokens: AccessTokens, tokens: OpaqueTokens, limits: Limits | None = None
    ) -> None:
        self._ports = ports
        self._access_tokens = access_tokens
        self._tokens = tokens
        self._limits = limits or Limits()
        self._recent = Recent(self._limits.recent_records, self._limits.recent_bytes)
        self._erased = ErasedMessages()
        self._notes = SessionNotes(ports.sessions, self._recent)
        self._elsewhere = Elsewhere(ports.connections, self._notes.node, self._limits)
        past = PastInTurns(ports.past, self._limits)
        self._catch_up = CatchUp(self._recent, self._erased, past, self._notes.began, self._seal, self._limits)
        self._sessions: dict[str, Session] = {}  # by Socket.IO id
        self._of_user: dict[Recipient, set[Session]] = {}
        self._lines: dict[str, CommandLine] = {}
        self._expiry = TokenExpiry(self._verified, self._revoke, self._sessions)
        self._typists = Typists(ports.members, ports.signals, self._of_user)
        self._presences = Presences(ports.presences, ports.contacts)
        self.commands: Mapping[str, SessionCommand] = {  # beside those of the contexts
            "auth.refresh": self._expiry.refresh,
            "presence.privacy": self._presences.show_to,
            "presence.set": self._presences.choose,
            "presence.subscribe": self._presences.subscribe,
            "typing.start": self._typists.start,
            "typing.stop": self._typists.stop,
        }
        self._offered = {name: of_its_user(command) for name, command in ports.commands.items()} | self.commands
        self._live: list[asyncio.Task[None]] = []
        self._run: Run | None = None  # what has not been queued yet
        self._public = 0  # sessions without login
        self._begun = self._closing = False
        self._nobody = asyncio.Event()
        self.asgi = Engine(self, self._limits)
        self._recoveries = Recoveries(tokens, ports.kept_channels)
        self.ui = UiUpdates(past, tokens, self._recoveries, self._limits, self.asgi.spawn)
        self._occupied = OccupiedChannels(ports.occupancy, self._notes.node, self.ui.occupied)
        self._changes = ChannelChanges(self._of_user, self.ui, tokens)
        self.plain = PlainSockets(self, self.asgi, self._limits)
        sample(self)

    async def deliver(self, batch: Sequence[Recorded]) -> None:
        """Send each event to whom it concerns, once; one that was read before is passed by."""
        for count, recorded in enumerate(batch, 1):
            self.ui.deliver(recorded) if recorded.position.topic == UPDATES else self._deliver(recorded)
            if count % BREATH == 0:
                self._send()
                await asyncio.sleep(0)
        self._send()

    def reached(self, offsets: Offsets, live: bool) -> None:
        """Hear how far reading has come. Chat and updates have positions of their own."""
        updates = {UPDATES: offsets.get(UPDATES, {})}
        offsets = {topic: partitions for topic, partitions in offsets.items() if topic != UPDATES}
        if not self._begun:
            self.ui.begun(updates)
            self._recent.begin(offsets)
            self._begun = True
            telling = self._notes.run(), self._occupied.run()
            living = self._ports.signals.hear(self._heard), self._presences.run(), self._expiry.run()
            self._live = [asyncio.create_task(each) for each in (*telling, *living)]
        self._recent.reach(offsets)
        self._catch_up.moved()
        self.ui.reached(updates)
        if live and not self._closing:
            self.asgi.open()

    def revoked(self, user: UUID, session: UUID | None, reason: str) -> None:
        """End the user's sockets, or those of one sign-in."""
        for each in list(self._of_user.get(user, ())):
            if session in (None, each.user.session):
                each.revoked = reason
                self._revoke(each, reason)

    @property
    def load(self) -> Load:
        outboxes = {session.connection.outbox for session in self._sessions.values() if session.connection}
        return Load(len(self._sessions), sum(box.qsize() for box in outboxes), sum(box.bytes for box in outboxes))

    def samples(self) -> Iterator[Sample]:
        """Yield what the node holds now."""
        load = self.load
        yield metrics.CONNECTIONS, (), load.sessions
        yield metrics.QUEUED_EVENTS, (), load.queued_events
        yield metrics.QUEUED_BYTES, (), load.queued_bytes

    async def close(self) -> None:
        """Let nobody in, send everybody to other nodes, spread over time, and cut who is left."""
        self._closing = True
        self.asgi.shut()
        loop = asyncio.get_running_loop()
        spread_s = min(self._limits.drain_s, len(self._sessions) / RETURNS_PER_S)
        for session in list(self._sessions.values()):
            wait_s = random.uniform(0, spread_s)  # noqa: S311 – spreads load
            session.say("server.draining", {"reconnect_after_ms": round(wait_s * 1000)})
            if session.connection:
                loop.call_later(wait_s, session.connection.hang_up)
        if self._sessions:
            with suppress(TimeoutError):
                await asyncio.wait_for(self._nobody.wait(), spread_s + GRACE_S)
        for task in self._live:
            task.cancel()
        await asyncio.gather(*self._live, return_exceptions=True)
        self._typists.close()
        self.asgi.end()
        await self._notes.tell()
        await self._occupied.tell()

    def connections(self, user: UUID) -> int:
        """Return how many sockets of the user are open on this node."""
        return len(self._of_user.get(user, ()))

    async def admit(self, sid: str, auth: Any, kind: Kind = "chat", address: str = "") -> Any:
        """Let a client in by its token. Raise `Refusal` with a problem document."""
        try:
            session = await self._session_of(Auth.model_validate(auth or {}), KINDS[kind], address)
            elsewhere = await self._elsewhere.count(session)
        except HeadwaterError as error:
            raise _refusal(of_error(error)) from None
        except ValidationError as error:
            raise _refusal(of_validation(error)) from None
        self._require_room(session, elsewhere)
        self._of_user.setdefault(session.id, set()).add(session)
        self._sessions[sid] = session
        self._nobody.clear()
        return session

    def joined(self, connection: Connection) -> None:
        """Let the client ask, and hear if it is of a kind that hears at once."""
        session = self._sessions[connection.sid]
        session.connection = connection
        if session.revoked:  # while it came in
            self._revoke(session, session.revoked)
            return
        commands = self._ui_commands(session) if isinstance(session, UiSession) else self._offered
        self._lines[connection.sid] = CommandLine(
            session, commands, self._limits, lambda: self._revoke(session, "rate_limited")
        )
        self._expiry.watch(session)
        if session.begins_at_once:
            self.began(connection.sid)
        elif isinstance(session, UiSession):
            if session.is_listed:
                self._notes.began(connection.sid, session)
            if session.recovery:
                self.ui.take_up(session, session.recovery)

    def began(self, sid: str) -> None:
        """Begin to send, from now or from the client's position on."""
        session = self._sessions[sid]
        if session.recovery and session.recovery.is_lost:
            self._catch_up.start_over(session)
        elif session.position is None:
            self._catch_up.start(session)
        else:
            self.asgi.spawn(self._catch_up.resume(session, session.position))

    def asked(self, sid: str, number: int | None, args: list[Any]) -> None:
        """Run what the client asks."""
        name, *rest = args
        if line := self._lines.get(sid):
            line.take(Asked(number, name, tuple(rest)))

    def left(self, sid: str) -> None:
        """Forget the session."""
        self._lines.pop(sid, None)
        session = self._sessions.pop(sid, None)
        if session is None:
            return
        self._notes.ended(sid)
        session.end()
        self._presences.left(session)
        self._public -= session.is_public
        others = self._of_user[session.id]
        others.discard(session)
        if not others:
            del self._of_user[session.id]
        if not self._sessions:
            self._nobody.set()

    def _ui_commands(self, session: UiSession) -> Mapping[str, SessionCommand]:
        renewed = {} if session.is_public else {"auth.refresh": partial(self._refresh_ui, session)}
        return {**self.ui.commands(session), **renewed}

    async def _refresh_ui(self, socket: UiSession, session: Session, payload: Any) -> Mapping[str, Any]:
        outcome = await self._expiry.refresh(session, payload)
        self.ui.refreshed(socket)
        return outcome

    def _heard(self, signal: Signal) -> None:
        match signal:
            case Typed():
                self._typists.hear(signal)
            case PresenceChanged(user_ids=users):
                self._presences.hear(users)
            case Disconnection():
                self._disconnect(signal)
            case ChannelsGiven():
                self._changes.give(signal)
            case ChannelsTaken():
                self._changes.take(signal)

    def _disconnect(self, asked: Disconnection) -> None:
        for each in list(self._of_user.get(asked.user_id, ())):
            if asked.sid is None or (each.connection and each.connection.sid == asked.sid):
                each.revoked = asked.reason
                self._revoke(each, asked.reason, "disconnected")

    def _deliver(self, recorded: Recorded) -> None:
        if not self._recent.is_news(recorded):
            self._recent.passed(recorded)
            return
        if message := self._erased.learn(recorded.event):
            self._recent.clear(message, packets.revised)
        recorded = self._erased.cleared(recorded)
        delivery = delivery_of(recorded.event)
        if delivery is None:
            self._recent.passed(recorded)
            return
        entry = self._recent.add(recorded, delivery, packets.opening(recorded, delivery))
        if self._run is None or not self._run.takes(entry):
            self._send()
            listening = [s for user in delivery.recipients for s in self._of_user.get(user, ()) if s.live]
            if not listening:
                return
            self._run = Run(listening)
        metrics.DELAY.observe(metrics.age_s(recorded.time))
        with tracing.processing(FEED, recorded, name="deliver") as span:
            span.set("headwater.realtime.sockets", len(self._run.sessions))
            self._run.add(entry, packets.completed(entry.text, self._seal(self._recent.reached)))

    def _send(self) -> None:
        """Queue what is due to the same sockets."""
        run, self._run = self._run, None
        if run is None:
            return
        for session in run.sessions:
            if entry := session.offer_all(run.entries, run.packets, run.size):
                metrics.LAGGED.inc()
                session.lag(entry, copied(self._recent.reached))
                self.asgi.spawn(self._catch_up.follow(session))

    def _require_room(self, session: Session, elsewhere: int) -> None:
        """Raise `Refusal` where too many are open: of the user, or without login of the address or at all."""
        count, is_public = len(self._of_user.get(session.id, ())), session.is_public
        if count >= (self._limits.connections_per_address if is_public else self._limits.connections_per_user):
            raise _refusal(problem(429, "too_many_connections", f"{count} sockets of yours are open here"))
        most = self._limits.connections_per_user_everywhere
        if most and not is_public and count + elsewhere >= most:
            raise _refusal(problem(429, "too_many_connections", f"{count + elsewhere} sockets of yours are open"))
        if is_public and self._public >= self._limits.public_connections:
            raise _refusal(problem(429, "too_many_connections", "too many are open without login"))
        self._public += is_public

    async def _session_of(self, auth: Auth, kind: type[Session], address: str) -> Session:
        user = await self._user_of(auth, kind, address)
        position = open_feed(self._tokens, auth.position) if auth.position is not None else None
        session = kind(user, position, auth.echo, OwnMessages(user.id))
        if auth.token and not (session.is_public):
            self._expiry.note(session, auth.token)
        if auth.recovery and kind in RECOVERED:
            await self._recover(session, auth)
        return session

    async def _recover(self, session: Session, auth: Auth) -> None:
        """Have the session go on where the client's former one was, if that can be."""
        has_channels = isinstance(session, UiSession)
        can_resume = partial((self.ui.catch_up if has_channels else self._catch_up).can_resume, session)
        place = session.namespace if session.is_public else f"{session.namespace} {session.id}"
        session.recovery = found = await self._recoveries.begin(auth, place, can_resume, has_channels=has_channels)
        if found.is_lost or found.position is not None:
            session.position = found.position

    async def _user_of(self, auth: Auth, kind: type[Session], address: str) -> User:
        if kind.takes_login == "never" or (kind.takes_login == "perhaps" and auth.token is None):
            return anonymous(address)
        if auth.token is None:
            raise Unauthenticated("unauthenticated", "send an access token when connecting")
        return await self._verified(auth.token)

    async def _verified(self, token: str) -> User:
        user = await self._access_tokens.verify(token)
        if user.scopes is not None:
            raise Forbidden("scope_missing", "sockets are for who signs in: scopes are about REST")
        return user

    def _revoke(self, session: Session, reason: str, counted_as: str | None = None) -> None:
        """End the session so that the client does not come back by itself. What others call it is not counted by that name."""
        if session.ended or session.connection is None:
            return
        metrics.CUT.labels(counted_as or reason).inc()
        session.say("session.revoked", {"reason": reason})
        self._notes.ended(session.connection.sid)  # what comes while it goes is not sent any more
        session.end()
        session.connection.dismiss()

    def _seal(self, offsets: Offsets) -> str:
        return seal_feed(self._tokens, offsets)


def _refusal(document: dict[str, Any]) -> Refusal:
    metrics.REFUSED.labels(document["code"]).inc()
    return Refusal(document.get("detail") or document["title"], document)
