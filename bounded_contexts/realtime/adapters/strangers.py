"""Connections that have joined no namespace yet, and tokens that were refused of late: of one address only so many."""

from collections import Counter
from collections.abc import Callable, Hashable
from typing import Generic, Protocol, TypeVar

from bounded_contexts.realtime.adapters.wheel import Wheel
from infra.rate_limit import network_of


class Comer(Hashable, Protocol):
    @property
    def address(self) -> str: ...


Socket = TypeVar("Socket", bound=Comer)


class _Refusal:
    """One token that was no good."""

    def __init__(self, network: str) -> None:
        self.network = network


class Strangers(Generic[Socket]):
    """Each has `wait_s` to join; for as long a refusal is counted."""

    def __init__(self, most_of_address: int, wait_s: float, late: Callable[[Socket], None]) -> None:
        """`late` is called with who has not joined in time."""
        self._most, self._late = most_of_address, late
        self._waiting: Wheel[Socket] = Wheel(wait_s, self._is_late)
        self._refusals: Wheel[_Refusal] = Wheel(wait_s, self._forgive)
        self._of: Counter[str] = Counter()  # IPv6: of a network

    def __len__(self) -> int:
        return len(self._waiting)

    def has_room(self, address: str) -> bool:
        """Return whether another one of the address may come."""
        return self._of[network_of(address)] < self._most

    def put(self, socket: Socket) -> None:
        """Begin its time, anew if it has begun."""
        if not self._waiting.remove(socket):
            self._count(network_of(socket.address), 1)
        self._waiting.put(socket)

    def remove(self, socket: Socket) -> None:
        """Forget one that has joined or is gone. May be repeated."""
        if self._waiting.remove(socket):
            self._count(network_of(socket.address), -1)

    def refuse(self, address: str) -> None:
        """Count a token that was no good."""
        network = network_of(address)
        self._count(network, 1)
        self._refusals.put(_Refusal(network))

    def stop(self) -> None:
        """Forget all."""
        self._waiting.stop()
        self._refusals.stop()
        self._of.clear()

    def _is_late(self, socket: Socket) -> None:
        self._count(network_of(socket.address), -1)
        self._late(socket)

    def _forgive(self, refusal: _Refusal) -> None:
        self._count(refusal.network, -1)

    def _count(self, network: str, more: int) -> None:
        self._of[network] += more
        if not self._of[network]:
            del self._of[network]
