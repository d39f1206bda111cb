"""The token of an older UI service: it says when it was made, and that its maker knows the secret. It signs neither body nor
channel: whoever sees one publishes anything for three windows."""

import base64
import hmac
from dataclasses import dataclass
from datetime import datetime

SKEW = (-1, 0, 1)  # windows


@dataclass(frozen=True, slots=True)
class TimeTokens:
    secret: bytes
    window_s: int

    def token(self, window: int) -> str:
        """Return the token of a window: how many of them have passed since 1970."""
        mac = _base64(hmac.digest(self.secret, str(window).encode(), "sha256"))
        return _base64(f"{window}:{mac}".encode())

    def holds(self, token: str, now: datetime) -> bool:
        """Return whether it is of this window or one beside it; in the same time whichever."""
        given, window = token.rstrip("=").encode(), int(now.timestamp()) // self.window_s
        return sum(hmac.compare_digest(given, self.token(window + off).encode()) for off in SKEW) > 0


def _base64(of: bytes) -> str:
    return base64.urlsafe_b64encode(of).rstrip(b"=").decode()
