"""How often somebody may ask, counted in a process, on a clock of the test's own. What else is promised: tests/contract."""

import pytest

from infra.rate_limit import Allowance, Quota, RateLimited, TokenBuckets, network_of
from tests.contract.test_rate_limit import passes
from tests.virtual_time import Clock


async def test_ten_seconds_worth_passes_at_once_and_then_so_many_a_minute() -> None:
    clock = Clock()
    limit = TokenBuckets("read", 60, now=clock)

    assert await passes(limit, "ann", 100) == 10
    clock.now += 3
    assert await passes(limit, "ann", 100) == 3
    clock.now += 3600
    assert await passes(limit, "ann", 100) == 10
    assert await passes(limit, "bob", 100) == 10


async def test_what_is_left_is_told() -> None:
    clock = Clock()
    limit = TokenBuckets("read", 60, now=clock)
    quota = Quota("read", at_once=10, window_s=10)

    assert await limit.take("ann") == Allowance(quota, remaining=9, reset_s=1)
    await passes(limit, "ann", 3)
    assert await limit.take("ann") == Allowance(quota, remaining=5, reset_s=5)
    await passes(limit, "ann", 100)
    clock.now += 2
    assert await limit.take("ann") == Allowance(quota, remaining=1, reset_s=9)


@pytest.mark.parametrize("per_minute", [20, 7, 6_000])
async def test_who_comes_back_when_told_passes(per_minute: int) -> None:
    clock = Clock()
    limit = TokenBuckets("read", per_minute, now=clock)
    assert await passes(limit, "ann", 2_000) == Quota.of("read", per_minute).at_once

    with pytest.raises(RateLimited) as told:
        await limit.take("ann")
    clock.now += told.value.retry_after_s

    assert await passes(limit, "ann", 1) == 1


@pytest.mark.parametrize(
    ("per_minute", "at_once", "window_s"),
    [(1, 1, 60), (6, 1, 10), (7, 1, 9), (20, 3, 9), (12, 2, 10), (6_000, 1_000, 10)],
)
def test_a_quota_is_ten_seconds_worth_and_one_at_least(per_minute: int, at_once: int, window_s: int) -> None:
    assert Quota.of("read", per_minute) == Quota("read", at_once, window_s)


async def test_no_more_keys_are_remembered_than_agreed_and_the_last_that_asked_are() -> None:
    limit = TokenBuckets("read", 1, keys=2, now=Clock())

    assert [await passes(limit, key, 1) for key in ("ann", "bob", "eve")] == [1, 1, 1]
    assert [await passes(limit, key, 1) for key in ("bob", "eve", "ann")] == [0, 0, 1]


@pytest.mark.parametrize(
    ("host", "network"),
    [
        ("192.0.2.7", "192.0.2.7"),
        ("2001:db8::1", "2001:db8::/64"),
        ("2001:db8::ffff:0:0:1", "2001:db8::/64"),
        ("2001:db8:0:1::1", "2001:db8:0:1::/64"),
        ("nonsense:", "nonsense:"),
        ("", ""),
    ],
)
def test_an_address_is_its_network(host: str, network: str) -> None:
    assert network_of(host) == network
