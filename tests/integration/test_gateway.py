"""One public port in front of processes elsewhere: what goes through, what does not, and what a client is told."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from uuid import uuid4

import httpx
import pytest

from headwater import wiring
from headwater.configured import shared_key_tokens
from headwater.settings import SettingsError
from headwater.wiring import SHAPE
from infra.server import LimitedHttp
from tests.integration.gateways import Seen, Upstream, answer, body_of, public, upstream
from tests.probes import eventually

MESSAGES = "/api/v1/messages"
CONVERT = "/api/v1/documents/convert"
SIGNED_IN = {"authorization": f"Bearer {shared_key_tokens(SHAPE).issue(uuid4())}"}
FORWARDED = ("forwarded", "x-forwarded-for", "x-forwarded-proto", "x-forwarded-host")


async def echo(seen: Seen, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    body = await body_of(seen, reader)
    writer.write(answer(body if seen.method != "HEAD" else b"", b"x-seen: " + seen.method.encode()))


@asynccontextmanager
async def client(port: int) -> AsyncIterator[httpx.AsyncClient]:
    async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{port}", timeout=30) as api:
        yield api


@pytest.fixture(scope="module")
async def front() -> AsyncIterator[tuple[Upstream, int]]:
    """An upstream of messaging, and the public port before it."""
    async with upstream(echo) as there, public({"messaging": there.url}) as port:
        yield there, port


@pytest.fixture
def there(front: tuple[Upstream, int]) -> Upstream:
    """The upstream, as new."""
    front[0].handle = echo
    front[0].requests = []
    return front[0]


@pytest.fixture
def port(front: tuple[Upstream, int]) -> int:
    return front[1]


@pytest.fixture
async def api(port: int) -> AsyncIterator[httpx.AsyncClient]:
    async with client(port) as api:
        yield api


class TestRequests:
    @pytest.mark.parametrize("method", ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"])
    async def test_every_method_goes_through_also_those_that_the_route_has_not(
        self, api: httpx.AsyncClient, there: Upstream, method: str
    ) -> None:
        found = await api.request(method, f"{MESSAGES}?a=%2F&b", content=b"text" if method != "HEAD" else None)

        assert (found.status_code, found.headers["x-seen"]) == (200, method)
        assert [(each.method, each.target) for each in there.requests] == [(method, f"{MESSAGES}?a=%2F&b")]
        assert found.content == (b"" if method == "HEAD" else b"text")

    async def test_headers_of_one_hop_stay_there_and_those_that_connection_lists(
        self, api: httpx.AsyncClient, there: Upstream
    ) -> None:
        async def answering(seen: Seen, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            more = (b"connection: x-inner, keep-alive", b"x-inner: 1", b"keep-alive: timeout=9", b"x-outer: 2")
            writer.write(answer(b"", *more, b"set-cookie: a=1", b"set-cookie: b=2", b"x-request-id: theirs"))

        sent = {"connection": "x-inner, TE", "x-inner": "1", "te": "trailers", "keep-alive": "9", "x-outer": "2"}
        there.handle = answering
        found = await api.get(MESSAGES, headers=sent | {"x-request-id": "mine", "traceparent": "00-ab-cd-01"})

        (seen,) = there.requests
        assert not any(seen.all(name) for name in ("x-inner", "te", "keep-alive", "upgrade"))
        assert (seen["x-outer"], seen["x-request-id"], seen["traceparent"]) == ("2", "mine", "00-ab-cd-01")
        assert seen["via"].startswith("1.1 headwater-")
        assert not {"x-inner", "keep-alive"} & found.headers.keys()
        assert found.headers["x-outer"] == "2"
        assert found.headers.get_list("set-cookie") == ["a=1", "b=2"]
        assert found.headers.get_list("x-request-id") == ["mine"]
        assert len(found.headers.get_list("date")) == len(found.headers.get_list("content-security-policy")) == 1

    async def test_the_upstream_hears_of_the_client_from_us_alone(self) -> None:
        lies = {"x-forwarded-for": "6.6.6.6", "forwarded": "for=6.6.6.6", "x-forwarded-host": "evil.example"}
        async with (
            upstream(echo) as there,
            public({"messaging": there.url}, trusted_proxies="") as port,
            client(port) as api,
        ):
            await api.get(MESSAGES, headers=lies | {"x-forwarded-proto": "https", "host": "app.example"})

        (seen,) = there.requests
        assert seen["host"] == seen["x-forwarded-host"] == "app.example"
        assert [seen[name] for name in FORWARDED[:3]] == [
            'for="127.0.0.1";host="app.example";proto=http',
            "127.0.0.1",
            "http",
        ]

    async def test_a_trusted_proxy_in_front_is_believed(self) -> None:
        told = {"x-forwarded-for": "6.6.6.6, 10.1.2.3", "x-forwarded-proto": "https", "x-forwarded-host": "app.example"}
        networks = "127.0.0.1, 10.0.0.0/8"
        async with (
            upstream(echo) as there,
            public({"messaging": there.url}, trusted_proxies=networks) as port,
            client(port) as api,
        ):
            await api.get(MESSAGES, headers=told)

        (seen,) = there.requests
        assert [seen[name] for name in FORWARDED] == [
            'for="6.6.6.6";host="app.example";proto=https',
            "6.6.6.6",
            "https",
            "app.example",
        ]

    async def test_limits_behind_a_gateway_count_the_clients_own_address(self) -> None:
        async with public(rate_limit_auth_per_minute=12) as role:
            upstreams = {"messaging": f"http://127.0.0.1:{role}"}
            async with public(upstreams) as port, client(port) as api:
                found = [
                    (await api.get(f"{MESSAGES}/{uuid4()}", headers={"x-forwarded-for": address})).status_code
                    for address in ("1.1.1.1", "1.1.1.1", "1.1.1.1", "2.2.2.2")
                ]

        assert found == [401, 401, 429, 401]

    async def test_what_others_offer_is_answered_here(self, api: httpx.AsyncClient, there: Upstream) -> None:
        found = [await api.get(path) for path in ("/api/v1/me", "/nowhere", "/health/live", f"{MESSAGES}/nothing")]

        assert [each.status_code for each in found] == [401, 404, 200, 404]
        assert there.requests == []

    async def test_the_documents_and_figures_know_the_forwarded_routes(self) -> None:
        async with (
            upstream(echo) as there,
            public({"messaging": there.url}, mode="development") as port,
            client(port) as api,
        ):
            await api.get(f"{MESSAGES}")
            document = (await api.get("/openapi.json")).json()
            figures = (await api.get("/metrics")).text

        assert MESSAGES in document["paths"]
        assert f'http_requests_total{{method="GET",route="{MESSAGES}",status_code="200"}}' in figures


class TestBodies:
    async def test_a_client_that_waits_to_go_on_is_told_here(self, port: int, there: Upstream) -> None:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(
            f"POST {MESSAGES} HTTP/1.1\r\nhost: x\r\nexpect: 100-continue\r\ncontent-length: 3\r\n\r\n".encode()
        )
        told = await asyncio.wait_for(reader.readuntil(b"\r\n\r\n"), 60)
        writer.write(b"abc")
        found = await asyncio.wait_for(reader.readuntil(b"abc"), 60)
        writer.close()

        assert told.startswith(b"HTTP/1.1 100 ")
        assert found.startswith(b"HTTP/1.1 200 ")
        assert there.requests[0].all("expect") == []

    async def test_a_request_is_passed_on_piece_by_piece(self, port: int, there: Upstream) -> None:
        heard = asyncio.Event()

        async def reading(seen: Seen, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            assert await reader.readline() == b"3\r\n"
            assert await reader.readexactly(5) == b"one\r\n"
            heard.set()
            assert await body_of(seen, reader) == b"two"
            writer.write(answer(b"done"))

        there.handle = reading
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(f"POST {MESSAGES} HTTP/1.1\r\nhost: x\r\ntransfer-encoding: chunked\r\n\r\n".encode())
        writer.write(b"3\r\none\r\n")
        await asyncio.wait_for(heard.wait(), 60)  # before the rest is there
        writer.write(b"3\r\ntwo\r\n0\r\n\r\n")
        found = await asyncio.wait_for(reader.readuntil(b"done"), 60)
        writer.close()

        assert found.startswith(b"HTTP/1.1 200 ")
        assert there.requests[0].all("content-length") == []

    async def test_an_answer_is_passed_on_piece_by_piece(self, api: httpx.AsyncClient, there: Upstream) -> None:
        go_on = asyncio.Event()

        async def telling(_: Seen, __: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            writer.write(b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n")
            writer.write(b"9\r\ndata: 1\n\n\r\n")
            await go_on.wait()
            writer.write(b"9\r\ndata: 2\n\n\r\n0\r\n\r\n")

        there.handle = telling
        async with api.stream("GET", MESSAGES) as found:
            pieces = found.aiter_raw()
            assert await asyncio.wait_for(anext(pieces), 60) == b"data: 1\n\n"
            go_on.set()
            assert await asyncio.wait_for(anext(pieces), 60) == b"data: 2\n\n"
            assert found.headers["content-type"] == "text/event-stream"

    async def test_a_client_that_does_not_read_slows_the_upstream_down(self) -> None:
        sent = 0
        size = 64 << 20

        async def pouring(_: Seen, __: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            nonlocal sent
            writer.write(b"HTTP/1.1 200 OK\r\ncontent-length: %d\r\n\r\n" % size)
            while sent < size:
                writer.write(b"x" * 65_536)
                await writer.drain()
                sent += 65_536

        async with upstream(pouring) as there, public({"messaging": there.url}) as port:
            _, writer = await asyncio.open_connection("127.0.0.1", port, limit=1024)
            writer.write(f"GET {MESSAGES} HTTP/1.1\r\nhost: x\r\n\r\n".encode())
            stood = -1

            async def stands() -> bool:
                nonlocal stood
                before, stood = stood, sent
                return sent > 0 and before == sent

            await eventually(stands, every=0.5)
            assert sent < size // 2  # what the system's buffers take, not what there is
            writer.close()

            async def gone() -> bool:
                return there.left == 1

            await eventually(gone)  # the client's leaving ends the upstream's request

    async def test_an_upload_that_breaks_off_is_not_made_whole(self) -> None:
        ends: list[bytes] = []

        async def reading(_: Seen, reader: asyncio.StreamReader, __: asyncio.StreamWriter) -> None:
            ends.append(await reader.read())

        async with upstream(reading) as there, public({"messaging": there.url}) as port:
            _, writer = await asyncio.open_connection("127.0.0.1", port)
            writer.write(
                f"POST {MESSAGES} HTTP/1.1\r\nhost: x\r\ntransfer-encoding: chunked\r\n\r\n3\r\none\r\n".encode()
            )

            async def begun() -> bool:
                return bool(there.requests)

            await eventually(begun)
            writer.close()

            async def ended() -> bool:
                return bool(ends)

            await eventually(ended)

        assert ends == [b"3\r\none\r\n"]

    async def test_a_body_beyond_the_limit_is_refused_as_in_one_process(
        self, api: httpx.AsyncClient, there: Upstream
    ) -> None:
        unknown = await api.post(MESSAGES, content=b"x" * 100_000)
        large = await api.post(MESSAGES, content=b"x" * (2 << 20))

        assert [(each.status_code, each.json()["code"]) for each in (unknown, large)] == [
            (401, "unauthenticated"),
            (413, "payload_too_large"),
        ]
        assert all(each.target == MESSAGES for each in there.requests)


class TestLargeBodies:
    async def test_come_for_as_long_as_they_do(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(LimitedHttp, "body_s", 0.2)
        piece, count = b"x" * 65_536, 40

        async def slow() -> AsyncIterator[bytes]:
            for _ in range(count):
                yield piece
                await asyncio.sleep(0.02)

        async def counting(seen: Seen, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            writer.write(answer(b"%d" % len(await body_of(seen, reader))))

        async with (
            upstream(counting) as there,
            public({"documents": there.url}, upstream_answer_timeout=0.2) as port,
            client(port) as api,
        ):
            found = await api.post(CONVERT, content=slow(), headers=SIGNED_IN)

        assert (found.status_code, found.text) == (200, str(count * len(piece)))


class TestFailures:
    async def test_nobody_there_is_a_bad_gateway_until_somebody_is(self) -> None:
        async with upstream(echo) as there:
            url, port_there = there.url, int(there.url.rsplit(":", 1)[1])
        async with public({"messaging": url}) as port, client(port) as api:
            away = await api.post(MESSAGES, content=b"{}")
            back = Upstream(echo)
            await back.start(port_there)
            there_again = await api.post(MESSAGES, content=b"{}")
            await back.stop()

        assert (away.status_code, away.json()["code"], away.json()["instance"]) == (502, "bad_gateway", MESSAGES)
        assert away.headers["content-type"] == "application/problem+json"
        assert url not in away.text
        assert there_again.status_code == 200

    async def test_the_next_process_is_asked_when_one_is_away(self) -> None:
        async with upstream(echo) as gone:
            pass
        async with (
            upstream(echo) as there,
            public({"messaging": f"{gone.url},{there.url}"}) as port,
            client(port) as api,
        ):
            found = [(await api.post(MESSAGES, content=b"{}")).status_code for _ in range(4)]

        assert found == [200] * 4

    async def test_one_that_does_not_answer_is_a_gateway_timeout(self) -> None:
        async def silent(*_: object) -> None:
            await asyncio.Event().wait()

        async with (
            upstream(silent) as there,
            public({"messaging": there.url}, upstream_answer_timeout=0.2) as port,
            client(port) as api,
        ):
            found = await api.get(MESSAGES)

        assert (found.status_code, found.json()["code"]) == (504, "gateway_timeout")

    @pytest.mark.parametrize(
        "said", [b"", b"HTTP/1.1 200 OK\r\ncontent-le", b"nonsense\r\n\r\n", b"HTTP/1.1 101 X\r\n\r\n"]
    )
    async def test_one_that_breaks_off_before_it_answers_is_a_bad_gateway_and_a_command_is_not_sent_twice(
        self, api: httpx.AsyncClient, there: Upstream, said: bytes
    ) -> None:
        async def hanging_up(_: Seen, __: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            writer.write(said)
            writer.close()

        there.handle = hanging_up
        found = await api.post(MESSAGES)

        assert (found.status_code, found.json()["code"]) == (502, "bad_gateway")
        assert len(there.requests) == 1

    @pytest.mark.parametrize(
        "head",
        [b"content-length: 10\r\n\r\nhalf", b"transfer-encoding: chunked\r\n\r\n4\r\nhalf\r\n"],
        ids=["length", "chunked"],
    )
    async def test_an_answer_that_breaks_off_never_looks_whole(
        self, api: httpx.AsyncClient, there: Upstream, head: bytes
    ) -> None:
        async def cut(_: Seen, __: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            writer.write(b"HTTP/1.1 200 OK\r\n" + head)
            await writer.drain()
            writer.close()

        there.handle = cut
        with pytest.raises(httpx.RemoteProtocolError):
            await api.get(MESSAGES)

    async def test_an_answer_that_falls_silent_is_broken_off(self) -> None:
        async def falling_silent(_: Seen, __: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            writer.write(b"HTTP/1.1 200 OK\r\ncontent-length: 10\r\n\r\nhalf")
            await writer.drain()
            await asyncio.Event().wait()

        async with (
            upstream(falling_silent) as there,
            public({"messaging": there.url}, upstream_answer_timeout=0.5) as port,
            client(port) as api,
        ):
            with pytest.raises(httpx.RemoteProtocolError):
                await api.get(MESSAGES)

    async def test_a_client_that_leaves_takes_its_request_with_it(self) -> None:
        async def waiting(_: Seen, reader: asyncio.StreamReader, __: asyncio.StreamWriter) -> None:
            await reader.read()

        async with upstream(waiting) as there, public({"messaging": there.url}) as port:
            _, writer = await asyncio.open_connection("127.0.0.1", port)
            writer.write(f"GET {MESSAGES} HTTP/1.1\r\nhost: x\r\n\r\n".encode())

            async def asked() -> bool:
                return len(there.requests) == 1

            async def left() -> bool:
                return there.left == 1

            await eventually(asked)
            writer.close()
            await eventually(left)

    async def test_connections_are_kept_and_a_stale_one_is_replaced_where_that_is_safe(self) -> None:
        async def once_more(seen: Seen, _: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            if flaky.connections == 1 and len(flaky.requests) == 3:
                writer.close()  # the third request meets a connection that ends
            else:
                writer.write(answer(seen.method.encode()))

        async with upstream(once_more) as flaky, public({"messaging": flaky.url}) as port, client(port) as api:
            found = [(await api.get(MESSAGES)).status_code for _ in range(3)]

        assert found == [200, 200, 200]
        assert flaky.connections == 2
        assert len(flaky.requests) == 4

    async def test_a_process_that_forwards_to_itself_says_so(self, api: httpx.AsyncClient, there: Upstream) -> None:
        await api.get(MESSAGES)
        (seen,) = there.requests
        found = await api.get(MESSAGES, headers={"via": f"1.1 proxy,{seen['via']},2 other"})

        assert (found.status_code, found.json()["code"]) == (502, "bad_gateway")
        assert there.requests == [seen]

    @pytest.mark.parametrize("via", ["1.1 headwater", "1.1 headwater.example", "1.1 headwater-0123456789abcdef"])
    async def test_another_of_a_like_name_is_no_circle(self, api: httpx.AsyncClient, via: str) -> None:
        assert (await api.get(MESSAGES, headers={"via": via})).status_code == 200

    async def test_two_silent_upstreams_take_no_longer_than_one(self) -> None:
        async def silent(*_: object) -> None:
            await asyncio.Event().wait()

        async with (
            upstream(silent) as there,
            public({"messaging": there.url, "notifications": there.url}) as port,
            client(port) as api,
        ):
            services = (await api.get("/")).json()["services"]

        assert [services[f"upstream.{context}"]["ok"] for context in ("messaging", "notifications")] == [False] * 2


def test_an_upstream_of_a_context_that_there_is_not_is_refused() -> None:
    with pytest.raises(SettingsError, match="HEADWATER_UPSTREAM_BILLING: there is no such context"):
        wiring.build(SHAPE.model_copy(update={"upstreams": {"billing": "http://x"}}))
