"""REST face of payments: parse, ask, answer. The provider's webhooks come in beside it (`http_webhooks`)."""

from datetime import datetime
from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, Query
from pydantic import BaseModel

from bounded_contexts.payments.application.ports import Listed, Ports, Status
from infra.access_tokens import User
from infra.http import (
    Cursor,
    Limit,
    MinPosition,
    NextPage,
    SignedIn,
    Tokens,
    open_place,
    problems,
    seal_place,
    wait_until_stored,
)
from shared_kernel.errors import NotFound
from shared_kernel.permissions import permissions, require

READ = "payments:read"
LIST = "payments"  # what cursors of the list are for


class PaymentAnswer(BaseModel):
    """Amounts are in minor units of the currency."""

    payment_id: UUID
    order_id: UUID
    buyer_id: UUID | None
    status: Status
    amount_minor: int
    captured_minor: int
    refunded_minor: int
    currency: str | None
    reason: str | None
    provider_reference: str | None
    begun_at: datetime
    changed_at: datetime
    waiting: bool


class PaymentPage(BaseModel):
    data: list[PaymentAnswer]
    page: NextPage


def router(ports: Ports) -> APIRouter:
    """Return the routes for people and programs."""
    routes = APIRouter(tags=["payments"], responses=problems(401, 403, 422, 503))

    @routes.get("/payments")
    async def list_payments(
        user: SignedIn,
        tokens: Tokens,
        min_position: MinPosition,
        limit: Limit = 50,
        cursor: Cursor = None,
        status: Annotated[Status | None, Query(description="Only those of this status.")] = None,
    ) -> PaymentPage:
        """List all payments, last begun first; with the permission `payments:read`."""
        require(user.roles, READ)
        await wait_until_stored(min_position, ports.stored)
        list_ = list_of(status)
        found = await ports.payments.page(limit + 1, open_place(tokens, cursor, list_), status)
        last = found[limit - 1] if len(found) > limit else None
        next_ = seal_place(tokens, last.begun_at, last.payment_id, list_) if last else None
        data = [payment_answer(each) for each in found[:limit]]
        return PaymentPage(data=data, page=NextPage(next_cursor=next_, has_more=last is not None))

    @routes.get("/payments/{order_id:uuid}", responses=problems(404))
    async def get_payment(order_id: UUID, user: SignedIn, min_position: MinPosition) -> PaymentAnswer:
        """Show an order's payment, to its buyer and with the permission `payments:read`."""
        await wait_until_stored(min_position, ports.stored)
        return payment_answer(await payment_for(order_id, user, ports))

    return routes


async def payment_for(order_id: UUID, user: User, ports: Ports) -> Listed:
    """Return the order's payment. Raise `NotFound` for who may not see it, too."""
    found = await ports.payments.of_order(order_id)
    if found is None or (found.buyer_id != user.id and READ not in permissions(user.roles)):
        raise NotFound("payment_not_found", "there is no payment for such an order of yours")
    return found


def list_of(status: Status | None) -> str:
    """Return what cursors of the list are for."""
    return f"{LIST}:{status}" if status else LIST


def payment_answer(listed: Listed) -> PaymentAnswer:
    return PaymentAnswer(
        payment_id=listed.payment_id,
        order_id=listed.order_id,
        buyer_id=listed.buyer_id,
        status=listed.status,
        amount_minor=listed.amount_minor,
        captured_minor=listed.captured_minor,
        refunded_minor=listed.refunded_minor,
        currency=listed.currency,
        reason=listed.reason,
        provider_reference=listed.provider_reference,
        begun_at=listed.begun_at,
        changed_at=listed.changed_at,
        waiting=bool(listed.asked),
    )
