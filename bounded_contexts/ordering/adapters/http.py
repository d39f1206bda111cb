"""REST face of ordering: parse, call, answer."""

from typing import Annotated
from uuid import UUID, uuid4

from fastapi import APIRouter, Header, Query, Response

from bounded_contexts.ordering.adapters.bodies import (
    BuyerPage,
    NewCancellation,
    NewOrder,
    NewReturn,
    NewShipment,
    OrderAnswer,
    OrderHistory,
    OrderPage,
    buyer_answer,
    happening_answer,
    listed_answer,
    order_answer,
    order_lines,
)
from bounded_contexts.ordering.adapters.listing import is_listed
from bounded_contexts.ordering.application.commands import change_order, place_order
from bounded_contexts.ordering.application.ports import Choice, Place, Ports
from bounded_contexts.ordering.application.reading import history_for, order_for
from bounded_contexts.ordering.domain.commands import Asker, CancelOrder, PlaceOrder, ShipOrder, TakeBackOrder
from bounded_contexts.ordering.domain.identity import order_id as id_by_key
from bounded_contexts.ordering.domain.order import READ, Order, Status
from infra.access_tokens import User
from infra.http import (
    APPLIED,
    AsOf,
    Cursor,
    IfMatch,
    Limit,
    NextPage,
    PreferWait,
    SignedIn,
    Tokens,
    open_place,
    problems,
    seal_place,
)
from infra.opaque import OpaqueTokens
from shared_kernel.errors import Refused
from shared_kernel.permissions import require

OFFSET_LIMIT = 100_000  # rows that are read and thrown away; a cursor costs none
BUYERS = "orders:buyers"

IdempotencyKey = Annotated[
    str | None, Header(min_length=1, max_length=128, description="The same key is the same order.")
]
Offset = Annotated[
    int | None,
    Query(ge=0, le=OFFSET_LIMIT, description="Leave out so many, instead of a cursor; what is new shifts them."),
]

Everybody = Annotated[bool, Query(description="Everybody's; takes the permission `ordering:read`.")]


