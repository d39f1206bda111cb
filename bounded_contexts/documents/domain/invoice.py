"""The invoice of an order, as instructions to render (docs/rendering.md). Pure: the same order makes the same invoice."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import Any, Final
from uuid import UUID

# ISO 4217: digits of the minor unit, where they are not two.
MINOR_DIGITS: Final[Mapping[str, int]] = {
    **dict.fromkeys(("BIF", "CLP", "DJF", "GNF", "ISK", "JPY", "KMF", "KRW", "PYG", "RWF", "UGX", "UYI"), 0),
    **dict.fromkeys(("VND", "VUV", "XAF", "XOF", "XPF"), 0),
    **dict.fromkeys(("BHD", "IQD", "JOD", "KWD", "LYD", "OMR", "TND"), 3),
    **dict.fromkeys(("CLF", "UYW"), 4),
}


@dataclass(frozen=True, slots=True)
class Line:
    """So many of one thing; the price in minor units."""

    sku: str
    quantity: int
    unit_price_minor: int


@dataclass(frozen=True, slots=True)
class Placed:
    """What somebody has ordered."""

    order_id: UUID
    buyer_id: UUID
    currency: str  # ISO 4217
    lines: tuple[Line, ...]
    placed_at: datetime


@dataclass(frozen=True, slots=True)
class Order:
    """A confirmed order."""

    placed: Placed
    buyer_name: str | None  # None: of another issuer, or erased
    confirmed_at: datetime


@dataclass(frozen=True, slots=True)
class Seller:
    """Who writes invoices, and how: name and address line by line, the locale of numbers and dates (CLDR)."""

    lines: tuple[str, ...]
    locale: str


def number_of(order: Order) -> str:
    """Return what the invoice is called: the day of the confirmation, and the beginning of the order's id."""
    return f"{order.confirmed_at:%Y%m%d}-{order.placed.order_id.hex[:12].upper()}"


def invoice(order: Order, seller: Seller) -> dict[str, Any]:
    """Return the instructions. What people have written is data in them, never a template."""
    placed = order.placed
    lines = [
        {"sku": line.sku, "quantity": line.quantity, "price": _amount(line.unit_price_minor, placed.currency)}
        for line in placed.lines
    ]
    data = {
        "number": number_of(order),
        "order": str(placed.order_id),
        "buyer": order.buyer_name or str(placed.buyer_id),
        "seller": list(seller.lines),
        "placed": {"$date": f"{placed.placed_at:%Y-%m-%d}"},
        "confirmed": {"$date": f"{order.confirmed_at:%Y-%m-%d}"},
        "lines": lines,
    }
    return {
        "version": "1.0",
        "locale": seller.locale,
        "timeZone": "UTC",
        "meta": {"title": "Invoice {{number}}", "created": f"{order.confirmed_at:%Y-%m-%dT%H:%M:%SZ}"},
        "styles": {"money": {"align": "right", "numberFormat": {"type": "currency", "currency": placed.currency}}},
        "footer": {
            "default": [{"type": "paragraph", "text": ["Page ", {"field": "page"}, " of ", {"field": "pages"}]}]
        },
        "data": data,
        "body": _body(),
    }


def _body() -> list[dict[str, Any]]:
    return [
        {"type": "repeat", "each": "seller", "as": "line", "body": [{"type": "paragraph", "text": "{{line}}"}]},
        {"type": "heading", "level": 1, "text": "Invoice {{number}}"},
        {"type": "paragraph", "text": "For {{buyer}}"},
        {"type": "paragraph", "text": "Order {{order}} of {{placed | date}}, confirmed on {{confirmed | date}}"},
        {
            "type": "table",
            "rows": {"each": "lines", "as": "l"},
            "zebra": True,
            "columns": [
                {"title": "Item", "width": "1fr", "value": {"path": "l.sku"}, "totalText": "Total"},
                {"title": "Quantity", "width": "22mm", "value": {"path": "l.quantity"}, "style": {"align": "right"}},
                {"title": "Price", "width": "30mm", "value": {"path": "l.price"}, "style": "money"},
                {
                    "title": "Amount",
                    "width": "32mm",
                    "value": {"*": [{"path": "l.quantity"}, {"path": "l.price"}]},
                    "style": "money",
                    "total": "sum",
                },
            ],
        },
    ]


def _amount(minor: int, currency: str) -> dict[str, str]:
    return {"$decimal": str(Decimal(minor).scaleb(-MINOR_DIGITS.get(currency, 2)))}
