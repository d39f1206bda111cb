"""Pick the adapters by which updates of user interfaces are published, and by which backends are told who is there, as `wiring`
does for the others."""

from datetime import UTC, datetime
from functools import partial

from bounded_contexts.identity.application.ports import Ports as IdentityPorts
from bounded_contexts.identity.application.sessions import require_recent
from bounded_contexts.realtime.adapters.occupancy_postgres import Changes
from bounded_contexts.realtime.adapters.publish_keys_postgres import PostgresPublishKeys, PostgresSeenRequests
from bounded_contexts.realtime.adapters.webhook_deliveries import WebhookDeliveries
from bounded_contexts.realtime.adapters.webhooks_postgres import PostgresWebhooks
from bounded_contexts.realtime.application.publish_keys import KeyPorts
from bounded_contexts.realtime.application.time_tokens import TimeTokens
from bounded_contexts.realtime.application.webhooks import WebhookPorts
from bounded_contexts.realtime.domain.publish_key import PublishKeyEvent
from headwater.settings import Settings, required, secret_key
from infra.avro import Codec
from infra.event_store_postgres import PostgresEventStore
from infra.outgoing import Outgoing, checked_url
from infra.postgres import Database


def key_ports(settings: Settings, database: Database, codec: Codec, accounts: IdentityPorts) -> KeyPorts:
    """Return what publish keys need; whether somebody has signed in of late, identity knows."""
    return KeyPorts(
        events=PostgresEventStore[PublishKeyEvent](database, "realtime", codec, PublishKeyEvent),
        keys=PostgresPublishKeys(database, secret_key(settings)),
        seen=PostgresSeenRequests(database),
        transaction=database.transaction,
        require_recent=partial(require_recent, ports=accounts),
        now=lambda: datetime.now(UTC),
    )


def webhook_ports(settings: Settings, database: Database, accounts: IdentityPorts) -> WebhookPorts:
    """Return what webhooks need; who develops may have their own machine told."""
    private = settings.mode == "development"
    endpoints = PostgresWebhooks(database, secret_key(settings))
    return WebhookPorts(
        endpoints=endpoints,
        tell_changes=Changes(database).tell,
        deliver=WebhookDeliveries(endpoints, Outgoing(private=private)).begin,
        checked_url=partial(checked_url, private=private),
        require_recent=partial(require_recent, ports=accounts),
        now=lambda: datetime.now(UTC),
    )


def time_tokens(settings: Settings) -> TimeTokens | None:
    """Return what tells the tokens of an older UI service, where they are switched on."""
    if not settings.compat_time_token:
        return None
    secret = required(settings.time_token_secret, "TIME_TOKEN_SECRET").get_secret_value()
    return TimeTokens(secret.encode(), settings.time_token_window)
