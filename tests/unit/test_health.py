"""Whether a process can do its work, as it says itself."""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

import httpx
import pytest
from fastapi import FastAPI

from infra import health as health_module
from infra.health import Health, StartupGate, health_routes
from infra.http import require_policies
from shared_kernel.errors import Unavailable


@dataclass
class Dependency:
    """Something that is up, away, or never answers."""

    state: str = "up"
    asked: int = 0

    async def check(self) -> None:
        self.asked += 1
        if self.state == "silent":
            await asyncio.Event().wait()
        if self.state == "away":
            raise Unavailable("database_unavailable", "postgresql://user:hunter2@host")


@asynccontextmanager
async def asking(health: Health) -> AsyncIterator[httpx.AsyncClient]:
    app = FastAPI()
    app.include_router(health_routes(health))
    require_policies(app)
    transport = httpx.ASGITransport(app=StartupGate(app, health))
    async with httpx.AsyncClient(transport=transport, base_url="http://test/health") as client:
        yield client


@pytest.fixture
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    """Time limits so short that tests need not wait for them."""
    monkeypatch.setattr(health_module, "TIMEOUT_S", 0.01)
    monkeypatch.setattr(health_module, "FRESH_S", -1.0)


@pytest.mark.parametrize("path", ["/ready", "http://test/health"])
async def test_a_process_whose_dependencies_answer_is_ready(path: str) -> None:
    async with asking(Health(("web", "relay"), {"kafka": Dependency().check})) as client:
        answer = await client.get(path)

    report = answer.json()
    assert (answer.status_code, report["status"], report["roles"]) == (200, "ok", ["web", "relay"])
    assert report["checks"]["kafka"]["ok"]
    assert report["checks"]["kafka"]["latency_ms"] >= 0


async def test_one_dependency_away_makes_it_unavailable_and_is_named_without_its_address() -> None:
    checks = {"kafka": Dependency().check, "postgres": Dependency("away").check}

    async with asking(Health((), checks)) as client:
        answer = await client.get("/ready")

    report = answer.json()
    assert (answer.status_code, report["status"]) == (503, "unavailable")
    assert report["checks"]["kafka"]["ok"]
    assert report["checks"]["postgres"] == {"ok": False, "error": "Unavailable"}
    assert "hunter2" not in answer.text


async def test_without_what_can_be_done_without_it_is_degraded_and_ready() -> None:
    cache = Dependency("away")

    async with asking(Health((), {"kafka": Dependency().check}, {"redis": cache.check})) as client:
        answer = await client.get("/ready")

    report = answer.json()
    assert (answer.status_code, report["status"]) == (200, "degraded")
    assert report["checks"]["redis"] == {"ok": False, "error": "Unavailable"}


async def test_what_is_needed_and_away_makes_it_unavailable_whatever_else_is_away() -> None:
    checks, dispensable = {"kafka": Dependency("away").check}, {"redis": Dependency("away").check}

    assert (await Health((), checks, dispensable).ready())[1]["status"] == "unavailable"


async def test_without_dependencies_it_is_ready() -> None:
    assert (await Health((), {}).ready())[0]


@pytest.mark.usefixtures("impatient")
async def test_a_dependency_that_does_not_answer_in_time_is_away() -> None:
    ok, report = await Health((), {"kafka": Dependency("silent").check}).ready()

    assert not ok
    assert report["checks"]["kafka"] == {"ok": False, "error": "TimeoutError"}


@pytest.mark.usefixtures("impatient")
async def test_dependencies_are_asked_side_by_side() -> None:
    together = asyncio.Barrier(3)

    async def check() -> None:
        await together.wait()

    assert (await Health((), dict.fromkeys("abc", check)).ready())[0]


async def test_probes_do_not_load_the_dependencies() -> None:
    dependency = Dependency()
    health = Health((), {"kafka": dependency.check})

    await asyncio.gather(*(health.ready() for _ in range(20)))

    assert dependency.asked == 1


@pytest.mark.usefixtures("impatient")
async def test_a_dependency_that_comes_back_is_seen() -> None:
    dependency = Dependency("away")
    health = Health((), {"kafka": dependency.check})
    before = (await health.ready())[0]

    dependency.state = "up"

    assert not before
    assert (await health.ready())[0]


async def test_a_stopping_process_takes_no_more_work_at_once_but_lives() -> None:
    health = Health((), {"kafka": Dependency().check})
    await health.ready()

    health.stopping = True

    async with asking(health) as client:
        ready, live = await client.get("/ready"), await client.get("/live")
    assert (ready.status_code, ready.json()["status"]) == (503, "stopping")
    assert (live.status_code, live.json()) == (200, {"status": "ok"})


async def test_a_process_that_cannot_work_lives() -> None:
    dependency = Dependency("away")

    async with asking(Health((), {"kafka": dependency.check})) as client:
        live = await client.get("/live")

    assert (live.status_code, dependency.asked) == (200, 0)


class TestStarting:
    async def test_a_process_that_has_not_connected_lives_and_does_nothing_else(self) -> None:
        async with asking(Health((), {}, started=False)) as client:
            live, ready, other = [await client.get(path) for path in ("/live", "/ready", "/other")]

        assert live.status_code == 200
        for answer in (ready, other):
            assert (answer.status_code, answer.json()["code"]) == (503, "starting")
            assert answer.headers["retry-after"] == "1"
            assert answer.headers["content-type"] == "application/problem+json"

    async def test_a_socket_is_told_to_try_again_later(self) -> None:
        said: list[Any] = []

        async def nothing() -> Any: ...

        async def send(message: Any) -> None:
            said.append(message)

        gate = StartupGate(FastAPI(), Health((), {}, started=False))
        await gate({"type": "websocket", "path": "/socket.io/"}, nothing, send)

        start, body = said
        assert (start["type"], start["status"]) == ("websocket.http.response.start", 503)
        assert (b"retry-after", b"1") in start["headers"]
        assert json.loads(body["body"])["code"] == "starting"
