"""UI updates for who speaks no Socket.IO: server-sent events, pages, and the plain WebSockets of an older service."""

import asyncio
import json
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import Any
from uuid import uuid4

import httpx
import jwt
import pytest
import websockets

from bounded_contexts.realtime.adapters.channel_tokens import sealed
from bounded_contexts.realtime.adapters.connections_postgres import PostgresConnections
from headwater import wiring
from headwater.configured import shared_key_tokens
from headwater.settings import Settings
from headwater.web import application
from headwater.wiring import House
from infra.health import Health
from infra.opaque import OpaqueTokens
from tests.conftest import SECRET
from tests.integration.channels import OPEN, Publisher
from tests.integration.nodes import role_process, token
from tests.integration.test_realtime_ui import news
from tests.probes import eventually

PATH = "/api/v1/events"
STREAM = {"accept": "text/event-stream"}

process = partial(role_process, compat_routes=True, realtime_open_channels=",".join(OPEN))


@pytest.fixture
async def url(house: House) -> AsyncIterator[str]:
    async with process(house.settings, "web") as url:
        yield url


@pytest.fixture
def publisher(house: House) -> Publisher:
    return Publisher(house)


def signed_in(house: House) -> dict[str, str]:
    return {"authorization": f"Bearer {token(house, uuid4())}"}


def program_token(house: House, roles: list[str], scope: str) -> str:
    """Return a token that is limited to a scope."""
    secret = house.settings.jwt_hs256_secret
    assert secret
    claims: dict[str, Any] = {"sub": str(uuid4()), "roles": roles, "scope": scope}
    claims |= {"client_id": claims["sub"], "exp": datetime.now(UTC) + timedelta(minutes=1)}
    return jwt.encode(claims, secret.get_secret_value(), algorithm="HS256")


async def connections(url: str) -> float:
    """Return how many clients the process has let in."""
    async with httpx.AsyncClient(base_url=url) as api:
        metrics = (await api.get("/metrics")).text
    return float(metrics.split("\nheadwater_realtime_connections ")[1].split()[0])


class Stream:
    """Server-sent events as they come."""

    def __init__(self, answer: httpx.Response) -> None:
        self.answer = answer
        self._lines = answer.aiter_lines()
        self.last_id = ""

    async def take(self, name: str = "update") -> Any:
        """Return the data of the next event, which must have this name."""
        event: dict[str, str] = {}
        async with asyncio.timeout(60):
            async for line in self._lines:
                if not line and event:
                    break
                field, _, value = line.partition(": ")
                if field:
                    event[field] = value
        assert event["event"] == name
        self.last_id = event.get("id", self.last_id)
        return json.loads(event["data"])

    async def rest(self) -> list[str]:
        """Return the lines that come before the stream ends."""
        return [line async for line in self._lines if line]

    async def takes(self, *payloads: Any) -> None:
        assert [(await self.take())["data"]["payload"] for _ in payloads] == [*payloads]


@asynccontextmanager
async def streamed(url: str, channels: str, headers: dict[str, str], **query: str) -> AsyncIterator[Stream]:
    """Read a stream while the block lasts."""
    async with (
        httpx.AsyncClient(base_url=url, timeout=30) as api,
        api.stream("GET", PATH, params={"channels": channels, **query}, headers=STREAM | headers) as answer,
    ):
        if answer.status_code != 200:
            await answer.aread()
        yield Stream(answer)


async def test_a_stream_tells_private_updates_with_a_token_and_public_ones_without(
    house: House, url: str, publisher: Publisher
) -> None:
    channel = news()
    async with streamed(url, channel, signed_in(house)) as private, streamed(url, channel, {}) as public:
        for each in (private, public):
            assert (await each.take("channel.subscribed"))["resumed"] is False
            assert each.answer.headers["content-type"].startswith("text/event-stream")
        await publisher.say(channel, {"secret": "two\nlines"})
        await publisher.say(channel, "for all", is_public=True)
        await publisher.say(channel, "secret again")
        await private.takes({"secret": "two\nlines"}, "secret again")
        await public.takes("for all")


async def test_a_stream_goes_on_on_another_node_behind_the_last_event(
    house: House, settings: Settings, url: str, publisher: Publisher
) -> None:
    channel, who = news(), signed_in(house)
    async with streamed(url, channel, who) as first:
        await first.take("channel.subscribed")
        await publisher.numbers(channel, 2)
        await first.takes(0, 1)
    await publisher.numbers(channel, 3)
    async with process(settings) as other, streamed(other, channel, who | {"last-event-id": first.last_id}) as second:
        assert (await second.take("channel.subscribed"))["resumed"] is True
        await second.takes(2, 3, 4)
        await publisher.numbers(channel, 1)
        await second.takes(5)


