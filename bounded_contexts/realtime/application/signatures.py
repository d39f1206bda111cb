"""Signed requests: Standard Webhooks (https://www.standardwebhooks.com), HMAC-SHA256, with method and target in front of what is
signed, so that a signature opens one route and no other."""

import base64
import hmac
import secrets
from collections.abc import Iterable
from datetime import timedelta

TOLERANCE = timedelta(minutes=5)  # between the publisher's clock and ours
PREFIX = "whsec_"  # of secrets as they are shown
SECRET_BYTES = 32
VERSION = "v1"


def new_secret() -> bytes:
    return secrets.token_bytes(SECRET_BYTES)


def shown(secret: bytes) -> str:
    """Return the secret as its owner is given it."""
    return PREFIX + base64.b64encode(secret).decode()


def content(method: str, target: str, id_: str, timestamp: str, body: bytes) -> bytes:
    """Return what is signed; `target` is the path and, behind a `?`, the query if there is one, as they are sent."""
    return f"{method}\n{target}\n{id_}.{timestamp}.".encode() + body


def signature(secret: bytes, of: bytes) -> str:
    """Return the signature as the header has it."""
    return f"{VERSION},{base64.b64encode(hmac.digest(secret, of, 'sha256')).decode()}"


def is_signed(of: bytes, given: str, by: Iterable[bytes]) -> bool:
    """Return whether one of the signatures between spaces is that of one of the secrets; in the same time whichever."""
    wanted = [signature(secret, of).encode() for secret in by]
    return sum(hmac.compare_digest(each.encode(), one) for each in given.split() for one in wanted) > 0
