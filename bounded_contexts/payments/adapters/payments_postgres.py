"""The list of payments at rest: ports `PaymentWriter` and `PaymentReader`."""

from collections.abc import Mapping
from datetime import datetime
from typing import Any
from uuid import UUID

import sqlalchemy as sa
from sqlalchemy.dialects.postgresql import insert

from bounded_contexts.payments.adapters.tables import payment
from bounded_contexts.payments.application.ports import Listed, Status
from bounded_contexts.payments.domain.commands import Step
from bounded_contexts.payments.domain.payment import PaymentEvent
from infra.postgres import Database
from schemas.payments.events import (
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
)

Change = dict[str, Any]
OPENS: Mapping[type[PaymentEvent], Step] = {
    PaymentRequested: "authorize",
    PaymentCaptureRequested: "capture",
    PaymentVoidRequested: "void",
    PaymentRefundRequested: "refund",
}
CLOSES: Mapping[type[PaymentEvent], Step] = {
    PaymentAuthorized: "authorize",
    PaymentDeclined: "authorize",
    PaymentCaptured: "capture",
    PaymentCaptureDeclined: "capture",
    PaymentVoided: "void",
    PaymentRefundDeclined: "refund",
    PaymentRefunded: "refund",
}


class PostgresPayments:
    def __init__(self, database: Database) -> None:
        self._database = database

    async def changed(self, event: PaymentEvent) -> None:
        at, step, changed = _at(event), OPENS.get(type(event)), _changed(event)
        asked = [step] if step else []
        first = {"payment_id": event.payment_id, "order_id": event.order_id, "begun_at": at, "asked": asked}
        begun = insert(payment).values(first | {"changed_at": at, "status": _first_status(event)} | changed)
        # What was asked last stands last; a step whose outcome is known is asked no more.
        less = sa.func.array_remove(payment.c.asked, step or CLOSES[type(event)])
        more = {"changed_at": at, "asked": sa.func.array_append(less, step) if step else less}
        status = _status(event)
        statement = begun.on_conflict_do_update(
            index_elements=[payment.c.payment_id],
            set_=changed | more | ({"status": status} if status is not None else {}),
        )
        async with self._database.transaction() as connection:
            await connection.execute(statement)

    async def of_order(self, order_id: UUID) -> Listed | None:
        query = sa.select(payment).where(payment.c.order_id == order_id)
        async with self._database.transaction() as connection:
            row = (await connection.execute(query)).mappings().first()
        return _listed(row) if row else None

    async def page(self, limit: int, before: tuple[datetime, UUID] | None, status: Status | None) -> list[Listed]:
        order = sa.tuple_(payment.c.begun_at, payment.c.payment_id)
        query = sa.select(payment).order_by(payment.c.begun_at.desc(), payment.c.payment_id.desc()).limit(limit)
        if status:
            query = query.where(payment.c.status == status)
        if before:
            query = query.where(order < sa.tuple_(*before))
        async with self._database.transaction() as connection:
            return [_listed(row) for row in (await connection.execute(query)).mappings()]

    async def waiting(self, since: datetime, limit: int, after: UUID | None) -> list[UUID]:
        query = sa.select(payment.c.payment_id).where(payment.c.asked != [], payment.c.changed_at <= since)
        if after:
            query = query.where(payment.c.payment_id > after)
        async with self._database.transaction() as connection:
            return list((await connection.execute(query.order_by(payment.c.payment_id).limit(limit))).scalars())


def _at(event: PaymentEvent) -> datetime:
    match event:
        case PaymentAuthorized():
            return event.authorized_at
        case PaymentDeclined() | PaymentCaptureDeclined() | PaymentRefundDeclined():
            return event.declined_at
        case PaymentCaptured():
            return event.captured_at
        case PaymentVoided():
            return event.voided_at
        case PaymentRefunded():
            return event.refunded_at
        case _:
            return event.requested_at


def _changed(event: PaymentEvent) -> Change:
    """Return the columns that the event gives a value."""
    match event:
        case PaymentRequested():
            return {"buyer_id": event.buyer_id, "amount_minor": event.amount_minor, "currency": event.currency}
        case PaymentAuthorized():
            return {"provider_reference": event.provider_reference}
        case PaymentDeclined() | PaymentCaptureDeclined() | PaymentRefundDeclined():
            return {"reason": event.reason}
        case PaymentCaptured():
            return {"captured_minor": event.amount_minor}
        case PaymentRefunded():
            return {"refunded_minor": event.amount_minor}
        case _:
            return {}


def _first_status(event: PaymentEvent) -> Status:
    """Return the status of a payment that begins with the event: one that was undone before it was asked for, too."""
    match event:
        case PaymentVoided():
            return "voided"
        case PaymentRefunded():
            return "refunded"
        case PaymentDeclined() | PaymentCaptureDeclined():
            return "declined"
        case _:
            return "requested"


def _status(event: PaymentEvent) -> sa.ColumnElement[str] | None:
    """Return the status that the event gives a payment, None where it keeps its own."""
    match event:
        case PaymentAuthorized():
            return sa.literal("authorized")
        case PaymentDeclined():
            return sa.case((payment.c.status == "voided", payment.c.status), else_="declined")
        case PaymentCaptured():
            return sa.literal("captured")
        case PaymentVoided():
            return sa.case((payment.c.status.in_(("requested", "authorized")), "voided"), else_=payment.c.status)
        case PaymentRefunded() if event.amount_minor:
            return sa.literal("refunded")
        case _:
            return None


def _listed(row: sa.RowMapping) -> Listed:
    fields: dict[str, Any] = dict(row)
    return Listed(**(fields | {"asked": tuple(row["asked"])}))
