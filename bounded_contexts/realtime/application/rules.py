"""Rules: which events of any topic are shown on which channels. A line in `RULES` is all that publishing from a topic takes."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import partial
from itertools import groupby
from operator import attrgetter
from typing import Any

from bounded_contexts.realtime.application.channels import EVERYWHERE, USER
from bounded_contexts.realtime.application.publishing import (
    Publisher,
    PublishPorts,
    Update,
    json_of,
    publish,
)
from bounded_contexts.realtime.application.reactions import rfc3339
from schemas.documents.events import (
    ConversionCancelled,
    ConversionDeleted,
    ConversionFailed,
    ConversionProgressed,
    ConversionRequested,
    DocumentCancelled,
    DocumentConverted,
    DocumentDeleted,
    DocumentExpired,
    DocumentFailed,
    DocumentRendered,
    DocumentRequested,
    ResultExpired,
)
from schemas.notifications.events import NotificationsRead
from schemas.ordering.events import (
    OrderCancellationRequested,
    OrderCancelled,
    OrderConfirmed,
    OrderPlaced,
    OrderRejected,
    OrderReturned,
    OrderShipped,
)
from schemas.realtime.events import UiUpdatePublished
from shared_kernel.causation import current_cause
from shared_kernel.events import Event
from shared_kernel.module import Handler, on

NEWS = timedelta(days=1)  # what is older is not shown: a new rule reads its topic from the beginning


@dataclass(frozen=True, slots=True)
class Rule:
    """`time_of` returns when the event happened, `channels_of` where it is shown, perhaps nowhere, and `payload_of` what, as JSON
    will have it."""

    name: str  # the update's publisher is `rule:<name>`; renaming it has events that are read again published again
    event: type[Event]
    time_of: Callable[[Any], datetime]
    channels_of: Callable[[Any], Iterable[str]]
    payload_of: Callable[[Any], Any]
    is_public: bool = False

    def __post_init__(self) -> None:
        if self.event.TOPIC == UiUpdatePublished.TOPIC:
            raise ValueError(f"{self.name}: an update that is published for an update would never end")


def _seen_elsewhere(seen: NotificationsRead) -> Iterator[str]:
    yield f"{USER}{seen.recipient_id}"


def _which_are_read(seen: NotificationsRead) -> dict[str, Any]:
    return {
        "type": "notifications.read",
        "notification_ids": [str(each) for each in seen.notification_ids],
        "all_until": seen.all_until and rfc3339(seen.all_until),
    }


def _to_buyer(event: Any) -> Iterator[str]:
    yield f"{USER}{event.buyer_id}"


def _order_rule(event: type[Event], status: str, moment: str) -> Rule:
    """Show the buyer that an order has come into the status; `moment` is the field that says when."""

    def payload(of: Any) -> dict[str, Any]:
        at, reason = getattr(of, moment), of.reason if isinstance(of, OrderRejected) else None
        return {"type": "order", "order_id": str(of.order_id), "status": status, "reason": reason, "at": rfc3339(at)}

    return Rule(f"order-{status}", event, attrgetter(moment), _to_buyer, payload)


def _to_owner(event: Any) -> Iterator[str]:
    yield f"{USER}{event.user_id}"


def _conversion_rule(event: type[Event], status: str, moment: str) -> Rule:
    """Show the owner how a conversion job is; `moment` is the field that says when."""

    def payload(of: Any) -> dict[str, Any]:
        more: dict[str, Any] = {}
        match of:
            case ConversionProgressed():
                more = {"read_bytes": of.read_bytes, "input_bytes": of.input_bytes}
            case DocumentConverted():
                more = {"result_bytes": of.result_bytes, "losses": sum(of.losses.values())}
            case ConversionFailed():
                more = {"code": of.code}
        at = rfc3339(getattr(of, moment))
        return {"type": "conversion", "document_id": str(of.document_id), "status": status, "at": at, **more}

    return Rule(f"conversion-{status}", event, attrgetter(moment), _to_owner, payload)


def _document_rule(event: type[Event], status: str, moment: str) -> Rule:
    """Show the owner how a document is that is rendered; `moment` is the field that says when."""

    def payload(of: Any) -> dict[str, Any]:
        more: dict[str, Any] = {}
        match of:
            case DocumentRendered():
                content = (
                    f"/api/v1/documents/{of.document_id}/content"  # for whoever is signed in: no link lies on a topic
                )
                more = {"content": content, "pages": of.pages, "warnings": sum(of.warnings.values())}
            case DocumentFailed():
                more = {"code": of.code}
        at = rfc3339(getattr(of, moment))
        return {"type": "document", "document_id": str(of.document_id), "status": status, "at": at, **more}

    return Rule(f"document-{status}", event, attrgetter(moment), _to_owner, payload)


RULES = (
    # What somebody has read on one device is no longer new on the others.
    Rule("notifications-read", NotificationsRead, lambda seen: seen.read_at, _seen_elsewhere, _which_are_read),
    _order_rule(OrderPlaced, "placed", "placed_at"),
    _order_rule(OrderCancellationRequested, "cancelling", "requested_at"),
    _order_rule(OrderConfirmed, "confirmed", "confirmed_at"),
    _order_rule(OrderRejected, "rejected", "rejected_at"),
    _order_rule(OrderShipped, "shipped", "shipped_at"),
    _order_rule(OrderCancelled, "cancelled", "cancelled_at"),
    _order_rule(OrderReturned, "returned", "returned_at"),
    _conversion_rule(ConversionRequested, "waiting", "requested_at"),
    _conversion_rule(ConversionProgressed, "running", "at"),
    _conversion_rule(DocumentConverted, "converted", "converted_at"),
    _conversion_rule(ConversionFailed, "failed", "failed_at"),
    _conversion_rule(ConversionCancelled, "cancelled", "cancelled_at"),
    _conversion_rule(ResultExpired, "expired", "expired_at"),
    _conversion_rule(ConversionDeleted, "deleted", "deleted_at"),
    _document_rule(DocumentRequested, "waiting", "requested_at"),
    _document_rule(DocumentRendered, "rendered", "rendered_at"),
    _document_rule(DocumentFailed, "failed", "failed_at"),
    _document_rule(DocumentCancelled, "cancelled", "cancelled_at"),
    _document_rule(DocumentExpired, "expired", "expired_at"),
    _document_rule(DocumentDeleted, "deleted", "deleted_at"),
)


def handlers(rules: Sequence[Rule], ports: PublishPorts) -> tuple[Handler, ...]:
    """Return what a consumer group does with the events of the rules, each event once."""
    by_event = groupby(sorted(rules, key=lambda rule: rule.event.NAME), key=lambda rule: rule.event)
    return tuple(on(event, partial(_apply, rules=tuple(own), ports=ports)) for event, own in by_event)


async def _apply(event: Event, rules: Sequence[Rule], ports: PublishPorts) -> None:
    for rule in rules:
        if rule.time_of(event) <= ports.now() - NEWS:
            continue
        await publish(list(_updates(event, rule)), Publisher(f"rule:{rule.name}", EVERYWHERE), ports)


def _updates(event: Event, rule: Rule) -> Iterator[Update]:
    """Yield the updates of the event. Their ids follow from its record: read again, it is the same update."""
    cause = current_cause()
    payload = json_of(rule.payload_of(event))
    for channel in rule.channels_of(event):
        key = f"{cause.causation_id}/{channel}" if cause else None
        yield Update(channel=channel, payload=payload, is_public=rule.is_public, idempotency_key=key)
