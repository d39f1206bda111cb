"""Ordering: people order things; whether they get them is found out by sagas/order_fulfilment.py (docs/orders.md).

Order         what somebody wants to buy: placed, then confirmed or rejected, never both; a confirmed one is cancelled, or
              shipped and perhaps returned.
Buyer         a user as seen by this context: only an id.
Line          so many of one SKU at a price.
Cancellation  somebody's wish to call the order off; while it is being fulfilled the wish is only noted.
"""
