"""How often somebody may ask, counted in this process (docs/http.md)."""

import ipaddress
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass
from math import ceil
from time import monotonic

from shared_kernel.errors import HeadwaterError

BURST_S = 10  # so many seconds' worth of requests pass at once
EXACT = 1e-6  # sums of floating-point numbers are not
ALLOWANCE = "headwater.allowance"  # where an ASGI scope has it
KEYS = 50_000  # that are remembered; the one that asked longest ago is forgotten first


class RateLimited(HeadwaterError):
    """Too many requests; one more passes after `retry_after_s`."""

    def __init__(self, retry_after_s: int) -> None:
        super().__init__("rate_limited", "slow down")
        self.retry_after_s = retry_after_s


@dataclass(frozen=True, slots=True)
class Allowance:
    """What a key has left, as the fields `RateLimit` and `RateLimit-Policy` say it (draft-ietf-httpapi-ratelimit-headers-10)."""

    at_once: int
    remaining: int
    reset_s: int  # until all of it is back

    @property
    def headers(self) -> list[tuple[bytes, bytes]]:
        policy, state = f'"requests";q={self.at_once};w={BURST_S}', f'"requests";r={self.remaining};t={self.reset_s}'
        return [(b"ratelimit-policy", policy.encode()), (b"ratelimit", state.encode())]


class RateLimit:
    """A token bucket for each key, kept as the time at which it will be full: `per_minute` requests a minute in the long run,
    those of ten seconds at once. 0 is no limit."""

    def __init__(self, per_minute: int, keys: int = KEYS, now: Callable[[], float] = monotonic) -> None:
        self._cost = 60 / per_minute if per_minute else 0.0
        self._burst = max(float(BURST_S), self._cost)
        self._keys, self._now = keys, now
        self._full_at: OrderedDict[str, float] = OrderedDict()

    def left(self, key: str) -> Allowance | None:
        """Return what `key` may still ask at once, None where there is no limit."""
        if not self._cost:
            return None
        used = max(self._full_at.get(key, 0.0) - self._now(), 0.0)
        return Allowance(int(self._burst / self._cost), int((self._burst - used) / self._cost + EXACT), ceil(used))

    def take(self, key: str) -> None:
        """Count a request of `key`. Raise `RateLimited`."""
        now = self._now()
        full_at = max(self._full_at.get(key, now), now) + self._cost
        if full_at - now > self._burst:
            raise RateLimited(ceil(full_at - now - self._burst))
        self._full_at[key] = full_at
        self._full_at.move_to_end(key)
        if len(self._full_at) > self._keys:
            self._full_at.popitem(last=False)


def network_of(host: str) -> str:
    """Return what a client at `host` cannot change at will: the address, for IPv6 the network of 64 bits it is in."""
    try:
        return str(ipaddress.ip_network((host, 64), strict=False)) if ":" in host else host
    except ValueError:
        return host
