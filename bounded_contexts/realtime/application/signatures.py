"""Signed requests: Standard Webhooks (infra/webhooks.py) with method and target in front of what is signed, so that a signature
opens one route and no other."""

import secrets

SECRET_BYTES = 32


def new_secret() -> bytes:
    return secrets.token_bytes(SECRET_BYTES)


def content(method: str, target: str, id_: str, timestamp: str, body: bytes) -> bytes:
    """Return what is signed; `target` is the path and, behind a `?`, the query if there is one, as they are sent."""
    return f"{method}\n{target}\n{id_}.{timestamp}.".encode() + body
