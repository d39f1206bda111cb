"""What ordering's REST bodies and answers look like."""

from datetime import datetime
from typing import Annotated, Any
from uuid import UUID

from pydantic import BaseModel, Field, StrictInt, ValidationError, field_validator
from pydantic_core import InitErrorDetails, PydanticCustomError

from bounded_contexts.ordering.application.ports import Buyer, Listed
from bounded_contexts.ordering.application.reading import Happening
from bounded_contexts.ordering.domain.order import (
    CARRIER_LIMIT,
    LINE_LIMIT,
    PRICE_LIMIT,
    QUANTITY_LIMIT,
    REASON_LIMIT,
    SKU,
    Order,
    Status,
    repetitions,
)
from infra.http import Body, NextPage
from schemas.ordering.events import OrderLine

Reason = Annotated[str, Field(max_length=REASON_LIMIT, description="In your own words.", examples=["Changed my mind"])]
OfParcel = Annotated[str | None, Field(min_length=1, max_length=CARRIER_LIMIT)]


class NewLine(Body):
    sku: Annotated[
        str,
        Field(pattern=f"^{SKU.pattern}$", description="Of a stock item.", examples=["tea-100"]),
    ]
    quantity: Annotated[StrictInt, Field(ge=1, le=QUANTITY_LIMIT, examples=[2])]
    unit_price_minor: Annotated[
        StrictInt, Field(ge=0, le=PRICE_LIMIT, description="Minor units, such as cents.", examples=[450])
    ]


class NewOrder(Body):
    currency: Annotated[str, Field(min_length=3, max_length=3, description="ISO 4217.", examples=["EUR"])]
    lines: Annotated[list[NewLine], Field(min_length=1, max_length=LINE_LIMIT, description="Each SKU once.")]

    @field_validator("lines")
    @classmethod
    def _each_sku_once(cls, lines: list[NewLine]) -> list[NewLine]:
        if repeated := repetitions(order_lines(lines)):
            error = PydanticCustomError("repeated_sku", "an earlier line has this SKU: one line for each")
            found = [InitErrorDetails(type=error, loc=(number, "sku"), input=None) for number in repeated]
            raise ValidationError.from_exception_data("lines", found)
        return lines


class NewCancellation(Body):
    reason: Reason = ""


class NewReturn(Body):
    reason: Reason = ""


class NewShipment(Body):
    carrier: Annotated[OfParcel, Field(examples=["DHL"])] = None
    tracking_code: Annotated[OfParcel, Field(examples=["JD014600003828392837"])] = None


class LineAnswer(BaseModel):
    sku: str
    quantity: int
    unit_price_minor: int


class OrderAnswer(BaseModel):
    id: UUID
    buyer_id: UUID
    status: Status
    lines: list[LineAnswer]
    total_minor: Annotated[int, Field(description="Minor units of the currency.")]
    currency: str
    payment_id: Annotated[UUID | None, Field(description="Once it is confirmed.")]
    reason: Annotated[str | None, Field(description="Why it was rejected: a code (docs/orders.md).")]
    carrier: str | None
    tracking_code: str | None
    placed_at: datetime
    changed_at: Annotated[datetime, Field(description="Since when it has its status.")]
    version: Annotated[int, Field(description="The number in its `ETag`.")]


class OrderPage(BaseModel):
    data: list[OrderAnswer]
    page: NextPage


class HappeningAnswer(BaseModel):
    version: Annotated[int, Field(description="Of the order after it.")]
    type: Annotated[str, Field(description="The event's name, as on the topics.", examples=["OrderPlaced"])]
    at: datetime
    by: Annotated[UUID | None, Field(description="Null where the house did it: fulfilment.")]
    reason: Annotated[str | None, Field(description="A code of a rejection; else in somebody's words.")]


class OrderHistory(BaseModel):
    data: list[HappeningAnswer]


class BuyerAnswer(BaseModel):
    id: UUID
    name: Annotated[str | None, Field(description="Null of one who has no account here.")]
    since: Annotated[datetime, Field(description="When their first order was placed.")]
    orders: int
    last_order_at: datetime


class BuyerPage(BaseModel):
    data: list[BuyerAnswer]
    page: NextPage


def order_lines(lines: list[NewLine]) -> tuple[OrderLine, ...]:
    return tuple(OrderLine(**line.model_dump()) for line in lines)


def order_answer(id_: UUID, order: Order, version: int) -> OrderAnswer:
    return OrderAnswer.model_validate({"id": id_, "version": version, **_fields(order)})


def listed_answer(of: Listed) -> OrderAnswer:
    return order_answer(of.order_id, of.order, of.version)


def happening_answer(of: Happening) -> HappeningAnswer:
    return HappeningAnswer(version=of.version, type=type(of.event).__name__, at=of.at, by=of.by, reason=of.reason)


def buyer_answer(of: Buyer, name: str | None) -> BuyerAnswer:
    return BuyerAnswer(id=of.buyer_id, name=name, since=of.since, orders=of.orders, last_order_at=of.last_order_at)


def _fields(order: Order) -> dict[str, Any]:
    shown = OrderAnswer.model_fields.keys() - {"id", "version", "lines"}
    return {"lines": [line.to_record() for line in order.lines], **{name: getattr(order, name) for name in shown}}
