"""Payments: money of orders, by way of a payment provider.

Payment    one for each order: authorised, then captured or voided; a captured one may be refunded.
Provider   who holds and moves the money; asked with idempotency keys, since it may answer late, twice or never.
"""
