"""How often somebody may ask, on a clock of the test's own."""

import pytest

from infra.rate_limit import Allowance, RateLimit, RateLimited, network_of


class Clock:
    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


def passes(limit: RateLimit, key: str, tries: int) -> int:
    """Return how many of so many requests at once pass."""
    passed = 0
    for _ in range(tries):
        try:
            limit.take(key)
            passed += 1
        except RateLimited:
            pass
    return passed


def test_ten_seconds_worth_passes_at_once_and_then_so_many_a_minute() -> None:
    clock = Clock()
    limit = RateLimit(60, now=clock)

    assert passes(limit, "ann", 100) == 10
    clock.now += 3
    assert passes(limit, "ann", 100) == 3
    clock.now += 3600
    assert passes(limit, "ann", 100) == 10
    assert passes(limit, "bob", 100) == 10


def test_what_is_left_is_told() -> None:
    clock = Clock()
    limit = RateLimit(60, now=clock)

    assert limit.left("ann") == Allowance(at_once=10, remaining=10, reset_s=0)
    passes(limit, "ann", 4)
    assert limit.left("ann") == Allowance(at_once=10, remaining=6, reset_s=4)
    passes(limit, "ann", 100)
    clock.now += 2
    assert limit.left("ann") == Allowance(at_once=10, remaining=2, reset_s=8)
    assert RateLimit(0).left("ann") is None


def test_who_comes_back_when_told_passes() -> None:
    clock = Clock()
    limit = RateLimit(20, now=clock)
    passes(limit, "ann", 100)

    with pytest.raises(RateLimited) as told:
        limit.take("ann")
    clock.now += told.value.retry_after_s

    assert passes(limit, "ann", 1) == 1


def test_a_small_limit_lets_one_through() -> None:
    assert passes(RateLimit(1, now=Clock()), "ann", 5) == 1


def test_no_limit_is_none() -> None:
    assert passes(RateLimit(0, now=Clock()), "ann", 10_000) == 10_000


def test_no_more_keys_are_remembered_than_agreed_and_the_last_that_asked_are() -> None:
    limit = RateLimit(1, keys=2, now=Clock())

    assert [passes(limit, key, 1) for key in ("ann", "bob", "eve")] == [1, 1, 1]
    assert [passes(limit, key, 1) for key in ("bob", "eve", "ann")] == [0, 0, 1]


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
