"""REST face of inventory: parse, call, answer."""

from collections.abc import Awaitable, Callable
from typing import Annotated
from uuid import uuid4

from fastapi import APIRouter, Header, Path, Query, Response
from starlette.convertors import StringConvertor, register_url_convertor

from bounded_contexts.inventory.adapters.bodies import (
    PREFIX,
    SKU,
    ItemAnswer,
    ItemPage,
    MovementPage,
    NewItem,
    Receipt,
    decided_answer,
    item_answer,
    movement_answer,
)
from bounded_contexts.inventory.application.commands import change_item
from bounded_contexts.inventory.application.items import known_item
from bounded_contexts.inventory.application.ports import Ports
from bounded_contexts.inventory.domain.commands import AddItem, ReceiveUnits
from bounded_contexts.inventory.domain.identity import receipt_id
from bounded_contexts.inventory.domain.stock_item import PERMISSION, SKU_LIMIT
from infra.http import (
    APPLIED,
    AsOf,
    Cursor,
    Limit,
    NextPage,
    PreferWait,
    SignedIn,
    Tokens,
    open_place,
    problems,
    seal_place,
)
from infra.positions import comes_true
from shared_kernel.permissions import require

ITEMS = "stock-items"


class SkuSegment(StringConvertor):
    """A path's segment up to a colon, behind which stands what to do."""

    regex = SKU


register_url_convertor("sku", SkuSegment())

SkuPath = Annotated[str, Path(max_length=SKU_LIMIT, examples=["CUP-1"])]
IdempotencyKey = Annotated[
    str | None, Header(min_length=1, max_length=128, description="The same key is the same receipt.")
]
Prefix = Annotated[
    str, Query(max_length=SKU_LIMIT, pattern=PREFIX, description="What the SKUs begin with; case counts.")
]


def router(ports: Ports) -> APIRouter:
    """Return every route of the context."""
    routes = APIRouter(prefix="/stock-items", tags=["stock"], responses=problems(401, 403, 404, 422, 503))

    @routes.post("", status_code=201, responses=problems(409) | {200: {"model": ItemAnswer}})
    async def add_a_stock_item(new: NewItem, user: SignedIn, wait: PreferWait, response: Response) -> ItemAnswer:
        """Have something to sell, with no units yet, for who manages stock; adding it again under the same name is no change."""
        ask = AddItem(sku=new.sku, name=new.name, asker_id=user.id, asker_roles=user.roles, at=ports.now())
        state, is_new = await change_item(ask, ports)
        response.status_code = 201 if is_new else 200
        response.headers["Location"] = f"/api/v1/stock-items/{new.sku}"
        await _shown(lambda: ports.stock.item(new.sku), wait, response)
        return decided_answer(new.sku, state)

    @routes.post("/{sku:sku}:receive", responses=problems(409))
    async def receive_units(
        sku: SkuPath,
        receipt: Receipt,
        user: SignedIn,
        wait: PreferWait,
        response: Response,
        idempotency_key: IdempotencyKey = None,
    ) -> ItemAnswer:
        """Book units that came in, for who manages stock."""
        ask = ReceiveUnits(
            sku=sku,
            receipt_id=receipt_id(sku, user.id, idempotency_key) if idempotency_key else uuid4(),
            quantity=receipt.quantity,
            asker_id=user.id,
            asker_roles=user.roles,
            at=ports.now(),
        )
        state, _ = await change_item(ask, ports)
        await _shown(lambda: ports.stock.is_received(sku, ask.receipt_id), wait, response)
        return decided_answer(sku, state)

    @routes.get("")
    async def list_stock_items(
        user: SignedIn, tokens: Tokens, limit: Limit = 50, cursor: Cursor = None, prefix: Prefix = ""
    ) -> ItemPage:
        """List stock items in the order of their SKUs."""
        of = f"{ITEMS}:{prefix}"
        found = await ports.stock.page(limit + 1, prefix, tokens.open("cursor", cursor, of) if cursor else None)
        more = len(found) > limit
        next_ = tokens.seal("cursor", found[limit - 1].sku, of) if more else None
        return ItemPage(
            data=[item_answer(each) for each in found[:limit]], page=NextPage(next_cursor=next_, has_more=more)
        )

    @routes.get("/{sku:sku}")
    async def read_a_stock_item(sku: SkuPath, user: SignedIn, as_of: AsOf) -> ItemAnswer:
        """Read a stock item, as it is or as it was."""
        return decided_answer(sku, await known_item(sku, ports, as_of))

    @routes.get("/{sku:sku}/movements")
    async def list_movements(
        sku: SkuPath, user: SignedIn, tokens: Tokens, limit: Limit = 50, cursor: Cursor = None
    ) -> MovementPage:
        """List what has moved of a stock item, last first, for who manages stock: it names orders."""
        require(user.roles, PERMISSION)
        of = f"{ITEMS}:{sku}:movements"
        await known_item(sku, ports)
        found = await ports.stock.movements(sku, limit + 1, open_place(tokens, cursor, of))
        more = len(found) > limit
        last = found[limit - 1] if more else None
        next_ = seal_place(tokens, last.moved_at, last.movement_id, of) if last else None
        page = NextPage(next_cursor=next_, has_more=more)
        return MovementPage(data=[movement_answer(each) for each in found[:limit]], page=page)

    return routes


async def _shown(look: Callable[[], Awaitable[object]], wait: float, response: Response) -> None:
    """Wait as long as the client prefers until lists show it."""
    if wait and await comes_true(look, wait):
        response.headers.update(APPLIED)
