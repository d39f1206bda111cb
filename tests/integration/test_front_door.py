"""What every answer of the public port carries, and how everything is."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any
from uuid import uuid4

import httpx
import pytest

from headwater import wiring
from headwater.overview import Everything
from headwater.roles import checks
from headwater.web import application
from headwater.wiring import SHAPE, House
from infra.access_tokens import SharedKeyTokens
from infra.health import Health
from tests.integration.conftest import client_of
from tests.probes import eventually

HERE = "https://app.example"
ASK = {"origin": HERE, "access-control-request-method": "PATCH", "access-control-request-headers": "authorization"}


@asynccontextmanager
async def browser(house: House, **settings: Any) -> AsyncIterator[httpx.AsyncClient]:
    app = application(wiring.build(house.settings.model_copy(update=settings)), {"web"}, Health(("web",), {}))
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app=app), base_url="https://test") as client:
        yield client


class TestHeaders:
    @pytest.mark.parametrize("path", ["/health/live", "/api/v1/me", "/nowhere"])
    async def test_browsers_are_told_to_do_nothing_with_an_answer(self, house: House, path: str) -> None:
        async with browser(house) as client:
            answer = await client.get(path)

        assert answer.headers["x-content-type-options"] == "nosniff"
        assert answer.headers["content-security-policy"] == "default-src 'none'; frame-ancestors 'none'"
        assert answer.headers["strict-transport-security"]

    async def test_the_documentation_may_run_its_own_scripts(self, house: House) -> None:
        async with browser(house) as client:
            answer = await client.get("/docs")

        assert "script-src 'self' 'unsafe-inline'" in answer.headers["content-security-policy"]

    async def test_what_is_left_of_the_limit_is_told_also_when_it_is_nothing(
        self, house: House, tokens: SharedKeyTokens
    ) -> None:
        built = wiring.build(house.settings.model_copy(update={"rate_limit_per_minute": 12}))
        app, user = application(built, {"web"}, Health(("web",), {})), uuid4()
        answers = [await client_of(app, tokens, user).get("/me/permissions") for _ in range(3)]

        assert [each.status_code for each in answers] == [200, 200, 429]
        assert [each.headers["ratelimit"] for each in answers] == [
            '"read";r=1;t=5',
            '"read";r=0;t=10',
            '"read";r=0;t=10',
        ]
        assert answers[0].headers["ratelimit-policy"] == '"read";q=2;w=10'


class TestBrowsersOfOthers:
    async def test_pages_that_are_listed_may_use_it(self, house: House) -> None:
        async with browser(house, cors_origins=f" {HERE}, https://other.example") as client:
            asked = await client.options("/api/v1/me", headers=ASK)
            got = await client.get("/api/v1/me", headers={"origin": HERE})

        assert asked.status_code == 200
        assert asked.headers["access-control-allow-origin"] == got.headers["access-control-allow-origin"] == HERE
        assert asked.headers["access-control-allow-credentials"] == "true"
        assert "ETag" in got.headers["access-control-expose-headers"]

    @pytest.mark.parametrize("origins", ["", "https://other.example"])
    async def test_others_may_not(self, house: House, origins: str) -> None:
        async with browser(house, cors_origins=origins) as client:
            asked = await client.options("/api/v1/me", headers=ASK)
            got = await client.get("/api/v1/me", headers={"origin": HERE})

        assert asked.status_code in (400, 405)
        assert "access-control-allow-origin" not in asked.headers
        assert "access-control-allow-origin" not in got.headers


class TestOverview:
    @pytest.mark.usefixtures("groups")
    async def test_every_server_and_role_is_named(self, web_house: House) -> None:
        everything = Everything(web_house, Health(("web",), checks(web_house)))

        async def missing() -> set[str]:
            services = (await everything.overview()).services
            # The database is every test's: another may have run sockets just now.
            return {name for name, each in services.items() if not each["ok"]} - {"realtime.delivery"}

        await eventually(missing, until=lambda found: found == {"audit.log"})  # which no process runs here
        found = await everything.overview()
        assert found.status == "degraded"
        assert found.dependencies.keys() == {"kafka", "postgres"}
        assert found.services.keys() == {*wiring.all_roles()}
        assert found.services["messaging.history"]["members"] == 1

    @pytest.mark.parametrize(("seconds", "status"), [(0.0, "ok"), (60.0, "degraded")])
    async def test_what_cannot_be_known_in_time_is_not_ok(
        self, seconds: float, status: str, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        class Idle(Everything):
            """A house in which all is well, as far as its database lets anybody know."""

            async def _groups(self) -> dict[str, dict[str, Any]]:
                return {"group": {"ok": True}}

            _gateways = _upstreams = _groups

            async def _relay(self) -> dict[str, dict[str, Any]]:
                await asyncio.sleep(seconds)
                return {}

        monkeypatch.setattr("headwater.overview.TIMEOUT_S", 0.2)
        found = await Idle(wiring.build(SHAPE), Health(("web",), {})).overview()

        assert found.status == status

    async def test_a_server_that_is_away_is_told_within_seconds(self) -> None:
        app = application(wiring.build(SHAPE), {"web"}, Health(("web",), checks(wiring.build(SHAPE))))
        async with httpx.AsyncClient(transport=httpx.ASGITransport(app=app), base_url="http://test") as client:
            answer = await client.get("/")

        assert (answer.status_code, answer.json()["status"]) == (503, "unavailable")
        assert not answer.json()["dependencies"]["postgres"]["ok"]
