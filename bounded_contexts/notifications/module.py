"""The door of notifications. Who listens to what is decided here and nowhere else."""

from datetime import timedelta
from functools import partial
from pathlib import Path

from bounded_contexts.notifications.adapters.graph import graph
from bounded_contexts.notifications.adapters.http import router
from bounded_contexts.notifications.application import reactions
from bounded_contexts.notifications.application.ports import Ports
from infra.graph import Users
from schemas.documents.events import ConversionFailed, DocumentConverted, DocumentFailed, DocumentRendered
from schemas.messaging.events import MessageDeleted, MessageEdited, MessageErased, MessageSent
from schemas.notifications.events import NotificationsRead
from schemas.ordering.events import OrderCancelled, OrderConfirmed, OrderRejected, OrderReturned, OrderShipped
from shared_kernel.module import Consumer, Count, Module, Topic, on, on_batch

NAME = "notifications"
INBOX = "notifications.inbox"
WAIT = timedelta(milliseconds=100)  # for more events to a transaction: a notification is not read at once
RAISED = ("notifications_raised", "Entries raised in somebody's inbox; a repeat counts again.")
ORDER_NEWS: tuple[type[reactions.OrderNews], ...] = (
    OrderConfirmed,
    OrderRejected,
    OrderShipped,
    OrderCancelled,
    OrderReturned,
)
CONVERSION_NEWS: tuple[type[reactions.ConversionNews], ...] = (DocumentConverted, ConversionFailed)
DOCUMENT_NEWS: tuple[type[reactions.DocumentNews], ...] = (DocumentRendered, DocumentFailed)
READ_MODEL = ("entry", "mark", "mark_all")
MIGRATIONS = Path(__file__).parent / "adapters" / "migrations"


def module(ports: Ports, users: Users) -> Module:
    """Return the context as wiring knows it."""
    return Module(
        name=NAME,
        topics=(Topic("notifications"),),
        router=router(ports),
        graph=graph(ports, users),
        consumers=(
            Consumer(
                INBOX,
                (
                    on_batch(MessageSent, partial(reactions.messages_sent, ports=ports)),
                    on(MessageEdited, partial(reactions.message_edited, ports=ports)),
                    on(MessageDeleted, partial(reactions.message_deleted, ports=ports)),
                    on(MessageErased, partial(reactions.message_erased, ports=ports)),
                    *(on(event, partial(reactions.order_changed, ports=ports)) for event in ORDER_NEWS),
                    *(on(event, partial(reactions.conversion_over, ports=ports)) for event in CONVERSION_NEWS),
                    *(on(event, partial(reactions.document_over, ports=ports)) for event in DOCUMENT_NEWS),
                    on(NotificationsRead, partial(reactions.notifications_read, ports=ports)),
                ),
                does="files notifications in the inbox of each recipient",
                batch_wait=WAIT,
                read_model=READ_MODEL,
                counts=(
                    Count(*RAISED, MessageSent, lambda sent: len(sent.recipient_ids)),
                    *(Count(*RAISED, event) for event in (*ORDER_NEWS, *CONVERSION_NEWS, *DOCUMENT_NEWS)),
                ),
            ),
        ),
    )