async def test_pages_follow_each_other_without_a_gap_and_wait_for_what_comes(
    house: House, url: str, publisher: Publisher
) -> None:
    one, two = news(), news()
    async with httpx.AsyncClient(base_url=url, headers=signed_in(house), timeout=40) as api:

        async def page(**query: Any) -> dict[str, Any]:
            answer = await api.get(PATH, params={"channels": f"{one},{two}", **query})
            assert answer.status_code == 200, answer.text
            return dict(answer.json())

        first = await page()
        assert (first["updates"], first["resync"]) == ([], [])
        await asyncio.gather(publisher.numbers(one, 40), publisher.numbers(two, 40))
        heard: dict[str, list[int]] = {one: [], two: []}
        position = first["position"]

        async def all_heard() -> bool:
            nonlocal position
            found = await page(position=position)
            position = found["position"]
            for each in found["updates"]:
                heard[each["data"]["channel"]].append(each["data"]["payload"])
            return sum(map(len, heard.values())) >= 80

        await eventually(all_heard)
        assert heard == {one: list(range(40)), two: list(range(40))}
        waiting = asyncio.create_task(page(position=position, wait_s=30))
        await publisher.numbers(two, 1)
        assert [each["data"]["payload"] for each in (await waiting)["updates"]] == [40]
        assert [each["data"]["payload"] for each in (await page(position=first["position"]))["updates"]][:1] == [0]


async def test_who_may_not_hear_learns_why(house: House, url: str) -> None:
    orders, ann = f"orders.{uuid4().hex}", uuid4()
    bearer = {"authorization": f"Bearer {token(house, ann)}"}
    expired = shared_key_tokens(house.settings).issue(ann, lifetime=timedelta(minutes=-5))
    make = partial(sealed, OpaqueTokens(SECRET), ann)
    soon = datetime.now(UTC) + timedelta(minutes=1)
    both = {"x-channel-token": f"other={make('other', soon)}, {orders}={make(orders, soon)}"}
    for headers, query, status, code in (
        ({"authorization": f"Bearer {expired}"}, orders, 401, "token_expired"),
        (bearer, orders, 403, "forbidden_channel"),
        (bearer | {"x-channel-token": f"{orders}=nonsense"}, orders, 422, "invalid_channel_token"),
        (bearer | {"last-event-id": "nonsense"}, "news", 422, "invalid_stream_position"),
        (bearer, "a b", 422, "validation_failed"),
        (bearer, ",".join(f"news.{number}" for number in range(101)), 422, "too_many_channels"),
    ):
        for accept in ({}, STREAM):
            async with httpx.AsyncClient(base_url=url) as api:
                answer = await api.get(PATH, params={"channels": query}, headers=headers | accept)
            assert (answer.status_code, answer.json().get("code")) == (status, code)
            assert answer.json()["instance"] == PATH
            assert answer.json()["request_id"] == answer.headers["x-request-id"]
            assert ("www-authenticate" in answer.headers) == (status == 401)
    async with streamed(url, f"{orders},other", bearer | both) as allowed:
        assert (await allowed.take("channel.subscribed"))["channel"] == orders


async def test_a_channel_token_is_made_by_services_only(house: House, url: str) -> None:
    user, channel = uuid4(), f"orders.{uuid4().hex}"
    tokens = shared_key_tokens(house.settings)
    asked = {"user_id": str(user), "channel": channel}
    async with httpx.AsyncClient(base_url=url) as api:
        for roles in ((), ("admin",), ("service",)):
            answer = await api.post(
                "/api/v1/realtime/channel-tokens",
                json=asked,
                headers={"authorization": f"Bearer {tokens.issue(uuid4(), roles)}"},
            )
            assert (answer.status_code, answer.json()["code"]) == (403, "scope_missing")
        assert (await api.post("/api/v1/realtime/channel-tokens", json=asked)).status_code == 401
        for held, scope, code in (
            (["service"], "realtime:grant", None),
            (["service"], "realtime:grant:orders.*", None),
            (["service"], "realtime:grant:orders realtime:grant:news*", "channel_not_allowed"),
            (["service"], "messages:read", "scope_missing"),
            (["admin"], "realtime:grant", "scope_missing"),  # as an administrator's API key
        ):
            program = {"authorization": f"Bearer {program_token(house, held, scope)}"}
            answer = await api.post("/api/v1/realtime/channel-tokens", json=asked, headers=program)
            assert (answer.status_code, answer.json().get("code")) == (403 if code else 201, code), answer.text
            if code is None:
                granted = answer.json()["token"]
        theirs = {"authorization": f"Bearer {token(house, user)}", "x-channel-token": f"{channel}={granted}"}
        assert (await api.get(PATH, params={"channels": channel}, headers=theirs)).status_code == 200
        anothers = signed_in(house) | {"x-channel-token": f"{channel}={granted}"}
        refused = await api.get(PATH, params={"channels": channel}, headers=anothers)
        assert refused.json()["code"] == "invalid_channel_token"


