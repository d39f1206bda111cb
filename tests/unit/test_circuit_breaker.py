"""Circuit breaker and bulkhead: when calls fail, others are not made; when they succeed again, all are."""

import asyncio
from time import perf_counter

import pytest
from prometheus_client import REGISTRY

from infra import circuit_breaker
from infra.circuit_breaker import CircuitBreaker, Refusing
from tests.virtual_time import Clock

OPEN_S = 60.0


class Broken(Exception):
    """What the calls fail with."""


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    clock = Clock()
    monkeypatch.setattr(circuit_breaker, "monotonic", clock)
    return clock


def breaker(name: str, concurrency: int = 8) -> CircuitBreaker:
    return CircuitBreaker(name, failures=3, open_s=OPEN_S, probes=2, concurrency=concurrency)


async def fail(of: CircuitBreaker) -> None:
    with pytest.raises(Broken):
        async with of.call():
            raise Broken


async def succeed(of: CircuitBreaker) -> None:
    async with of.call():
        pass


def state(of: CircuitBreaker) -> str:
    """Return the state as something that may change from one line to the next."""
    return of.state


async def test_it_opens_after_failures_in_a_row_and_not_after_others(clock: Clock) -> None:
    own = breaker("rows")

    for _ in range(5):
        await fail(own)
        await fail(own)
        await succeed(own)
    assert state(own) == "closed"
    for _ in range(3):
        await fail(own)

    clock.now += OPEN_S - 1
    assert state(own) == "open"
    with pytest.raises(Refusing):
        await succeed(own)


async def test_it_fails_again_with_a_probe_and_closes_with_as_many_as_it_lets_through(clock: Clock) -> None:
    own = breaker("probes")
    for _ in range(3):
        await fail(own)

    clock.now += OPEN_S
    await fail(own)
    assert state(own) == "open"
    clock.now += OPEN_S
    await succeed(own)
    assert state(own) == "half-open"
    await succeed(own)

    assert state(own) == "closed"


async def test_half_open_it_lets_only_so_many_through_at_once(clock: Clock) -> None:
    own, release, inside = breaker("bound"), asyncio.Event(), asyncio.Semaphore(0)
    for _ in range(3):
        await fail(own)
    clock.now += OPEN_S

    async def probe() -> None:
        async with own.call():
            inside.release()
            await release.wait()

    probes = [asyncio.create_task(probe()) for _ in range(2)]
    for _ in probes:
        await inside.acquire()
    with pytest.raises(Refusing):
        await succeed(own)
    release.set()
    await asyncio.gather(*probes)

    assert state(own) == "closed"


async def test_however_often_it_flaps_it_ends_closed(clock: Clock) -> None:
    own = breaker("flapping")

    for _ in range(50):
        for _ in range(3):
            await fail(own)
        assert state(own) == "open"
        clock.now += OPEN_S
        await succeed(own)
        await succeed(own)

    assert state(own) == "closed"
    assert REGISTRY.get_sample_value("headwater_circuit_breaker_opened_total", {"breaker": "flapping"}) == 50


async def test_a_cancelled_probe_leaves_room_for_the_next(clock: Clock) -> None:
    own, inside = breaker("cancelled"), asyncio.Event()
    for _ in range(3):
        await fail(own)

    async def hanging() -> None:
        async with own.call():
            inside.set()
            await asyncio.Event().wait()

    for _ in range(5):
        clock.now += OPEN_S
        inside.clear()
        task = asyncio.create_task(hanging())
        await inside.wait()
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
    clock.now += OPEN_S
    await succeed(own)
    await succeed(own)

    assert state(own) == "closed"


async def test_no_more_calls_are_under_way_than_the_bulkhead_holds() -> None:
    own, most, running = breaker("bulkhead", concurrency=3), 0, 0

    async def call() -> None:
        nonlocal most, running
        async with own.call():
            running += 1
            most = max(most, running)
            await asyncio.sleep(0)
            running -= 1

    await asyncio.gather(*(call() for _ in range(50)))

    assert most == 3


async def test_what_is_refused_costs_next_to_nothing_beside_a_call_that_times_out() -> None:
    own, patience = breaker("fast"), 0.2

    async def hang() -> None:
        async with own.call():
            await asyncio.Event().wait()

    began = perf_counter()
    for _ in range(3):
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(patience):
                await hang()
    slow = (perf_counter() - began) / 3
    took = []
    for _ in range(1000):
        began = perf_counter()
        with pytest.raises(Refusing):
            await hang()
        took.append(perf_counter() - began)

    assert sorted(took)[500] * 40 < slow  # 5 ms of 200


async def test_its_state_is_a_figure() -> None:
    own = breaker("figures")
    for _ in range(3):
        await fail(own)

    def value(state: str) -> float | None:
        return REGISTRY.get_sample_value("headwater_circuit_breaker_state", {"breaker": "figures", "state": state})

    assert [value(each) for each in ("closed", "half-open", "open")] == [0, 0, 1]
