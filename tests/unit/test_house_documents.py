"""What the house writes itself: invoices and transcripts, valid in every target, with what people wrote as data."""

import io
import json
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID, uuid4

import openpyxl
import pypdfium2
import pytest

from bounded_contexts.documents.adapters.engines.rendering import Rendering, render
from bounded_contexts.documents.application.exporting import MESSAGES, export_conversation
from bounded_contexts.documents.application.invoicing import (
    INVOICED,
    invoice_id,
    order_confirmed,
    order_placed,
    order_rejected,
)
from bounded_contexts.documents.application.source_ports import SourcePorts
from bounded_contexts.documents.domain.invoice import Line, Order, Placed, Seller, invoice
from bounded_contexts.documents.domain.rendering.fidelity import TARGETS, Target
from bounded_contexts.documents.domain.transcript import Said, Transcript, transcript
from schemas.documents.events import DocumentRequested
from schemas.ordering.events import OrderConfirmed, OrderLine, OrderPlaced, OrderRejected
from shared_kernel.errors import NotFound
from tests.unit.memory_documents import TERMS, DocumentWorld
from tests.unit.memory_jobs import NOW

SELLER = Seller(("ACME Ltd", "1 High Street"), "en-GB")
ANN, BOB = uuid4(), uuid4()
PLACED = Placed(UUID(int=7), ANN, "EUR", (Line("tea", 2, 450), Line("=1+1", 1, 5)), NOW)
TALK = Transcript(
    uuid4(),
    None,
    (ANN, BOB),
    (
        Said(ANN, "Is {{x}} 1 < 2?", NOW, is_edited=False),
        Said(BOB, None, NOW, is_edited=False),
        Said(BOB, "=HYPERLINK(1)", NOW + timedelta(seconds=1), is_edited=True),
    ),
    is_cut=False,
)


def made(document: dict[str, Any], target: Target) -> tuple[bytes, dict[str, int]]:
    rendering = Rendering()
    return b"".join(render(json.dumps(document).encode(), target, rendering)), dict(rendering.losses.counts)


def text_of(pdf: bytes) -> str:
    with pypdfium2.PdfDocument(pdf) as opened:
        return "\n".join(page.get_textpage().get_text_range() for page in opened)


def cells_of(workbook: bytes) -> list[object]:
    opened = openpyxl.load_workbook(io.BytesIO(workbook))
    return [cell.value for row in opened["Messages"].iter_rows() for cell in row]


def test_an_invoice_says_what_was_ordered_in_every_target() -> None:
    document = invoice(Order(PLACED, "Ann {{x}}", NOW), SELLER)

    pdf, warnings = made(document, "pdf")
    said = text_of(pdf)

    for part in ("ACME Ltd", "Ann {{x}}", "€4.50", "€9.05", "=1+1", "Invoice 20261122-000000000000", "Page 1 of 1"):
        assert part in said
    assert warnings == {}
    assert all(set(made(document, target)[1]) <= {"approximated"} for target in TARGETS)


def test_amounts_have_the_digits_of_their_currency() -> None:
    yen = invoice(Order(replace(PLACED, currency="JPY"), None, NOW), SELLER)
    dinar = invoice(Order(replace(PLACED, currency="KWD"), None, NOW), SELLER)

    assert yen["data"]["lines"][0]["price"] == {"$decimal": "450"}
    assert dinar["data"]["lines"][0]["price"] == {"$decimal": "0.450"}
    assert str(ANN) in text_of(made(yen, "pdf")[0])


def test_a_transcript_says_who_said_what_in_every_target() -> None:
    for target in TARGETS:
        file, warnings = made(transcript(TALK, {ANN: "Ann"}, target, NOW), target)

        assert set(warnings) <= {"approximated"}
        if target == "pdf":
            assert all(part in text_of(file) for part in ("Is {{x}} 1 < 2?", "(deleted)", "edited", "3 messages."))
        if target == "xlsx":
            cells = cells_of(file)
            assert {"Ann", str(BOB), "=HYPERLINK(1)", "Is {{x}} 1 < 2?"} <= {*map(str, cells)}
            assert datetime(2026, 11, 22, 12) in cells  # noqa: DTZ001