async def test_a_stream_with_a_token_is_listed_and_ended_and_a_page_is_not(house: House, url: str) -> None:
    ann, opened = uuid4(), PostgresConnections(house.databases["realtime"])
    headers = {"authorization": f"Bearer {token(house, ann)}"}

    async def listed() -> int:
        return len(await opened.of_user(ann, 10))

    async with (
        httpx.AsyncClient(base_url=url, timeout=30, headers=headers) as api,
        streamed(url, "news", headers) as stream,
        websockets.connect(f"{url.replace('http', 'ws')}/ws?channel=news&token={token(house, ann)}"),
    ):
        await stream.take("channel.subscribed")
        page = asyncio.create_task(api.get(PATH, params={"channels": news(), "wait_s": 5}))
        assert await eventually(listed, until=lambda count: count >= 2) == 2
        assert (await page).status_code == 200
        assert await listed() == 2
        await opened.end(ann, None, "moved")
        assert await stream.take("session.revoked") == {"reason": "moved"}
        assert await stream.rest() == []
        await eventually(listed, until=lambda count: count == 0)


async def test_nobody_is_left_behind_when_streams_end(house: House, url: str) -> None:
    async with streamed(url, "news", {}) as first, streamed(url, "news", signed_in(house)) as second:
        for each in (first, second):
            await each.take("channel.subscribed")
        assert await connections(url) == 2
    await eventually(partial(connections, url), until=lambda count: count == 0)


async def test_a_node_that_stops_ends_its_streams(settings: Settings) -> None:
    async with process(settings) as stopping:
        reading = streamed(stopping, "news", {})
        stream = await reading.__aenter__()
        await stream.take("channel.subscribed")
    await stream.take("server.draining")
    await reading.__aexit__(None, None, None)


async def test_the_older_sockets_tell_payloads_as_they_were_published(
    house: House, url: str, publisher: Publisher
) -> None:
    channel, address = news(), url.replace("http", "ws")
    await_default = f"{address}/ws/public"
    async with (
        websockets.connect(f"{address}/ws/public?channel={channel}") as public,
        websockets.connect(f"{address}/ws?token={token(house, uuid4())}&channel={channel}") as private,
        websockets.connect(await_default) as default,
    ):
        await public.send("ignored")
        await publisher.say(channel, {"a": [1, 2]})
        await publisher.say(channel, {"b": "ü"}, is_public=True)
        await publisher.say("default", "to all", is_public=True)
        heard = [await asyncio.wait_for(each.recv(), 60) for each in (public, private, default)]
    assert [json.loads(each) for each in heard] == [{"b": "ü"}, {"a": [1, 2]}, "to all"]


@pytest.mark.parametrize(
    ("path", "headers", "status", "code"),
    [
        ("/ws?channel=news", {}, 401, "unauthenticated"),
        ("/ws?channel=orders&token=good", {}, 403, "forbidden_channel"),
        ("/ws/public?channel=a%20b", {}, 422, "validation_failed"),
        ("/ws/public", {"Origin": "https://evil.example"}, 403, "forbidden"),
    ],
)
async def test_the_older_sockets_say_why_they_refuse(
    house: House, url: str, path: str, headers: dict[str, str], status: int, code: str
) -> None:
    path = path.replace("good", token(house, uuid4()))
    with pytest.raises(websockets.exceptions.InvalidStatus) as refused:
        await websockets.connect(f"{url.replace('http', 'ws')}{path}", additional_headers=headers)

    response = refused.value.response
    assert (response.status_code, json.loads(response.body or b"{}")["code"]) == (status, code)


async def test_the_demo_is_a_page_of_its_own_in_development_alone(settings: Settings, url: str) -> None:
    async with httpx.AsyncClient(base_url=url) as api:
        page = await api.get("/demo")
    assert page.status_code == 200
    assert "script-src 'self'" in page.headers["content-security-policy"]
    assert "//" not in page.text
    production = application(
        wiring.build(settings.model_copy(update={"mode": "production"})), {"web"}, Health(("web",), {})
    )
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app=production), base_url="http://test") as api:
        assert (await api.get("/demo")).status_code == 404


async def test_a_stream_that_nobody_reads_is_cut_while_the_others_hear_all(
    house: House, url: str, publisher: Publisher
) -> None:
    channel, body = news(), "x" * 50_000
    address = httpx.URL(url)
    with socket.socket() as stuck:
        stuck.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        await asyncio.get_running_loop().run_in_executor(None, stuck.connect, (address.host, address.port))
        stuck.sendall(
            f"GET {PATH}?channels={channel} HTTP/1.1\r\nHost: x\r\nAccept: {STREAM['accept']}\r\n\r\n".encode()
        )
        async with streamed(url, channel, {}) as well:
            await well.take("channel.subscribed")
            await eventually(partial(connections, url), until=lambda count: count >= 2)
            for number in range(200):  # 10 MB, more than kernel and queue take in
                await publisher.say(channel, [number, body], is_public=True)
                assert (await well.take())["data"]["payload"][0] == number
            await eventually(partial(connections, url), until=lambda count: count == 1)
