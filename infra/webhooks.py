"""Signatures by Standard Webhooks (https://www.standardwebhooks.com): HMAC-SHA256 over what the two sides agree on."""

import base64
import hmac
from collections.abc import Iterable
from datetime import timedelta

TOLERANCE = timedelta(minutes=5)  # between the sender's clock and ours
VERSION = "v1"
PREFIX = "whsec_"  # of secrets as they are shown


def signature(secret: bytes, of: bytes) -> str:
    """Return the signature as the header has it."""
    return f"{VERSION},{base64.b64encode(hmac.digest(secret, of, 'sha256')).decode()}"


def is_signed(of: bytes, given: str, by: Iterable[bytes]) -> bool:
    """Return whether one of the signatures between spaces is that of one of the secrets; in the same time whichever."""
    wanted = [signature(secret, of).encode() for secret in by]
    return sum(hmac.compare_digest(each.encode(), one) for each in given.split() for one in wanted) > 0


def shown(secret: bytes) -> str:
    """Return the secret as its owner is given it."""
    return PREFIX + base64.b64encode(secret).decode()


def secret_of(shown: str) -> bytes:
    """Return the secret that is shown as `whsec_<base64>`. Raise `ValueError` for anything else, or less than 24 bytes."""
    secret = base64.b64decode(shown.removeprefix(PREFIX), validate=True) if shown.startswith(PREFIX) else b""
    if len(secret) < 24:
        raise ValueError(f"write {PREFIX} and 24 bytes or more in base64")
    return secret
