"""An order that is confirmed gets an invoice: once, however often its events come."""

import json
from datetime import timedelta
from typing import Final
from uuid import UUID, uuid5

from bounded_contexts.documents.application.document_ports import DocumentPorts
from bounded_contexts.documents.application.requesting import Instructions, request
from bounded_contexts.documents.application.source_ports import SourcePorts
from bounded_contexts.documents.domain import document
from bounded_contexts.documents.domain.invoice import Line, Order, Placed, invoice, number_of
from schemas.ordering.events import OrderConfirmed, OrderPlaced, OrderRejected
from shared_kernel.decider import state_of

INVOICED: Final = timedelta(days=30)  # an older order gets none: where this is new, topics are read from the beginning


def invoice_id(order_id: UUID) -> UUID:
    """Return the id of the order's invoice."""
    return uuid5(order_id, "invoice")


async def order_placed(event: OrderPlaced, sources: SourcePorts) -> None:
    """Keep what was ordered: its confirmation does not say it. Safe to repeat."""
    if event.placed_at > sources.now() - INVOICED:
        lines = tuple(Line(each.sku, each.quantity, each.unit_price_minor) for each in event.lines)
        await sources.orders.add(Placed(event.order_id, event.buyer_id, event.currency, lines, event.placed_at))


async def order_rejected(event: OrderRejected, sources: SourcePorts) -> None:
    """Forget it. Safe to repeat."""
    await sources.orders.remove(event.order_id)


async def order_confirmed(event: OrderConfirmed, sources: SourcePorts, ports: DocumentPorts) -> None:
    """Have the buyer's invoice rendered, unless there is or was one. Safe to repeat."""
    placed = await sources.orders.order(event.order_id)
    id_ = invoice_id(event.order_id)
    found, _ = await state_of(document, ports.store, id_)
    # A later version may write another invoice: the first stands, also where its buyer has deleted it.
    if placed is None or found is not None:
        await sources.orders.remove(event.order_id)
        return
    names = await sources.names([placed.buyer_id])
    order = Order(placed, names.get(placed.buyer_id), event.confirmed_at)
    instructions = Instructions(
        document_id=id_,
        user_id=placed.buyer_id,
        target="pdf",
        name=f"invoice-{number_of(order)}",
        content=json.dumps(invoice(order, sources.seller), ensure_ascii=False).encode(),
        origin="order",
        source_id=event.order_id,
        lifetime=sources.invoice_lifetime,
    )
    await request(instructions, ports)
    await sources.orders.remove(event.order_id)
