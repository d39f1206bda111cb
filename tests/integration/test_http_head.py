"""HEAD as clients and caches ask it, over connections that are used again."""

from collections.abc import AsyncIterator
from uuid import uuid4

import httpx
import pytest

from headwater.wiring import House
from tests.integration.nodes import role_process, token

EVENTS = "/api/v1/events?channels=news"


@pytest.fixture(scope="module")
async def api(house: House) -> AsyncIterator[httpx.AsyncClient]:
    """Lend a client with a single connection."""
    limits = httpx.Limits(max_connections=1)
    async with (
        role_process(house.settings, "web", realtime_open_channels="news") as url,
        httpx.AsyncClient(base_url=url, limits=limits, timeout=20) as api,
    ):
        yield api


@pytest.mark.parametrize(
    "path", ["/health/live", "/api/v1/me", "/openapi.json", "/docs", "/unknown", "/socket.io/?x=1"]
)
async def test_head_is_get_without_a_body(api: httpx.AsyncClient, path: str) -> None:
    got, head = await api.get(path), await api.head(path)

    assert head.status_code == got.status_code
    assert head.content == b""
    for name in ("content-length", "content-type", "www-authenticate"):
        assert head.headers.get(name) == got.headers.get(name), name
    assert (await api.get("/health/live")).json()  # what follows on the connection is whole


async def test_who_asks_for_the_head_of_a_stream_does_not_wait_for_its_end(api: httpx.AsyncClient) -> None:
    head = await api.head(EVENTS, headers={"accept": "text/event-stream"})
    page = await api.head(EVENTS)

    assert (head.status_code, head.content) == (200, b"")
    assert head.headers["content-type"].startswith("text/event-stream")
    assert (page.status_code, page.headers["content-type"]) == (200, "application/json")


async def test_where_there_is_no_get_there_is_no_head(api: httpx.AsyncClient) -> None:
    login, me = await api.head("/api/v1/auth/login"), await api.post("/health/live")

    assert (login.status_code, login.headers["allow"], login.content) == (405, "POST", b"")
    assert (me.status_code, me.headers["allow"]) == (405, "GET, HEAD")
    assert (await api.options("/health/live")).headers["allow"] == "GET, HEAD"


async def test_heads_are_counted_as_reads(api: httpx.AsyncClient, house: House) -> None:
    headers = {"authorization": f"Bearer {token(house, uuid4())}"}
    head = await api.head("/api/v1/conversations", headers=headers)

    assert head.status_code == 200
    assert head.headers["ratelimit"].startswith('"read";')
