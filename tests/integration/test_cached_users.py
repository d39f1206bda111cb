"""Users read through a cache, in several processes: nothing is ever older than what was written before the read began."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, fields
from datetime import UTC, datetime
from typing import Any
from uuid import UUID, uuid4

import httpx
import pytest
from pydantic import SecretStr
from redis import Redis

from bounded_contexts.identity.adapters.users_cached import CACHE, CachedUsers
from bounded_contexts.identity.domain.user import User, UserEvent
from headwater import wiring
from headwater.roles import checks, dispensable
from headwater.web import application
from headwater.wiring import House, identity_ports
from headwater.wiring_identity import users_of
from infra import redis_server as server_module
from infra.access_tokens import SharedKeyTokens
from infra.cache import Cache
from infra.feed import FeedRunner
from infra.health import Health
from tests.conftest import SECRET
from tests.contract.test_cache import reads
from tests.integration.conftest import client_of
from tests.probes import during, eventually
from tests.redis_server import RunningRedis, redis_server

pytestmark = pytest.mark.usefixtures("groups")


@dataclass(frozen=True, slots=True)
class Two:
    """Two web processes of one installation."""

    here: House
    there: House
    redis: RunningRedis | None

    def api(self, house: House, user: UUID, *roles: str) -> httpx.AsyncClient:
        return client_of(application(house, {"web"}, Health(("web",), {})), SharedKeyTokens(SECRET), user, roles)

    def both(self, user: UUID, *roles: str) -> tuple[httpx.AsyncClient, httpx.AsyncClient]:
        return self.api(self.here, user, *roles), self.api(self.there, user, *roles)

    async def ada(self) -> UUID:
        body = {"email": f"{uuid4().hex}@example.org", "name": "Ada Lovelace"}
        made = await self.api(self.here, uuid4(), "admin").post("/users", json=body)
        assert made.status_code == 201, made.text
        return UUID(made.json()["id"])


@asynccontextmanager
async def connected(settings: Any) -> AsyncIterator[House]:
    house = wiring.build(settings)
    await house.start()
    try:
        yield house
    finally:
        await house.close()


@pytest.fixture(scope="module", params=["in each process", "in Redis"])
async def two(request: pytest.FixtureRequest, web_house: House) -> AsyncIterator[Two]:
    with redis_server() as running, pytest.MonkeyPatch.context() as patch:
        patch.setattr(server_module, "TIMEOUT_S", 20)  # on a busy machine
        more = {}
        if request.param == "in Redis":
            await running.start()
            more = {"redis_url": SecretStr(running.url)}
        settings = web_house.settings.model_copy(update=more)
        async with connected(settings) as here, connected(settings) as there:
            yield Two(here, there, running if more else None)


async def seen(api: httpx.AsyncClient, user: UUID) -> tuple[int, str, str]:
    answer = await api.get(f"/users/{user}")
    return answer.status_code, answer.json().get("name", ""), answer.headers.get("etag", "")


async def test_what_one_process_has_written_every_process_reads(two: Two) -> None:
    ada = await two.ada()
    here, there = two.both(ada)
    for number in range(1, 6):
        name = f"Ada {number}"
        changed = await here.patch("/me", json={"name": name})
        answers = [await seen(api, ada) for api in (there, here, there)]

        assert answers == [(200, name, changed.headers["etag"])] * 3
        here, there = there, here


async def test_readers_in_a_crowd_see_what_was_written_before_they_asked(two: Two) -> None:
    ada = await two.ada()
    here, there = two.both(ada)
    for number in range(3):
        crowd = [asyncio.create_task(seen(api, ada)) for api in (here, there) for _ in range(10)]
        await here.patch("/me", json={"name": f"Ada {number}"})
        after = await asyncio.gather(*(seen(api, ada) for api in (here, there) for _ in range(10)))
        await asyncio.gather(*crowd)

        assert {name for _, name, _ in after} == {f"Ada {number}"}


async def test_what_was_read_is_a_version_to_build_on(two: Two) -> None:
    ada = await two.ada()
    here, there = two.both(ada)
    _, _, first = await seen(there, ada)
    await here.patch("/me", json={"name": "Countess"}, headers={"if-match": first})
    late = await there.patch("/me", json={"name": "Nobody"}, headers={"if-match": first})
    _, _, second = await seen(there, ada)
    again = await there.patch("/me", json={"name": "Ada King"}, headers={"if-match": second})

    assert (late.status_code, again.status_code) == (412, 200)


async def test_who_is_erased_is_gone_everywhere_at_once(two: Two) -> None:
    ada = await two.ada()
    here, there = two.both(uuid4(), "admin")
    before = [await seen(api, ada) for api in (here, there, here, there)]
    erased = await here.delete(f"/users/{ada}")

    assert [status for status, _, _ in before] == [200] * 4
    assert erased.status_code == 204
    assert [await seen(api, ada) for api in (there, here)] == [(404, "", "")] * 2


async def test_who_is_blocked_gets_no_token_by_another_process(two: Two) -> None:
    ada = await two.ada()
    here, there = two.both(uuid4(), "admin")
    await seen(there, ada)
    await here.post(f"/users/{ada}/block")
    state, _ = await identity_ports(two.there).current_users.of(ada)

    assert state.blocked_at


async def test_a_second_read_loads_no_events_and_one_of_the_past_leaves_the_cache_alone(two: Two) -> None:
    ada = await two.ada()
    here = two.api(two.here, ada)
    await seen(here, ada)
    before = reads(CACHE)
    again = await seen(here, ada)
    hit = reads(CACHE)
    now = datetime.now(UTC).isoformat()
    past = await here.get(f"/users/{ada}", params={"as_of": now})

    assert (hit["hit"] or 0) - (before["hit"] or 0) == 1
    assert again[1] == past.json()["name"] == "Ada Lovelace"
    assert reads(CACHE) == hit


async def test_the_users_own_events_evict_what_is_out_of_date(two: Two) -> None:
    ada = await two.ada()
    here, there = two.both(ada)
    runner = FeedRunner(two.there.current_users.feed, two.there.kafka, two.there.codec)
    async with during(runner.run()):
        await asyncio.wait_for(runner.ready.wait(), 60)
        await seen(there, ada)
        cache = two.there.current_users._cache

        async def kept() -> bytes | None:
            return await cache.get(str(ada), 1)

        assert await eventually(lambda: _refilled(there, ada, kept), until=bool)  # the registration is heard, too
        await here.patch("/me", json={"name": "Countess"})
        assert await eventually(kept, until=lambda found: found is None) is None


async def _refilled(api: httpx.AsyncClient, user: UUID, kept: Any) -> bytes | None:
    await seen(api, user)
    found: bytes | None = await kept()
    return found


class Held:
    """An event store that is held up between reading and answering."""

    def __init__(self, house: House) -> None:
        self._users = users_of(house.settings, house.databases["identity"], house.codec)
        self.read, self.go_on = asyncio.Event(), asyncio.Event()

    async def load(self, stream: UUID, as_of: datetime | None = None) -> tuple[Sequence[UserEvent], int]:
        found = await self._users.load(stream, as_of)
        self.read.set()
        await self.go_on.wait()
        return found

    async def append(self, stream: UUID, version: int, events: Sequence[UserEvent]) -> None:
        await self._users.append(stream, version, events)


async def test_a_slow_reader_that_puts_back_what_was_evicted_misleads_nobody(two: Two) -> None:
    ada = await two.ada()
    cache = two.here.current_users._cache
    held = Held(two.here)
    vault = two.here.current_users._vault
    slow = CachedUsers(two.here.databases["identity"], held, vault, cache)

    reading = asyncio.create_task(slow.of(ada))
    await asyncio.wait_for(held.read.wait(), 30)
    await two.api(two.there, ada).patch("/me", json={"name": "Countess"})
    await cache.evict(str(ada))
    held.go_on.set()
    old, _ = await reading

    assert old.name == "Ada Lovelace"
    assert await cache.get(str(ada), 1)  # it was put back
    assert (await two.here.current_users.of(ada))[0].name == "Countess"
    assert (await two.there.current_users.of(ada))[0].name == "Countess"


async def test_nothing_that_is_kept_can_be_read_or_passed_off_as_something_else(two: Two) -> None:
    ada, bob = await two.ada(), await two.ada()
    users = two.here.current_users
    cache: Cache = users._cache
    for user in (ada, bob):
        await users.of(user)
    of_ada, of_bob = [await cache.get(str(user), 1) for user in (ada, bob)]
    assert of_ada
    assert of_bob

    await cache.put(str(ada), 1, of_bob)
    await cache.put(str(bob), 1, b"short")
    answers = [await seen(two.api(two.here, user), user) for user in (ada, bob)]

    assert b"Ada" not in of_ada
    assert b"example" not in of_ada
    assert answers == [(200, "Ada Lovelace", '"1"')] * 2
    if two.redis:
        redis: Redis = two.redis.client()
        everything = b"".join([key + (redis.get(key) or b"") for key in redis.scan_iter()])
        assert b"Lovelace" not in everything


async def test_without_redis_users_are_read_and_the_process_is_ready(web_house: House) -> None:
    with redis_server() as running:  # nobody has started it
        settings = web_house.settings.model_copy(update={"redis_url": SecretStr(running.url)})
        async with connected(settings) as house:
            two = Two(house, house, None)
            ada = await two.ada()
            found = [await seen(two.api(house, ada), ada) for _ in range(2)]
            ready, report = await Health(("web",), checks(house), dispensable(house, {"web"})).ready()
            other = await Health(("relay",), checks(house), dispensable(house, {"relay"})).ready()

    assert found == [(200, "Ada Lovelace", '"1"')] * 2
    assert (ready, report["status"], report["checks"]["redis"]["ok"]) == (True, "degraded", False)
    assert "redis" not in other[1]["checks"]


def test_another_form_of_what_is_kept_has_another_name() -> None:
    """A process of the former release would read it as its own: count the name's number up when this changes."""
    assert {each.name: str(each.type) for each in fields(User)} == {
        "registered_at": "datetime.datetime | None",
        "email": "<class 'str'>",
        "name": "<class 'str'>",
        "is_verified": "<class 'bool'>",
        "was_verified": "<class 'bool'>",
        "has_second_factor": "<class 'bool'>",
        "roles": "frozenset[str]",
        "logins": "frozenset[uuid.UUID]",
        "blocked_at": "datetime.datetime | None",
        "erased_at": "datetime.datetime | None",
    }
    assert CACHE == "identity.user.1"
