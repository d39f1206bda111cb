"""What inventory's REST bodies and answers look like."""

from datetime import datetime
from typing import Annotated
from uuid import UUID

from pydantic import BaseModel, Field, StrictInt

from bounded_contexts.inventory.application.ports import Kind, ListedItem, ListedMovement
from bounded_contexts.inventory.domain.stock_item import NAME_LIMIT, RECEIPT_LIMIT, SKU_LIMIT, StockItem
from infra.http import Body, NextPage

# What stands in a path as it is. No `.` at the start: `..` would lead elsewhere.
SKU = r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}"

PREFIX = r"^[A-Za-z0-9._-]*$"  # of SKUs

Sku = Annotated[
    str,
    Field(
        min_length=1,
        max_length=SKU_LIMIT,
        pattern=rf"^{SKU}$",
        description="Letters, digits, `.`, `_` and `-`, beginning with a letter or digit; case counts.",
        examples=["CUP-1"],
    ),
]


class NewItem(Body):
    sku: Sku
    name: Annotated[str, Field(min_length=1, max_length=NAME_LIMIT, examples=["Cup, blue"])]


class Receipt(Body):
    quantity: Annotated[StrictInt, Field(ge=1, le=RECEIPT_LIMIT, description="Units.", examples=[100])]


class Begin(Body):
    prefix: Annotated[str, Field(max_length=SKU_LIMIT, pattern=PREFIX)]


class ItemAnswer(BaseModel):
    """Units of one SKU. What was received is free, reserved for orders, or sold."""

    sku: str
    name: str
    free: int
    reserved: int
    sold: int


class MovementAnswer(BaseModel):
    """Units that came in (`received`), or went from free to reserved (`reserved`), back (`released`), from reserved to sold
    (`committed`), or from sold to free (`returned`)."""

    id: UUID
    sku: str
    kind: Kind
    quantity: int
    receipt_id: Annotated[UUID | None, Field(description="Of what was received.")]
    order_id: Annotated[UUID | None, Field(description="Of all others.")]
    moved_at: datetime


class ItemPage(BaseModel):
    data: list[ItemAnswer]
    page: NextPage


class MovementPage(BaseModel):
    data: list[MovementAnswer]
    page: NextPage


def item_answer(item: ListedItem) -> ItemAnswer:
    """Return the item as lists show it."""
    return ItemAnswer(sku=item.sku, name=item.name, free=item.free, reserved=item.reserved, sold=item.sold)


def decided_answer(sku: str, state: StockItem) -> ItemAnswer:
    """Return the item as its events left it."""
    return ItemAnswer(sku=sku, name=state.name or "", free=state.free, reserved=state.reserved, sold=state.sold)


def movement_answer(movement: ListedMovement) -> MovementAnswer:
    """Return the movement."""
    return MovementAnswer(
        id=movement.movement_id,
        sku=movement.sku,
        kind=movement.kind,
        quantity=movement.quantity,
        receipt_id=movement.receipt_id,
        order_id=movement.order_id,
        moved_at=movement.moved_at,
    )
