"""GraphQL face of payments. The rules are those of the REST routes."""

from datetime import datetime
from enum import Enum
from functools import partial
from uuid import UUID

import strawberry

from bounded_contexts.payments.adapters.http import READ, list_of, payment_for
from bounded_contexts.payments.application.ports import Listed, Ports, Status
from infra.graph import FIRST, Connection, Info, Money, Part, page_by_place, scoped, seen
from shared_kernel.errors import NotFound
from shared_kernel.permissions import require


@strawberry.enum(name="PaymentStatus")
class ListedStatus(Enum):
    REQUESTED = "requested"
    AUTHORIZED = "authorized"
    DECLINED = "declined"
    CAPTURED = "captured"
    VOIDED = "voided"
    REFUNDED = "refunded"


@strawberry.type(description="Amounts are in minor units of the currency.")
class Payment:
    payment_id: UUID
    order_id: UUID
    buyer_id: UUID | None
    status: ListedStatus
    amount_minor: Money
    captured_minor: Money
    refunded_minor: Money
    currency: str | None
    reason: str | None
    provider_reference: str | None
    begun_at: datetime
    changed_at: datetime
    waiting: bool = strawberry.field(description="Whether the provider has not said yet what became of it.")


def graph(ports: Ports) -> Part:
    """Return what the context offers to the schema."""

    @strawberry.type
    class Query:
        @scoped("payments:read", "An order's payment, for its buyer and with the permission `payments:read`.")
        async def payment(self, info: Info, order_id: UUID, min_position: str | None = None) -> Payment | None:
            await seen(info.context, min_position, ports.stored)
            try:
                return _shown(await payment_for(order_id, info.context.user, ports))
            except NotFound:
                return None

        @scoped("payments:read", "All payments, last begun first; with the permission `payments:read`.")
        async def payments(
            self,
            info: Info,
            first: int = FIRST,
            after: str | None = None,
            status: ListedStatus | None = None,
            min_position: str | None = None,
        ) -> Connection[Payment] | None:
            require(info.context.user.roles, READ)
            await seen(info.context, min_position, ports.stored)
            wanted: Status | None = status.value if status else None
            return await page_by_place(
                info.context,
                partial(ports.payments.page, status=wanted),
                _shown,
                lambda each: (each.begun_at, each.payment_id),
                first,
                after,
                list_of(wanted),
            )

    return Part(Query)


def _shown(listed: Listed) -> Payment:
    return Payment(
        payment_id=listed.payment_id,
        order_id=listed.order_id,
        buyer_id=listed.buyer_id,
        status=ListedStatus(listed.status),
        amount_minor=Money(listed.amount_minor),
        captured_minor=Money(listed.captured_minor),
        refunded_minor=Money(listed.refunded_minor),
        currency=listed.currency,
        reason=listed.reason,
        provider_reference=listed.provider_reference,
        begun_at=listed.begun_at,
        changed_at=listed.changed_at,
        waiting=bool(listed.asked),
    )
