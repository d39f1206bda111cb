"""Tokens that clients keep and give back without looking inside: cursors and positions, signed so that none can be made up."""

import base64
import binascii
import hashlib
import hmac
from typing import Any

import msgspec

from shared_kernel.errors import Refused

SIGNATURE_BYTES = 12
TOKEN_LIMIT = 4096  # characters


class OpaqueTokens:
    """`kind` says what a token is and `of` where it belongs; one of another kind or place is refused. Values are JSON-like."""

    def __init__(self, secret: str) -> None:
        self._key = hashlib.sha256(b"headwater opaque tokens " + secret.encode()).digest()

    def seal(self, kind: str, value: Any, of: str = "") -> str:
        """Return the token, safe in URLs and headers."""
        body = msgspec.msgpack.encode(value)
        return _written(self._signature(kind, of, body) + body)

    def open(self, kind: str, token: str, of: str = "") -> Any:
        """Return the value. Raise `Refused` (`invalid_<kind>`) for anything this installation did not seal."""
        try:
            raw = base64.urlsafe_b64decode(token[:TOKEN_LIMIT] + "=" * (-len(token) % 4))
        except (ValueError, binascii.Error):
            raw = b""
        if _written(raw) != token:  # what decoding passes over: a token is written in one way
            raw = b""
        signature, body = raw[:SIGNATURE_BYTES], raw[SIGNATURE_BYTES:]
        if not hmac.compare_digest(signature, self._signature(kind, of, body)):
            raise Refused(f"invalid_{kind}", f"this {kind} was not given out here")
        return msgspec.msgpack.decode(body)

    def _signature(self, kind: str, of: str, body: bytes) -> bytes:
        return hmac.digest(self._key, f"{kind}\0{of}\0".encode() + body, "sha256")[:SIGNATURE_BYTES]


def _written(raw: bytes) -> str:
    return base64.urlsafe_b64encode(raw).rstrip(b"=").decode()
