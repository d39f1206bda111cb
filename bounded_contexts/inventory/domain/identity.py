"""Ids that follow from what they name."""

from uuid import UUID, uuid5

ITEMS = UUID("8c0f3f0e-5a0e-4d1b-9c57-2c7f4b1d6a10")
RESERVATIONS = UUID("5e1d7f42-0b5a-4f0e-8a3e-91c6d2b7f3a4")


def item_stream(sku: str) -> UUID:
    """Return the stream of the SKU's stock item."""
    return uuid5(ITEMS, sku)


def reservation_stream(order_id: UUID) -> UUID:
    """Return the stream of the order's reservation: never a stock item's, whoever has chosen the order's id."""
    return uuid5(RESERVATIONS, str(order_id))


def receipt_id(sku: str, user_id: UUID, key: str) -> UUID:
    """Return the id of the receipt that the user books under this key; the same one is the same receipt for ever."""
    return uuid5(item_stream(sku), f"{user_id}/{key}")
