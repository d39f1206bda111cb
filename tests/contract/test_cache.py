"""Port `Cache`: in the process and on a Redis the same promises; and what becomes of a Redis that is away, slow or full."""

import asyncio
from collections.abc import AsyncIterator, Callable
from datetime import timedelta
from pathlib import Path

import pytest
import trustme
from prometheus_client import REGISTRY
from redis import Redis
from structlog.testing import capture_logs

from infra import redis_server as server_module
from infra.cache import EACH, Cache, MemoryCache
from infra.cache_redis import RedisCache
from infra.local.ports import free_port
from infra.redis_server import RedisAway, RedisServer
from tests.probes import eventually
from tests.redis_server import RunningRedis, redis_server

FOR_LONG = timedelta(minutes=5)

Make = Callable[[str, timedelta], Cache]


@pytest.fixture(scope="module")
async def running() -> AsyncIterator[RunningRedis]:
    with redis_server() as running:
        await running.start()
        yield running


@pytest.fixture
async def server(running: RunningRedis, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[RedisServer]:
    monkeypatch.setattr(server_module, "TIMEOUT_S", 20)  # on a busy machine
    server = RedisServer(running.url)
    yield server
    await server.close()


@pytest.fixture
def name(request: pytest.FixtureRequest) -> str:
    return str(request.node.nodeid)


class CacheContract:
    async def test_what_was_put_is_found(self, make: Make, name: str) -> None:
        cache = make(name, FOR_LONG)
        await cache.put("ann", 1, b"\0\xff" * 1000)
        await cache.put("bob", 2, b"")

        assert await cache.get("ann", 1) == b"\0\xff" * 1000
        assert await cache.get("bob", 2) == b""
        assert await cache.get("eve", 1) is None

    @pytest.mark.parametrize("other", [0, 1, 3, 258])
    async def test_it_is_no_answer_for_another_version(self, make: Make, name: str, other: int) -> None:
        cache = make(name, FOR_LONG)
        await cache.put("ann", 2, b"2")

        assert await cache.get("ann", other) is None

    async def test_what_is_put_last_stays(self, make: Make, name: str) -> None:
        cache = make(name, FOR_LONG)
        await cache.put("ann", 1, b"1")
        await cache.put("ann", 2, b"2")

        assert (await cache.get("ann", 1), await cache.get("ann", 2)) == (None, b"2")

    async def test_an_old_one_that_comes_late_is_no_answer_for_the_new(self, make: Make, name: str) -> None:
        cache = make(name, FOR_LONG)
        await cache.put("ann", 2, b"2")
        await cache.evict("ann")
        await cache.put("ann", 1, b"1")

        assert await cache.get("ann", 2) is None

    async def test_what_was_evicted_is_gone_and_nothing_else(self, make: Make, name: str) -> None:
        cache = make(name, FOR_LONG)
        await cache.put("ann", 1, b"1")
        await cache.put("bob", 1, b"1")
        await cache.evict("ann")
        await cache.evict("nobody")

        assert (await cache.get("ann", 1), await cache.get("bob", 1)) == (None, b"1")

    async def test_its_time_is_over_some_time(self, make: Make, name: str) -> None:
        cache = make(name, timedelta(milliseconds=30))
        await cache.put("ann", 1, b"1")

        async def gone() -> bool:
            return await cache.get("ann", 1) is None

        assert await eventually(gone)

    async def test_caches_of_other_names_stand_apart(self, make: Make, name: str) -> None:
        await make(name, FOR_LONG).put("ann", 1, b"1")

        assert await make(f"{name}.other", FOR_LONG).get("ann", 1) is None

    async def test_reads_are_counted(self, make: Make, name: str) -> None:
        cache = make(name, FOR_LONG)
        await cache.put("ann", 1, b"1")
        for version in (1, 1, 2):
            await cache.get("ann", version)

        assert reads(name) == {"hit": 2, "miss": 1, "error": 0}


def reads(name: str) -> dict[str, float | None]:
    return {
        outcome: REGISTRY.get_sample_value("headwater_cache_reads_total", {"cache": name, "outcome": outcome})
        for outcome in ("hit", "miss", "error")
    }


class TestMemoryCache(CacheContract):
    @pytest.fixture
    def make(self) -> Make:
        return MemoryCache

    async def test_no_more_are_kept_than_agreed_and_the_last_that_were_read_are(self, name: str) -> None:
        cache = MemoryCache(name, FOR_LONG, entries=2)
        await cache.put("ann", 1, b"1")
        await cache.put("bob", 1, b"1")
        await cache.get("ann", 1)
        await cache.put("eve", 1, b"1")

        assert [await cache.get(key, 1) for key in ("ann", "bob", "eve")] == [b"1", None, b"1"]

    async def test_no_more_bytes_are_kept_than_agreed(self, name: str) -> None:
        cache = MemoryCache(name, FOR_LONG, size=2 * EACH + 1000)
        for _ in range(3):  # in place of itself it takes no more
            await cache.put("ann", 1, b"x" * 400)
        await cache.put("bob", 1, b"x" * 400)
        both = [await cache.get(key, 1) for key in ("ann", "bob")]
        await cache.put("eve", 1, b"x" * 400)

        assert None not in both
        assert await cache.get("ann", 1) is None
        assert await cache.get("eve", 1)

    async def test_what_is_larger_than_all_of_it_is_not_kept(self, name: str) -> None:
        cache = MemoryCache(name, FOR_LONG, size=1000)
        await cache.put("ann", 1, b"x" * 1001)
        await cache.put("bob", 1, b"1")

        assert (await cache.get("ann", 1), await cache.get("bob", 1)) == (None, b"1")


class TestRedisCache(CacheContract):
    @pytest.fixture
    def make(self, server: RedisServer) -> Make:
        return lambda name, lifetime: RedisCache(server, "", name, lifetime)

    async def test_what_one_process_has_put_another_finds_of_the_same_installation(
        self, running: RunningRedis, server: RedisServer, name: str
    ) -> None:
        other = RedisServer(running.url)
        await RedisCache(server, "a.", name, FOR_LONG).put("ann", 1, b"1")

        assert await RedisCache(other, "a.", name, FOR_LONG).get("ann", 1) == b"1"
        assert await RedisCache(other, "b.", name, FOR_LONG).get("ann", 1) is None
        await other.close()


class Trouble:
    """A server of its own that holds something, and a cache on it."""

    def __init__(self, running: RunningRedis, name: str) -> None:
        self.running = running
        self.server = RedisServer(running.url)
        self.name = name
        self.cache = RedisCache(self.server, "", name, FOR_LONG)

    async def asked(self, times: int = 100) -> set[bytes | None]:
        """Return what so many reads find, side by side and one after the other."""
        together = await asyncio.gather(*(self.cache.get("ann", 1) for _ in range(times)))
        return {*together, *[await self.cache.get("ann", 1) for _ in range(times)]}

    async def is_back(self) -> None:
        async def back() -> bool:
            await self.cache.put("ann", 1, b"1")
            return await self.cache.get("ann", 1) == b"1"

        assert await eventually(back)


@pytest.fixture
async def trouble(name: str, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Trouble]:
    monkeypatch.setattr(server_module, "TIMEOUT_S", 20)  # a busy machine is no Redis that is away
    monkeypatch.setattr(server_module, "LOOK_AGAIN_S", 0.05)
    with redis_server() as running:
        await running.start()
        trouble = Trouble(running, name)
        await trouble.is_back()
        yield trouble
        await trouble.server.close()


async def test_one_that_is_away_is_done_without_and_told_once(trouble: Trouble) -> None:
    with capture_logs() as logged:
        trouble.running.kill()
        found = await trouble.asked()
        with pytest.raises(RedisAway):
            await trouble.server.check()
        await trouble.running.start()
        await trouble.is_back()

    assert found == {None}
    assert [each["event"] for each in logged] == ["redis.away", "redis.back"]
    assert (reads(trouble.name)["error"] or 0) >= 200
    await trouble.server.check()


async def test_one_that_says_nothing_holds_nobody_up(trouble: Trouble, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(server_module, "TIMEOUT_S", 1)
    impatient = Trouble(trouble.running, trouble.name)
    trouble.running.stop_answering()
    with capture_logs() as logged:
        async with asyncio.timeout(60):  # 100 reads that each wait take 100 s
            found = await impatient.asked()
    trouble.running.go_on()
    await impatient.is_back()
    await impatient.server.close()

    assert found == {None}
    assert [each["event"] for each in logged] == ["redis.away"]


async def test_one_that_is_full_counts_as_away_until_there_is_room(trouble: Trouble) -> None:
    admin: Redis = trouble.running.client()
    with capture_logs() as logged:
        admin.config_set("maxmemory", "1")
        await trouble.cache.put("bob", 1, b"1")  # which a full one refuses, though it answers reads
        found = await trouble.asked()
        admin.config_set("maxmemory", "0")
        await trouble.is_back()

    assert found == {None}
    assert [each["event"] for each in logged] == ["redis.away", "redis.back"]


async def test_a_wrong_password_is_told_without_it(running: RunningRedis) -> None:
    server = RedisServer(running.url.replace("//", "//nobody:hunter2@"))
    with capture_logs() as logged, pytest.raises(RedisAway):
        await server.check()
    await server.close()

    assert [each["event"] for each in logged] == ["redis.away"]
    assert "hunter2" not in str(logged)


async def test_one_behind_tls_is_used_if_its_authority_is_known(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(server_module, "TIMEOUT_S", 20)
    monkeypatch.setattr(server_module, "CONNECT_TIMEOUT_S", 20)
    authority, certificate, key, own = trustme.CA(), tmp_path / "c.pem", tmp_path / "k.pem", tmp_path / "ca.pem"
    issued = authority.issue_cert("127.0.0.1")
    issued.cert_chain_pems[0].write_to_path(certificate)
    issued.private_key_pem.write_to_path(key)
    authority.cert_pem.write_to_path(own)
    port = free_port()
    files = ("--tls-cert-file", str(certificate), "--tls-key-file", str(key), "--tls-auth-clients", "no")
    with redis_server() as running:
        await running.start("--tls-port", str(port), *files)
        knowing, strange = (RedisServer(f"rediss://127.0.0.1:{port}", file) for file in (own, None))

        await knowing.check()
        with capture_logs() as logged, pytest.raises(RedisAway):
            await strange.check()
        await asyncio.gather(knowing.close(), strange.close())

    assert "CERTIFICATE_VERIFY_FAILED" in logged[0]["detail"]
