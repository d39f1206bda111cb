"""Connections of one address that have joined nothing yet, and tokens refused there."""

from collections.abc import AsyncIterator
from dataclasses import dataclass, field

import pytest

from bounded_contexts.realtime.adapters.strangers import Strangers
from tests.probes import eventually

WAIT_S = 0.05


@dataclass(eq=False)
class Comer:
    address: str


@dataclass
class Door:
    late: list[Comer] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.strangers: Strangers[Comer] = Strangers(2, WAIT_S, self.late.append)

    async def has_room(self) -> bool:
        return self.strangers.has_room("192.0.2.1")


@pytest.fixture
async def door() -> AsyncIterator[Door]:
    door = Door()
    yield door
    door.strangers.stop()


async def test_an_address_has_so_many_and_others_have_theirs(door: Door) -> None:
    one, two = Comer("192.0.2.1"), Comer("192.0.2.1")
    for each in (one, two, one):  # whose time begins anew is counted once
        door.strangers.put(each)

    assert not door.strangers.has_room("192.0.2.1")
    assert door.strangers.has_room("192.0.2.2")
    for _ in range(2):
        door.strangers.remove(one)
    assert door.strangers.has_room("192.0.2.1")
    assert len(door.strangers) == 1


async def test_addresses_of_one_ipv6_network_are_one(door: Door) -> None:
    for host in ("2001:db8::1", "2001:db8::2"):
        door.strangers.put(Comer(host))

    assert not door.strangers.has_room("2001:db8::3")
    assert door.strangers.has_room("2001:db8:0:1::1")


async def test_who_is_late_makes_room(door: Door) -> None:
    late = [Comer("192.0.2.1"), Comer("192.0.2.1")]
    for each in late:
        door.strangers.put(each)
    assert not await door.has_room()

    await eventually(door.has_room)
    assert door.late[0] is late[0]


async def test_what_was_refused_is_forgotten(door: Door) -> None:
    for _ in range(2):
        door.strangers.refuse("192.0.2.1")
    assert not await door.has_room()

    await eventually(door.has_room)
    assert door.late == []
