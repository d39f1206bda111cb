"""How often somebody may ask: in a process and in Redis the same promises, and there for several processes together."""

import asyncio
from collections.abc import AsyncIterator, Callable
from uuid import uuid4

import httpx
import pytest
from pydantic import SecretStr
from structlog.testing import capture_logs

from headwater import wiring
from headwater.configured import shared_key_tokens
from headwater.web import application
from headwater.wiring import House
from infra import rate_limit
from infra import redis_server as server_module
from infra.health import Health
from infra.rate_limit import RateLimit, RateLimited, TokenBuckets
from infra.rate_limit_redis import SharedWindows
from infra.redis_server import RedisServer
from tests.integration.conftest import client_of
from tests.probes import eventually
from tests.redis_server import RunningRedis, redis_server

TOKENS = shared_key_tokens(wiring.SHAPE)
FEW = 12  # a minute: two at once, and after that none for as long as a test takes

Make = Callable[[int], RateLimit]


async def passes(limit: RateLimit, key: str, tries: int) -> int:
    """Return how many of so many requests, one after the other, pass."""
    return sum([await passed(limit, key) for _ in range(tries)])


async def passed(limit: RateLimit, key: str) -> bool:
    try:
        await limit.take(key)
    except RateLimited:
        return False
    return True


@pytest.fixture(scope="module")
async def running() -> AsyncIterator[RunningRedis]:
    with redis_server() as running:
        await running.start()
        yield running


@pytest.fixture
def patient(monkeypatch: pytest.MonkeyPatch) -> None:
    """A busy machine is no Redis that is away."""
    monkeypatch.setattr(server_module, "TIMEOUT_S", 20)
    monkeypatch.setattr(server_module, "LOOK_AGAIN_S", 0.05)


@pytest.fixture
async def server(running: RunningRedis, patient: None) -> AsyncIterator[RedisServer]:
    server = RedisServer(running.url)
    yield server
    await server.close()


