"""What other contexts' events mean for somebody's inbox."""

from collections.abc import Iterator, Sequence
from datetime import datetime
from uuid import UUID, uuid5

from bounded_contexts.notifications.application.ports import Entry, Ports
from schemas.documents.events import ConversionFailed, DocumentConverted, DocumentFailed, DocumentRendered
from schemas.messaging.events import MessageDeleted, MessageEdited, MessageErased, MessageSent
from schemas.notifications.events import NotificationsRead
from schemas.ordering.events import OrderCancelled, OrderConfirmed, OrderRejected, OrderReturned, OrderShipped

PREVIEW_LIMIT = 120  # characters

OrderNews = OrderConfirmed | OrderRejected | OrderShipped | OrderCancelled | OrderReturned
ConversionNews = DocumentConverted | ConversionFailed
DocumentNews = DocumentRendered | DocumentFailed
MADE_OF = {"order": "The invoice of your order", "conversation": "The copy of your conversation"}  # others have names


async def messages_sent(messages: Sequence[MessageSent], ports: Ports) -> None:
    """Raise one entry for each recipient of each message."""
    entries = [entry for message in messages for entry in entries_of(message)]
    if entries:
        await ports.inbox_writer.raised(entries)


async def message_edited(edit: MessageEdited, ports: Ports) -> None:
    """Show the new text."""
    await ports.inbox_writer.revised(edit.message_id, preview_of(edit.body))


async def message_deleted(deletion: MessageDeleted, ports: Ports) -> None:
    """Withdraw what the message raised."""
    await ports.inbox_writer.withdrawn(deletion.message_id, deletion.deleted_at)


async def message_erased(erasure: MessageErased, ports: Ports) -> None:
    """Withdraw what the message raised, and with it the preview of its text."""
    await ports.inbox_writer.withdrawn(erasure.message_id, erasure.erased_at)


async def order_changed(event: OrderNews, ports: Ports) -> None:
    """Tell the buyer."""
    await ports.inbox_writer.raised([entry_of(event)])


async def conversion_over(event: ConversionNews, ports: Ports) -> None:
    """Tell whoever has asked for it."""
    await ports.inbox_writer.raised([entry_of_conversion(event)])


async def document_over(event: DocumentNews, ports: Ports) -> None:
    """Tell whose it is."""
    await ports.inbox_writer.raised([entry_of_document(event)])


async def notifications_read(seen: NotificationsRead, ports: Ports) -> None:
    """Mark them."""
    await ports.inbox_writer.read(seen.recipient_id, seen.notification_ids, seen.all_until, seen.read_at)


def entries_of(message: MessageSent) -> Iterator[Entry]:
    """Yield the entries a message raises; their ids follow from it, so that a repeat raises none."""
    for recipient in message.recipient_ids:
        yield Entry(
            notification_id=notification_id(message.message_id, recipient),
            recipient_id=recipient,
            kind="message.received",
            cause_id=message.message_id,
            conversation_id=message.conversation_id,
            actor_id=message.sender_id,
            preview=preview_of(message.body),
            raised_at=message.sent_at,
        )


def entry_of(event: OrderNews) -> Entry:
    """Return the entry of an order's event. Its id follows from order and kind, of which there is one, so that a repeat raises
    none."""
    kind, actor, text, at = _news(event)
    return Entry(
        notification_id=notification_id(uuid5(event.order_id, kind), event.buyer_id),
        recipient_id=event.buyer_id,
        kind=kind,
        cause_id=event.order_id,
        conversation_id=None,
        actor_id=actor,
        preview=preview_of(text),
        raised_at=at,
    )


def entry_of_conversion(event: ConversionNews) -> Entry:
    """Return the entry of a conversion that is over, of which there is one, so that a repeat raises none."""
    match event:
        case DocumentConverted():
            kind, text, at = "conversion.done", "Your document is converted", event.converted_at
        case ConversionFailed():
            kind, text, at = "conversion.failed", f"Your document was not converted: {event.code}", event.failed_at
    return _entry_of_work(event, "conversion", kind, text, at)


def entry_of_document(event: DocumentNews) -> Entry:
    """Return the entry of a document that is over, of which there is one, so that a repeat raises none."""
    what = MADE_OF.get(event.origin) or (f"{event.name}.{event.target}" if event.name else "Your document")
    match event:
        case DocumentRendered():
            kind, text, at = "document.rendered", f"{what} is ready", event.rendered_at
        case DocumentFailed():
            kind, text, at = "document.failed", f"{what} could not be made: {event.code}", event.failed_at
    return _entry_of_work(event, "document", kind, text, at)


def _entry_of_work(event: ConversionNews | DocumentNews, work: str, kind: str, text: str, at: datetime) -> Entry:
    return Entry(
        notification_id=notification_id(uuid5(event.document_id, work), event.user_id),
        recipient_id=event.user_id,
        kind=kind,
        cause_id=event.document_id,
        conversation_id=None,
        actor_id=None,
        preview=preview_of(text),
        raised_at=at,
    )


def _news(event: OrderNews) -> tuple[str, UUID | None, str, datetime]:
    match event:
        case OrderConfirmed():
            return "order.confirmed", None, "Your order is confirmed", event.confirmed_at
        case OrderRejected():
            return "order.rejected", None, f"Your order was rejected: {event.reason}", event.rejected_at
        case OrderShipped():
            parcel = ", ".join(text for text in (event.carrier, event.tracking_code) if text)
            text = f"Your order was shipped: {parcel}" if parcel else "Your order was shipped"
            return "order.shipped", event.shipped_by, text, event.shipped_at
        case OrderCancelled():
            return "order.cancelled", event.cancelled_by, "Your order was cancelled", event.cancelled_at
        case OrderReturned():
            return "order.returned", event.returned_by, "Your order has come back", event.returned_at


def notification_id(cause: UUID, recipient: UUID) -> UUID:
    """Return the id of what `cause` raises for `recipient`."""
    return uuid5(cause, f"notification/{recipient}")


def preview_of(body: str) -> str:
    """Return the beginning of the text in one line."""
    line = " ".join(body.split())
    return line if len(line) <= PREVIEW_LIMIT else line[: PREVIEW_LIMIT - 1] + "…"
