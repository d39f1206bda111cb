"""GraphQL face of inventory: stock items. The rules are those of the REST routes."""

from datetime import datetime
from uuid import uuid4

import strawberry

from bounded_contexts.inventory.adapters.bodies import Begin, NewItem, Receipt, decided_answer, item_answer
from bounded_contexts.inventory.adapters.http import ITEMS
from bounded_contexts.inventory.application.commands import change_item
from bounded_contexts.inventory.application.items import known_item
from bounded_contexts.inventory.application.ports import Ports
from bounded_contexts.inventory.domain.commands import AddItem, ReceiveUnits
from bounded_contexts.inventory.domain.identity import receipt_id
from infra.graph import FIRST, Connection, Info, Part, checked, connection, scoped
from infra.http import not_in_future

READ, WRITE = "stock-items:read", "stock-items:write"


@strawberry.type(description="Units of one SKU. What was received is free, reserved for orders, or sold.")
class StockItem:
    sku: str
    name: str
    free: int
    reserved: int
    sold: int


@strawberry.input(description="Units that came in.")
class ReceiptInput:
    sku: str
    quantity: int
    idempotency_key: str | None = strawberry.field(default=None, description="The same key is the same receipt.")


def graph(ports: Ports) -> Part:
    """Return what the context offers to the schema."""

    @strawberry.type
    class Query:
        @scoped(READ, "A stock item, as it is or as it was.")
        async def stock_item(self, info: Info, sku: str, as_of: datetime | None = None) -> StockItem | None:
            state = await known_item(sku, ports, not_in_future(as_of) if as_of else None)
            return StockItem(**decided_answer(sku, state).model_dump())

        @scoped(READ, "Stock items in the order of their SKUs, those that begin with `prefix`.")
        async def stock_items(
            self, info: Info, first: int = FIRST, after: str | None = None, prefix: str = ""
        ) -> Connection[StockItem] | None:
            begins = Begin.model_validate({"prefix": prefix}).prefix
            tokens, of = info.context.tokens, f"{ITEMS}:{begins}"
            begin = tokens.open("cursor", after, of) if after else None
            found = await ports.stock.page(checked(first) + 1, begins, begin)
            nodes = [
                (StockItem(**item_answer(each).model_dump()), tokens.seal("cursor", each.sku, of))
                for each in found[:first]
            ]
            return connection(nodes, after, more=len(found) > first)

    @strawberry.type
    class Mutation:
        @scoped(WRITE, "Have something to sell, for who manages stock.")
        async def add_stock_item(self, info: Info, sku: str, name: str) -> StockItem | None:
            new, user = NewItem.model_validate({"sku": sku, "name": name}), info.context.user
            ask = AddItem(sku=new.sku, name=new.name, asker_id=user.id, asker_roles=user.roles, at=ports.now())
            state, _ = await change_item(ask, ports)
            return StockItem(**decided_answer(new.sku, state).model_dump())

        @scoped(WRITE, "Book units that came in, for who manages stock.")
        async def receive_units(self, info: Info, input: ReceiptInput) -> StockItem | None:  # noqa: A002
            receipt, user, key = (
                Receipt.model_validate({"quantity": input.quantity}),
                info.context.user,
                input.idempotency_key,
            )
            ask = ReceiveUnits(
                sku=input.sku,
                receipt_id=receipt_id(input.sku, user.id, key) if key else uuid4(),
                quantity=receipt.quantity,
                asker_id=user.id,
                asker_roles=user.roles,
                at=ports.now(),
            )
            state, _ = await change_item(ask, ports)
            return StockItem(**decided_answer(input.sku, state).model_dump())

    return Part(Query, Mutation)
