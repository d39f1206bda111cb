"""The door of realtime. What is delivered is decided here and nowhere else."""

from datetime import timedelta
from pathlib import Path

from fastapi import APIRouter

from bounded_contexts.realtime.adapters.demo import demo_routes
from bounded_contexts.realtime.adapters.gateway import FEED, ChatGateway
from bounded_contexts.realtime.adapters.graph_sockets import GraphSockets, Subscribe
from bounded_contexts.realtime.adapters.http import router
from bounded_contexts.realtime.adapters.http_compat import compat_routes
from bounded_contexts.realtime.adapters.http_events import event_routes
from bounded_contexts.realtime.adapters.http_time_token import time_token_routes
from bounded_contexts.realtime.adapters.plain_ui import PlainUiSockets
from bounded_contexts.realtime.application.limits import Limits
from bounded_contexts.realtime.application.ports import Ports
from bounded_contexts.realtime.application.publish_keys import KeyPorts
from bounded_contexts.realtime.application.publishing import PublishPorts
from bounded_contexts.realtime.application.reactions import SUMMARIES
from bounded_contexts.realtime.application.rules import RULES, handlers
from bounded_contexts.realtime.application.time_tokens import TimeTokens
from bounded_contexts.realtime.application.updates import HEARD
from bounded_contexts.realtime.application.webhooks import WebhookPorts
from infra.access_tokens import AccessTokens
from infra.opaque import OpaqueTokens
from infra.revocations import Revocations
from shared_kernel.module import Chore, Consumer, Feed, Module, Topic

NAME = "realtime"
RULES_GROUP = "realtime.rules"
EVENTS_AT_ONCE = 64  # of rules, each waiting for the broker
LOOK = timedelta(seconds=1)  # for what webhooks are to be told
RETENTION = timedelta(days=7)  # of updates: for how long a client may stay away and miss none
MIGRATIONS = Path(__file__).parent / "adapters" / "migrations"
ABOUT_THE_SESSION = {
    "session.ready": "You are in: what follows is what happens from `position` on.",
    "session.revoked": "The session has ended, and why; it needs a new token.",
    "auth.expiring": "The session's token ends at `expires_at`: send another by `auth.refresh`.",
    "typing.started": "Somebody types in one of your conversations, until `expires_at` or the next word of it.",
    "typing.stopped": "They have stopped, or six seconds are over.",
    "presence.changed": "A watched user is in another state, as far as you may see it.",
    "resync.required": "What was missed is too much or gone: load it over REST and connect with the position of that.",
    "server.draining": "This node stops; connect again after `reconnect_after_ms`.",
}
UI_COMMANDS = {
    "channel.subscribe": "Hear a channel, or up to 100 of them, from now on or from a position on.",
    "channel.unsubscribe": "Hear it no more.",
}
UI_EVENTS = {
    "update": "Something was published to a channel.",
    "channel.subscribed": "What follows of the channel is what happens from `position` on.",
    "channel.closed": "No more is heard of the channel, and why.",
    **{name: ABOUT_THE_SESSION[name] for name in ("session.revoked", "resync.required", "server.draining")},
}


def module(
    ports: Ports,
    access_tokens: AccessTokens,
    tokens: OpaqueTokens,
    limits: Limits,
    revocations: Revocations,
    subscribe: Subscribe,
    publishing: PublishPorts,
    keys: KeyPorts,
    webhooks: WebhookPorts,
    time_tokens: TimeTokens | None,
    *,
    with_demo: bool,
) -> Module:
    """Return the context as wiring knows it."""
    gateway = ChatGateway(ports, access_tokens, tokens, limits)
    revocations.listen(gateway.revoked)
    return Module(
        name=NAME,
        topics=(Topic("ui-updates", retention=RETENTION), Topic("publish-keys")),
        feed=Feed(FEED, HEARD, gateway.deliver, gateway.reached, limits.lookback_records),
        router=router(publishing, keys, ports.connections, webhooks),
        consumers=(
            Consumer(
                RULES_GROUP,
                handlers(RULES, publishing),
                does="publishes UI updates for the events that rules name",
                lanes=EVENTS_AT_ONCE,
                has_outside_effects=True,  # who looks at a screen would be shown the past
            ),
        ),
        chores=(
            Chore(RULES_GROUP, "notes for webhooks who came and went", LOOK, webhooks.tell_changes),
            Chore(RULES_GROUP, "sends what waits for webhooks", LOOK, webhooks.deliver),
        ),
        feed_router=event_routes(gateway, limits),
        root_router=_root_routes(publishing, time_tokens, with_demo=with_demo),
        has_outbox=True,
        sockets=gateway.asgi,
        compat_sockets=PlainUiSockets(gateway, gateway.ui, gateway.asgi, limits, gateway.plain),
        graph_sockets=GraphSockets(gateway, gateway.asgi, limits, subscribe),
        compat_router=compat_routes(gateway.connections),
        drain=gateway.close,
        socket_commands=gateway.commands,
        socket_events={**SUMMARIES, **ABOUT_THE_SESSION},
        ui_commands=UI_COMMANDS,
        ui_events=UI_EVENTS,
    )


def _root_routes(publishing: PublishPorts, time_tokens: TimeTokens | None, *, with_demo: bool) -> APIRouter:
    routes = APIRouter()
    if time_tokens:
        routes.include_router(time_token_routes(publishing, time_tokens))
    if with_demo:
        routes.include_router(demo_routes())
    return routes
