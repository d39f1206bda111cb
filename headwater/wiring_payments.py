"""Pick payments's adapters, as `wiring` does for the others."""

from datetime import UTC, datetime
from functools import partial

from bounded_contexts.payments import module as payments
from bounded_contexts.payments.adapters.heard_postgres import PostgresHeard
from bounded_contexts.payments.adapters.payments_postgres import PostgresPayments
from bounded_contexts.payments.adapters.provider_http import HttpProvider, NoProvider, Patience
from bounded_contexts.payments.application.ports import Ports
from headwater.given import Given
from headwater.settings import Settings, required
from infra.event_store_postgres import PostgresEventStore
from infra.positions import ReadModel
from infra.webhooks import secret_of
from shared_kernel.module import Module


def module_of_payments(given: Given) -> Module:
    """Return the context."""
    database = given.databases[payments.NAME]
    listed = PostgresPayments(database)
    ports = Ports(
        store=PostgresEventStore(database, payments.NAME, given.codec),
        provider=payment_provider(given.settings),
        payment_writer=listed,
        payments=listed,
        heard=PostgresHeard(database),
        stored=ReadModel(given.groups[payments.NAME].positions, payments.PAYMENTS, given.kafka.prefix),
        now=partial(datetime.now, UTC),
    )
    secret = given.settings.payment_webhook_secret
    signs = secret_of(secret.get_secret_value()) if secret else None
    return payments.module(ports, given.settings.payment_concurrency, signs)


def payment_provider(settings: Settings) -> HttpProvider | NoProvider:
    """Return whoever moves the money, or whoever declines to."""
    if settings.payment_provider_url is None:
        return NoProvider()
    key = required(settings.payment_provider_key, "PAYMENT_PROVIDER_KEY").get_secret_value()
    patience = Patience(settings.payment_attempt_timeout, settings.payment_timeout, settings.payment_concurrency)
    return HttpProvider(settings.payment_provider_url, key, patience)
