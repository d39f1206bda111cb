"""How often somebody may ask, by class of request (docs/http.md); here counted in this process."""

import ipaddress
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass
from math import ceil
from time import monotonic
from typing import Literal, Protocol

from shared_kernel.errors import HeadwaterError

RequestClass = Literal["read", "write", "auth"]

BURST_S = 10  # so many seconds' worth of requests pass at once
EXACT = 1e-6  # sums of floating-point numbers are not
ALLOWANCE = "headwater.allowance"  # where an ASGI scope has it
KEYS = 50_000  # that are remembered; the one that asked longest ago is forgotten first


@dataclass(frozen=True, slots=True)
class Allowance:
    """What a key has left, as the fields `RateLimit` and `RateLimit-Policy` say it (draft-ietf-httpapi-ratelimit-headers-10)."""

    quota: "Quota"
    remaining: int
    reset_s: int  # until all of it is back

    @property
    def headers(self) -> list[tuple[bytes, bytes]]:
        quota, state = self.quota, f"r={self.remaining};t={self.reset_s}"
        policy = f'"{quota.name}";q={quota.at_once};w={quota.window_s}'
        return [(b"ratelimit-policy", policy.encode()), (b"ratelimit", f'"{quota.name}";{state}'.encode())]


class RateLimited(HeadwaterError):
    """Too many requests; one more passes after `retry_after_s`."""

    def __init__(self, retry_after_s: int, allowance: Allowance | None = None) -> None:
        super().__init__("rate_limited", "slow down")
        self.retry_after_s = retry_after_s
        self.allowance = allowance


@dataclass(frozen=True, slots=True)
class Quota:
    """How many requests of a class pass at once, and in how many seconds as many again."""

    name: RequestClass
    at_once: int
    window_s: int

    @classmethod
    def of(cls, name: RequestClass, per_minute: int) -> "Quota":
        """Return ten seconds' worth of so many a minute, one request at least."""
        at_once = max(per_minute * BURST_S // 60, 1)
        return cls(name, at_once, ceil(at_once * 60 / per_minute))


class RateLimit(Protocol):
    """The limit of one class of requests."""

    async def take(self, key: str, cost: int = 1) -> Allowance | None:
        """Count a request of `key` as so many, or none; return what it has left, None where there is no limit. Raise
        `RateLimited`, which more than pass at once always are."""
        ...


class Unlimited:
    async def take(self, key: str, cost: int = 1) -> None:
        """Let everything pass."""


class TokenBuckets:
    """A token bucket for each key, kept as the time at which it will be full: `per_minute` requests a minute in the long run,
    those of ten seconds at once."""

    def __init__(
        self, name: RequestClass, per_minute: int, keys: int = KEYS, now: Callable[[], float] = monotonic
    ) -> None:
        self._quota = Quota.of(name, per_minute)
        self._cost = 60 / per_minute
        self._burst = max(float(BURST_S), self._cost)
        self._keys, self._now = keys, now
        self._full_at: OrderedDict[str, float] = OrderedDict()

    async def take(self, key: str, cost: int = 1) -> Allowance:
        now = self._now()
        used = max(self._full_at.get(key, now) - now, 0.0)
        after = used + cost * self._cost
        if after > self._burst + EXACT:
            raise RateLimited(ceil(after - self._burst - EXACT), self._allowance(used))
        self._full_at[key] = now + after
        self._full_at.move_to_end(key)
        if len(self._full_at) > self._keys:
            self._full_at.popitem(last=False)
        return self._allowance(after)

    def _allowance(self, used: float) -> Allowance:
        return Allowance(self._quota, int((self._burst - used) / self._cost + EXACT), ceil(used - EXACT))


def network_of(host: str) -> str:
    """Return what a client at `host` cannot change at will: the address, for IPv6 the network of 64 bits it is in."""
    try:
        return str(ipaddress.ip_network((host, 64), strict=False)) if ":" in host else host
    except ValueError:
        return host
