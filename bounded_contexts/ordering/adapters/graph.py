"""GraphQL face of ordering. The rules are those of the REST routes."""

from datetime import datetime
from enum import Enum
from functools import partial
from typing import Any
from uuid import UUID, uuid4

import strawberry

from bounded_contexts.ordering.adapters.bodies import (
    NewCancellation,
    NewOrder,
    OrderAnswer,
    listed_answer,
    order_answer,
    order_lines,
)
from bounded_contexts.ordering.adapters.http import asker, chosen, list_of
from bounded_contexts.ordering.adapters.listing import is_listed
from bounded_contexts.ordering.application.commands import change_order, place_order
from bounded_contexts.ordering.application.ports import Ports
from bounded_contexts.ordering.application.reading import order_for
from bounded_contexts.ordering.domain.commands import CancelOrder, PlaceOrder
from bounded_contexts.ordering.domain.identity import order_id
from bounded_contexts.ordering.domain.order import Status
from infra.graph import FIRST, Connection, Info, Money, Named, Part, Users, page_by_place, scoped
from infra.http import WAIT_LIMIT_S, not_in_future

READ, WRITE = "orders:read", "orders:write"
WAIT = "How long to wait until lists show it, 10 at most."


@strawberry.enum
class OrderStatus(Enum):
    PLACED = "placed"
    CANCELLING = "cancelling"
    CONFIRMED = "confirmed"
    REJECTED = "rejected"
    SHIPPED = "shipped"
    CANCELLED = "cancelled"
    RETURNED = "returned"


@strawberry.type
class OrderLine:
    sku: str
    quantity: int
    unit_price_minor: Money


@strawberry.input
class OrderLineInput:
    sku: str
    quantity: int
    unit_price_minor: Money


@strawberry.input
class NewOrderInput:
    currency: str = strawberry.field(description="ISO 4217.")
    lines: list[OrderLineInput] = strawberry.field(description="Each SKU once.")
    client_id: str | None = strawberry.field(default=None, description="Your name for it; the same one is one order.")
    wait_seconds: int = strawberry.field(default=0, description=WAIT)


def graph(ports: Ports, users: Users) -> Part:
    """Return what the context offers to the schema."""

    @strawberry.type
    class Order:
        id: UUID
        buyer_id: UUID
        status: str = strawberry.field(
            description="placed, cancelling, confirmed, rejected, shipped, cancelled or returned."
        )
        lines: list[OrderLine]
        total_minor: Money
        currency: str
        payment_id: UUID | None
        reason: str | None = strawberry.field(description="Why it was rejected: a code.")
        carrier: str | None
        tracking_code: str | None
        placed_at: datetime
        changed_at: datetime
        version: int = strawberry.field(description="For `expectedVersion`.")

        @scoped("users:read", graphql_type=users.type)
        async def buyer(self, info: Info) -> Any:
            return await users.one(info.context, self.buyer_id)

    def shown(of: OrderAnswer) -> Order:
        fields = of.model_dump()
        return Order(**fields | {"lines": [OrderLine(**line) for line in fields["lines"]]})

    async def waited(id_: UUID, version: int, wait_s: int) -> None:
        await is_listed(id_, version, max(min(wait_s, WAIT_LIMIT_S), 0), ports.orders)

    @strawberry.type
    class Query:
        @scoped(READ, "Your orders, last placed first; staff list everybody's, too.")
        async def orders(
            self,
            info: Info,
            first: int = FIRST,
            after: str | None = None,
            everybody: bool = False,
            status: OrderStatus | None = None,
        ) -> Connection[Order] | None:
            wanted: Status | None = status.value if status else None
            choice = chosen(info.context.user, wanted, everybody=everybody)
            return await page_by_place(
                info.context,
                partial(ports.orders.page, choice),
                lambda each: shown(listed_answer(each)),
                lambda each: (each.order.placed_at, each.order_id),
                first,
                after,
                list_of(choice),
            )

        @scoped(READ, "An order of yours, or anybody's for staff, as it is or as it was.")
        async def order(self, info: Info, id: UUID, as_of: datetime | None = None) -> Order | None:  # noqa: A002
            at = not_in_future(as_of) if as_of else None
            return shown(order_answer(id, *await order_for(id, asker(info.context.user), ports, at)))

    @strawberry.type
    class Mutation:
        @scoped(WRITE, "Order things; whether you get them is found out next.")
        async def place_order(self, info: Info, input: NewOrderInput) -> Order | None:  # noqa: A002
            new = NewOrder.model_validate({"currency": input.currency, "lines": [vars(line) for line in input.lines]})
            buyer = info.context.user.id
            named = Named(client_id=input.client_id).client_id
            id_ = order_id(buyer, named) if named else uuid4()
            ask = PlaceOrder(
                order_id=id_, buyer_id=buyer, lines=order_lines(new.lines), currency=new.currency, at=ports.now()
            )
            state, version, _ = await place_order(ask, ports)
            await waited(id_, version, input.wait_seconds)
            return shown(order_answer(id_, state, version))

        @scoped(WRITE, "Call an order off that has not been shipped; twice is once.")
        async def cancel_order(
            self,
            info: Info,
            id: UUID,  # noqa: A002
            reason: str = "",
            expected_version: int | None = None,
            wait_seconds: int = 0,
        ) -> Order | None:
            why = NewCancellation(reason=reason)
            ask = CancelOrder(order_id=id, asker=asker(info.context.user), reason=why.reason, at=ports.now())
            state, version = await change_order(ask, ports, expected_version)
            await waited(id, version, wait_seconds)
            return shown(order_answer(id, state, version))

    return Part(Query, Mutation)
