"""The door of payments. Who listens to what is decided here and nowhere else."""

from datetime import timedelta
from functools import partial
from pathlib import Path

from bounded_contexts.payments.adapters.graph import graph
from bounded_contexts.payments.adapters.http import router
from bounded_contexts.payments.adapters.http_webhooks import webhooks
from bounded_contexts.payments.application.ports import Ports
from bounded_contexts.payments.application.settling import hear, resolve
from bounded_contexts.payments.domain.payment import PaymentEvent
from schemas.payments.events import (
    AuthorizePayment,
    CapturePayment,
    PaymentAuthorized,
    PaymentCaptured,
    PaymentCaptureDeclined,
    PaymentCaptureRequested,
    PaymentDeclined,
    PaymentRefundDeclined,
    PaymentRefunded,
    PaymentRefundRequested,
    PaymentRequested,
    PaymentVoided,
    PaymentVoidRequested,
    RefundPayment,
    VoidPayment,
)
from shared_kernel.module import Chore, Consumer, Count, Module, Topic, on

NAME = "payments"
COMMANDS = "payments.commands"
PAYMENTS = "payments.payments"
READ_MODEL = ("payment",)
LOOK = timedelta(seconds=5)  # for payments that nobody is at any more
MIGRATIONS = Path(__file__).parent / "adapters" / "migrations"
EVENTS: tuple[type[PaymentEvent], ...] = (
    PaymentRequested,
    PaymentAuthorized,
    PaymentDeclined,
    PaymentCaptureRequested,
    PaymentCaptured,
    PaymentCaptureDeclined,
    PaymentVoidRequested,
    PaymentVoided,
    PaymentRefundRequested,
    PaymentRefundDeclined,
    PaymentRefunded,
)


def module(ports: Ports, lanes: int, webhook_secret: bytes | None) -> Module:
    """Return the context as wiring knows it; `lanes` payments at once are talked about with the provider, whose webhooks are
    taken where there is a secret that signs them."""
    heard = partial(hear, ports=ports)
    routes = router(ports)
    routes.include_router(webhooks(ports, webhook_secret))
    return Module(
        name=NAME,
        topics=(Topic("payments"), Topic("payment-commands")),
        has_outbox=True,
        router=routes,
        graph=graph(ports),
        consumers=(
            Consumer(
                COMMANDS,
                (
                    on(AuthorizePayment, heard),
                    on(CapturePayment, heard),
                    on(VoidPayment, heard),
                    on(RefundPayment, heard),
                ),
                does="has the payment provider move money as sagas ask",
                lanes=lanes,
            ),
            Consumer(
                PAYMENTS,
                tuple(on(event, ports.payment_writer.changed) for event in EVENTS),
                does="keeps the list of payments",
                read_model=READ_MODEL,
                counts=(
                    Count("payments_authorized", "Payments that the provider holds money for.", PaymentAuthorized),
                    Count("payments_declined", "Payments that the provider has declined.", PaymentDeclined),
                    Count("payments_captured", "Payments that were taken.", PaymentCaptured),
                    Count("refunds_declined", "Times that the provider did not give back.", PaymentRefundDeclined),
                ),
            ),
        ),
        close=ports.provider.close,
        chores=(Chore(COMMANDS, "resolves payments of no known outcome", LOOK, partial(resolve, ports=ports)),),
    )