class RateLimitContract:
    async def test_so_many_pass_at_once_and_no_more(self, make: Make) -> None:
        limit = make(FEW)

        assert [await passes(limit, key, 5) for key in ("ann", "bob")] == [2, 2]
        assert await passes(limit, "ann", 1) == 0

    async def test_of_many_side_by_side_no_more_pass(self, make: Make) -> None:
        limit = make(FEW)

        assert sum(await asyncio.gather(*(passed(limit, "ann") for _ in range(50)))) == 2

    async def test_what_is_left_is_told_also_with_a_refusal(self, make: Make) -> None:
        limit = make(FEW)
        left = [await limit.take("ann"), await limit.take("ann")]
        with pytest.raises(RateLimited) as refused:
            await limit.take("ann")
        left.append(refused.value.allowance)

        assert [each and each.remaining for each in left] == [1, 0, 0]
        assert [each and (each.quota.at_once, each.quota.window_s) for each in left] == [(2, 10)] * 3
        assert all(each and 1 <= each.reset_s <= 10 for each in left)
        assert 1 <= refused.value.retry_after_s <= 10

    async def test_a_costly_request_counts_whole_or_not_at_all(
        self, make: Make, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(rate_limit, "BURST_S", 3600)
        limit = make(1)

        async def left(cost: int) -> int:
            try:
                allowance = await limit.take("ann", cost)
            except RateLimited as refused:
                allowance = refused.allowance
            return allowance.remaining if allowance else -1

        assert [await left(cost) for cost in (57, 4, 61, 2, 2, 1, 1)] == [3, 3, 3, 1, 1, 0, 0]

    async def test_a_small_limit_lets_one_through(self, make: Make) -> None:
        assert await passes(make(1), "ann", 5) == 1

    async def test_who_comes_back_when_told_passes(self, make: Make, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(rate_limit, "BURST_S", 1)
        limit = make(120)

        async def asked_too_often() -> None:
            while True:
                await limit.take("ann")

        with pytest.raises(RateLimited) as told:
            await asked_too_often()
        await asyncio.sleep(told.value.retry_after_s)  # which is what is promised

        assert await passed(limit, "ann")


class TestTokenBuckets(RateLimitContract):
    @pytest.fixture
    def make(self) -> Make:
        return lambda per_minute: TokenBuckets("read", per_minute)


class TestSharedWindows(RateLimitContract):
    @pytest.fixture
    def make(self, server: RedisServer) -> Make:
        prefix = uuid4().hex
        return lambda per_minute: SharedWindows(server, prefix, "read", per_minute)

    async def test_several_processes_count_together(self, running: RunningRedis, server: RedisServer) -> None:
        other, prefix = RedisServer(running.url), uuid4().hex
        here, there = (SharedWindows(each, prefix, "read", FEW) for each in (server, other))
        together = [await passed(limit, "ann") for limit in (here, there, here, there)]
        with pytest.raises(RateLimited) as refused:
            await there.take("ann")
        await other.close()

        assert together == [True, True, False, False]
        assert 1 <= refused.value.retry_after_s <= 10

    async def test_classes_and_installations_are_counted_apart(self, server: RedisServer) -> None:
        prefix = uuid4().hex
        same, reads, others = (
            SharedWindows(server, prefix, "write", FEW),
            SharedWindows(server, prefix, "read", FEW),
            SharedWindows(server, f"{prefix}.", "write", FEW),
        )

        assert [await passes(limit, "ann", 5) for limit in (same, reads, others)] == [2, 2, 2]

    async def test_without_redis_each_process_counts_for_itself(self, patient: None) -> None:
        with redis_server() as running, capture_logs() as logged:
            await running.start()
            server, other = RedisServer(running.url), RedisServer(running.url)
            here, there = (SharedWindows(each, "", "read", FEW) for each in (server, other))
            before = [await passed(limit, "ann") for limit in (here, there, here)]
            running.kill()
            alone = [await passes(limit, "ann", 5) for limit in (here, there)]
            await running.start()

            async def back() -> bool:
                await asyncio.gather(server.check(), other.check())
                return True

            await eventually(lambda: _tried(back))
            again = [await passed(limit, "bob") for limit in (here, there, here, there)]
            await asyncio.gather(server.close(), other.close())

        assert before == [True, True, False]
        assert alone == [2, 2]
        assert again == [True, True, False, False]
        assert sorted(each["event"] for each in logged) == ["redis.away", "redis.away", "redis.back", "redis.back"]


async def _tried(ask: Callable[[], object]) -> bool:
    try:
        await ask()  # type: ignore[misc]
    except server_module.RedisAway:
        return False
    return True


class TestProcesses:
    """Two web processes, of which nothing is asked but who asks."""

    @pytest.fixture
    async def houses(self, running: RunningRedis, patient: None) -> AsyncIterator[list[House]]:
        settings = wiring.SHAPE.model_copy(
            update={
                "redis_url": SecretStr(running.url),
                "topic_prefix": uuid4().hex,
                "rate_limit_per_minute": FEW,
                "rate_limit_write_per_minute": 6,
                "rate_limit_auth_per_minute": 18,
            }
        )
        houses = [wiring.build(settings) for _ in range(2)]
        yield houses
        for house in houses:
            assert house.redis
            await house.redis.close()

    async def test_a_user_has_one_allowance_for_all_of_them(self, houses: list[House]) -> None:
        user, path = uuid4(), "/me/permissions"
        here, there = (client_of(application(each, {"web"}, Health(("web",), {})), TOKENS, user) for each in houses)
        answers = [await api.get(path) for api in (here, there, here, there)]

        assert [each.status_code for each in answers] == [200, 200, 429, 429]
        assert [each.headers["ratelimit"].split(";")[:2] for each in answers] == [
            ['"read"', "r=1"],
            ['"read"', "r=0"],
            ['"read"', "r=0"],
            ['"read"', "r=0"],
        ]
        assert 1 <= int(answers[3].headers["retry-after"]) <= 10

    async def test_each_class_has_its_own(self, houses: list[House]) -> None:
        user = uuid4()
        here, there = (client_of(application(each, {"web"}, Health(("web",), {})), TOKENS, user) for each in houses)
        nobody: list[httpx.AsyncClient] = [
            client_of(application(each, {"web"}, Health(("web",), {})), TOKENS, None) for each in houses
        ]
        writes = [await api.post("/messages", json={}) for api in (here, there)]
        reads = [await api.get("/me/permissions") for api in (here, there)]
        unknown = [await api.get("/me") for api in (*nobody, *nobody)]

        assert [each.status_code for each in writes] == [422, 429]
        assert [each.status_code for each in reads] == [200, 200]
        assert [each.status_code for each in unknown] == [401, 401, 401, 429]
