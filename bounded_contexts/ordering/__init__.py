"""Ordering: people order things; whether they get them is found out by sagas/order_fulfilment.py.

Order    what somebody wants to buy: placed, then confirmed or rejected, never both; a confirmed one is shipped or cancelled.
Buyer    a user as seen by this context: only an id.
Line     so many of one SKU at a price.
"""