@dataclass
class Orders:
    kept: dict[UUID, Placed] = field(default_factory=dict)

    async def add(self, order: Placed) -> None:
        self.kept.setdefault(order.order_id, order)

    async def order(self, order_id: UUID) -> Placed | None:
        return self.kept.get(order_id)

    async def remove(self, order_id: UUID) -> None:
        self.kept.pop(order_id, None)


@dataclass
class Talks:
    of: Transcript

    async def transcript(self, conversation_id: UUID, asker: UUID, limit: int) -> Transcript:
        assert limit == MESSAGES
        if asker not in self.of.member_ids:
            raise NotFound("conversation_not_found")
        return self.of


async def named(ids: object) -> dict[UUID, str]:
    return {ANN: "Ann"}


@pytest.fixture
def world() -> DocumentWorld:
    world = DocumentWorld(user=ANN)
    world.ports = replace(world.ports, terms=replace(TERMS, input_bytes=1 << 20, stored_per_user=1 << 20))
    return world


@pytest.fixture
def sources() -> SourcePorts:
    return SourcePorts(Orders(), Talks(TALK), named, SELLER, timedelta(days=3650), lambda: NOW)


def placed(order_id: UUID, at: datetime = NOW) -> OrderPlaced:
    line = OrderLine(sku="tea", quantity=2, unit_price_minor=450)
    return OrderPlaced(order_id=order_id, buyer_id=ANN, lines=(line,), total_minor=900, currency="EUR", placed_at=at)


def confirmed(order_id: UUID) -> OrderConfirmed:
    return OrderConfirmed(
        order_id=order_id, buyer_id=ANN, total_minor=900, currency="EUR", payment_id=uuid4(), confirmed_at=NOW
    )


async def test_a_confirmed_order_gets_one_invoice_however_often_it_is_told(
    world: DocumentWorld, sources: SourcePorts
) -> None:
    order = uuid4()

    for _ in range(3):
        await order_placed(placed(order), sources)
        await order_confirmed(confirmed(order), sources, world.ports)

    (event,), _ = await world.store.load(invoice_id(order))
    assert isinstance(event, DocumentRequested)
    assert (event.user_id, event.origin, event.source_id, event.target) == (ANN, "order", order, "pdf")
    assert event.name == f"invoice-20261122-{order.hex[:12].upper()}"
    assert event.lifetime_seconds == 3650 * 86_400
    assert await sources.orders.order(order) is None
    assert json.loads(world.contents[0])["data"]["buyer"] == "Ann"


async def test_an_order_that_is_rejected_unknown_or_old_gets_none(world: DocumentWorld, sources: SourcePorts) -> None:
    rejected, unknown, old = uuid4(), uuid4(), uuid4()
    await order_placed(placed(rejected), sources)
    await order_rejected(OrderRejected(order_id=rejected, buyer_id=ANN, reason="x", rejected_at=NOW), sources)
    await order_placed(placed(old, NOW - INVOICED), sources)

    for order in (rejected, unknown, old):
        await order_confirmed(confirmed(order), sources, world.ports)

    assert world.contents == []


async def test_a_member_exports_a_conversation_once_by_a_key(world: DocumentWorld, sources: SourcePorts) -> None:
    id_, first = await export_conversation(TALK.conversation_id, ANN, "docx", "key", sources, world.ports)
    world.now += timedelta(hours=1)
    again, second = await export_conversation(TALK.conversation_id, ANN, "docx", "key", sources, world.ports)
    other, _ = await export_conversation(TALK.conversation_id, ANN, "docx", None, sources, world.ports)

    assert (id_, first) == (again, second)
    assert other != id_
    assert (first.origin, first.source_id, first.name) == (
        "conversation",
        TALK.conversation_id,
        "conversation-20261122-120000",
    )
    with pytest.raises(NotFound):
        await export_conversation(TALK.conversation_id, uuid4(), "docx", "key", sources, world.ports)