def router(ports: Ports) -> APIRouter:
    """Return every route of the context."""
    routes = APIRouter(prefix="/orders", tags=["orders"], responses=problems(401, 404, 422, 503))

    @routes.post("", status_code=201, responses=problems(409))
    async def place_an_order(
        new: NewOrder, user: SignedIn, wait: PreferWait, response: Response, idempotency_key: IdempotencyKey = None
    ) -> OrderAnswer:
        """Order things. Whether you get them is found out next: the order is confirmed or rejected."""
        id_ = id_by_key(user.id, idempotency_key) if idempotency_key else uuid4()
        ask = PlaceOrder(
            order_id=id_, buyer_id=user.id, lines=order_lines(new.lines), currency=new.currency, at=ports.now()
        )
        order, version, _ = await place_order(ask, ports)
        response.headers["Location"] = f"/api/v1/orders/{id_}"
        return await _answer(id_, order, version, wait, response, ports)

    @routes.get("", responses=problems(403))
    async def list_orders(
        user: SignedIn,
        tokens: Tokens,
        everybody: Everybody = False,
        status: Annotated[Status | None, Query(description="Only those of this status.")] = None,
        limit: Limit = 50,
        cursor: Cursor = None,
        offset: Offset = None,
    ) -> OrderPage:
        """List your orders, last placed first; staff list everybody's, too."""
        choice = chosen(user, status, everybody=everybody)
        of = list_of(choice)
        found = await ports.orders.page(choice, limit + 1, _start(tokens, cursor, offset, of), offset or 0)
        places = [(each.order.placed_at, each.order_id) for each in found]
        return OrderPage(data=[listed_answer(each) for each in found[:limit]], page=_next(places, limit, tokens, of))

    @routes.get("/buyers", responses=problems(403))
    async def list_buyers(
        user: SignedIn, tokens: Tokens, limit: Limit = 50, cursor: Cursor = None, offset: Offset = None
    ) -> BuyerPage:
        """List who has placed orders and may still sign in, the newest buyer first; for staff."""
        require(user.roles, READ)
        found = await ports.orders.buyers(limit + 1, _start(tokens, cursor, offset, BUYERS), offset or 0)
        names = await ports.names([each.buyer_id for each in found[:limit]])
        places = [(each.since, each.buyer_id) for each in found]
        return BuyerPage(
            data=[buyer_answer(each, names.get(each.buyer_id)) for each in found[:limit]],
            page=_next(places, limit, tokens, BUYERS),
        )

    @routes.get("/{order_id:uuid}")
    async def read_an_order(order_id: UUID, user: SignedIn, response: Response, as_of: AsOf) -> OrderAnswer:
        """Read an order of yours, as it is or as it was; staff read everybody's."""
        order, version = await order_for(order_id, asker(user), ports, as_of)
        response.headers["ETag"] = f'"{version}"'
        return order_answer(order_id, order, version)

    @routes.get("/{order_id:uuid}/history")
    async def read_the_history(order_id: UUID, user: SignedIn) -> OrderHistory:
        """What has happened to the order, first things first: when, by whom and why."""
        return OrderHistory(data=[happening_answer(each) for each in await history_for(order_id, asker(user), ports)])

    @routes.post("/{order_id:uuid}:cancel", responses=problems(403, 409, 412))
    async def cancel_an_order(
        order_id: UUID,
        user: SignedIn,
        wait: PreferWait,
        expected: IfMatch,
        response: Response,
        why: NewCancellation | None = None,
    ) -> OrderAnswer:
        """Call an order off that has not been shipped; twice is once. While it is being fulfilled it is `cancelling`: it is
        rejected next, or confirmed and cancelled at once."""
        reason = why.reason if why else ""
        ask = CancelOrder(order_id=order_id, asker=asker(user), reason=reason, at=ports.now())
        return await _answer(order_id, *await change_order(ask, ports, expected), wait, response, ports)

    @routes.post("/{order_id:uuid}:ship", responses=problems(403, 409, 412))
    async def ship_an_order(
        order_id: UUID,
        user: SignedIn,
        wait: PreferWait,
        expected: IfMatch,
        response: Response,
        parcel: NewShipment | None = None,
    ) -> OrderAnswer:
        """Note that the goods of a confirmed order have left; for staff. Twice is once."""
        parcel = parcel or NewShipment()
        ask = ShipOrder(order_id=order_id, asker=asker(user), at=ports.now(), **parcel.model_dump())
        return await _answer(order_id, *await change_order(ask, ports, expected), wait, response, ports)

    @routes.post("/{order_id:uuid}:return", responses=problems(403, 409, 412))
    async def take_an_order_back(
        order_id: UUID,
        user: SignedIn,
        wait: PreferWait,
        expected: IfMatch,
        response: Response,
        why: NewReturn | None = None,
    ) -> OrderAnswer:
        """Note that the goods of a shipped order have come back: the money is refunded; for staff. Twice is once."""
        reason = why.reason if why else ""
        ask = TakeBackOrder(order_id=order_id, asker=asker(user), reason=reason, at=ports.now())
        return await _answer(order_id, *await change_order(ask, ports, expected), wait, response, ports)

    return routes


def asker(user: User) -> Asker:
    return Asker(user.id, user.roles)


def chosen(user: User, status: Status | None, *, everybody: bool) -> Choice:
    """Return which orders are to be listed. Raise `Forbidden` for who may not see everybody's."""
    if everybody:
        require(user.roles, READ)
    return Choice(None if everybody else user.id, status)


def list_of(choice: Choice) -> str:
    """Return what cursors of the list are for."""
    whose = f"orders:{choice.buyer or 'everybody'}"
    return f"{whose}:{choice.status}" if choice.status else whose


async def _answer(id_: UUID, order: Order, version: int, wait: float, response: Response, ports: Ports) -> OrderAnswer:
    if await is_listed(id_, version, wait, ports.orders):
        response.headers.update(APPLIED)
    response.headers["ETag"] = f'"{version}"'
    return order_answer(id_, order, version)


def _start(tokens: OpaqueTokens, cursor: str | None, offset: int | None, of: str) -> Place | None:
    if cursor is not None and offset is not None:
        raise Refused("validation_failed", "give cursor or offset, not both")
    return open_place(tokens, cursor, of)


def _next(places: list[Place], limit: int, tokens: OpaqueTokens, of: str) -> NextPage:
    """Return where a list goes on, whose places are given with one more than is shown, if there is one."""
    more = len(places) > limit
    return NextPage(next_cursor=seal_place(tokens, *places[limit - 1], of) if more else None, has_more=more)
