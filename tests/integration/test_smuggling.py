"""Requests that two servers in a row could read differently: refused at the public port, in one process and before another."""

import asyncio
from collections.abc import AsyncIterator

import pytest

from tests.integration.gateways import Seen, Upstream, answer, body_of, public, raw, upstream

PATH = b"/api/v1/messages"
SECOND = b"GET " + PATH + b"?smuggled HTTP/1.1\r\nhost: x\r\n\r\n"


def post(*lines: bytes, body: bytes = b"") -> bytes:
    return b"\r\n".join([b"POST " + PATH + b" HTTP/1.1", b"host: x", *lines, b"", body])


def get(target: bytes, *lines: bytes) -> bytes:
    return b"\r\n".join([b"GET " + target + b" HTTP/1.1", b"host: x", *lines, b"", b""])


AMBIGUOUS = {
    "length and chunked": post(b"content-length: 6", b"transfer-encoding: chunked", body=b"0\r\n\r\nX"),
    "chunked and length": post(b"transfer-encoding: chunked", b"content-length: 6", body=b"0\r\n\r\nX"),
    "two lengths that differ": post(b"content-length: 1", b"content-length: 5", body=b"aaaaa"),
    "one length twice": post(b"content-length: 5", b"content-length: 5", body=b"aaaaa"),
    "a list of lengths": post(b"content-length: 5, 5", body=b"aaaaa"),
    "a signed length": post(b"content-length: +5", body=b"aaaaa"),
    "a length in hexadecimal": post(b"content-length: 0x5", body=b"aaaaa"),
    "a length below zero": post(b"content-length: -1"),
    "a length with words": post(b"content-length: 5 5", body=b"aaaaa"),
    "no coding known": post(b"transfer-encoding: xchunked", body=b"0\r\n\r\n"),
    "chunked, identity": post(b"transfer-encoding: chunked, identity", body=b"0\r\n\r\n"),
    "identity": post(b"transfer-encoding: identity", body=b"0\r\n\r\n"),
    "chunked twice": post(b"transfer-encoding: chunked", b"transfer-encoding: chunked", body=b"0\r\n\r\n"),
    "chunked in quotes": post(b'transfer-encoding: "chunked"', body=b"0\r\n\r\n"),
    "chunked behind a tab": post(b"transfer-encoding:\x0bchunked", body=b"0\r\n\r\n"),
    "obs-fold": post(b"content-length:", b" 5", body=b"aaaaa"),
    "obs-fold of a coding": post(b"transfer-encoding:", b"\tchunked", body=b"0\r\n\r\n"),
    "obs-fold of anything": post(b"x: a", b" b", b"content-length: 0"),
    "space before the colon": post(b"content-length : 5", body=b"aaaaa"),
    "space before the colon of a coding": post(b"transfer-encoding : chunked", body=b"0\r\n\r\n"),
    "a name with a space": post(b"x y: 1"),
    "a name of no length": post(b": 1"),
    "a line without a colon": post(b"nonsense"),
    "bare LF after a header": b"POST " + PATH + b" HTTP/1.1\nhost: x\ncontent-length: 0\n\n",
    "bare LF between headers": post(b"x: 1\ny: 2"),
    "CR in a value": post(b"x: a\rb"),
    "CR that ends a line": post(b"x: a\rtransfer-encoding: chunked", body=b"0\r\n\r\n"),
    "NUL in a value": post(b"x: a\x00b"),
    "a chunk's size with a sign": post(b"transfer-encoding: chunked", body=b"+1\r\na\r\n0\r\n\r\n"),
    "a chunk's size with 0x": post(b"transfer-encoding: chunked", body=b"0x1\r\na\r\n0\r\n\r\n"),
    "a chunk's size that overflows": post(
        b"transfer-encoding: chunked", body=b"1" + b"0" * 16 + b"1\r\na\r\n0\r\n\r\n"
    ),
    "a chunk longer than its size": post(b"transfer-encoding: chunked", body=b"1\r\nab\r\n0\r\n\r\n"),
    "bare LF after a chunk's size": post(b"transfer-encoding: chunked", body=b"1\na\r\n0\r\n\r\n"),
    "bare CR in an extension": post(b"transfer-encoding: chunked", body=b"1;a\rb\r\na\r\n0\r\n\r\n"),
    "trailers without end": post(b"transfer-encoding: chunked", body=b"0\r\n" + b"x: " + b"a" * 100_000 + b"\r\n\r\n"),
    "HTTP/1.0 with a coding": b"POST " + PATH + b" HTTP/1.0\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\n",
    "no host": b"GET " + PATH + b" HTTP/1.1\r\n\r\n",
    "two hosts": get(PATH, b"host: y"),
    "a host that is none": b"GET " + PATH + b" HTTP/1.1\r\nhost: x/y@z\r\n\r\n",
    "a host with a port that is none": b"GET " + PATH + b" HTTP/1.1\r\nhost: x:99999\r\n\r\n",
    "a host with an address that is none": b"GET " + PATH + b" HTTP/1.1\r\nhost: [1.2]\r\n\r\n",
    "HTTP/1.2": b"GET " + PATH + b" HTTP/1.2\r\nhost: x\r\n\r\n",
    "HTTP/2 by its preface": b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
    "absolute form": get(b"http://other.example" + PATH),
    "absolute form of another scheme": get(b"ftp://other.example" + PATH),
    "authority form": get(b"other.example:80"),
    "CONNECT": b"CONNECT other.example:443 HTTP/1.1\r\nhost: other.example:443\r\n\r\n",
    "CONNECT to a path": b"CONNECT " + PATH + b" HTTP/1.1\r\nhost: x\r\n\r\n",
    "asterisk form": get(b"*"),
    "dots": get(b"/api/v1/me/../messages"),
    "dots, encoded": get(b"/api/v1/me/%2e%2E/messages"),
    "dots behind a parameter": get(b"/api/v1/me/..;/messages"),
    "a dot": get(b"/api/v1/./messages"),
    "an encoded slash": get(b"/api/v1%2fmessages"),
    "an encoded backslash": get(b"/api/v1/me%5c..%5cmessages"),
    "a backslash": get(b"/api/v1\\messages"),
    "two slashes": get(b"//api/v1/messages"),
    "an encoded NUL": get(PATH + b"%00"),
    "an encoded line": get(PATH + b"%0d%0ax:%201"),
    "no encoding": get(PATH + b"%zz"),
    "a fragment": get(b"/api/v1/me#/../messages"),
}


async def taking(seen: Seen, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    writer.write(answer(str(len(await body_of(seen, reader))).encode()))


async def refusing(_: Seen, __: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    writer.write(answer(b"not here", status=b"403 Forbidden"))


async def echo(_: Seen, __: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    writer.write(answer(b"from there"))


@pytest.fixture(scope="module")
async def elsewhere() -> AsyncIterator[tuple[Upstream, int]]:
    async with upstream(echo) as there, public({"messaging": there.url}) as port:
        yield there, port


@pytest.fixture(scope="module")
async def here() -> AsyncIterator[int]:
    async with public() as port:
        yield port


@pytest.mark.parametrize("request_", AMBIGUOUS.values(), ids=AMBIGUOUS.keys())
async def test_it_is_refused_and_what_follows_is_no_request(
    elsewhere: tuple[Upstream, int], here: int, request_: bytes
) -> None:
    there, port = elsewhere
    there.requests.clear()

    for at in (port, here):
        found = await raw(at, request_ + SECOND)
        assert found.startswith((b"HTTP/1.1 400 ", b"HTTP/1.1 431 ")) or not found, (at == here, found)
        assert found.count(b"HTTP/1.1 ") <= 1, (at == here, found)
    assert there.requests == []


@pytest.mark.parametrize(
    "piece", [b"a" * 1000, b"a\r\na\r\n1;" + b"a" * 900], ids=["one without end", "many that are large"]
)
async def test_extensions_of_chunks_have_a_limit(elsewhere: tuple[Upstream, int], piece: bytes) -> None:
    there, port = elsewhere
    there.requests.clear()

    found = await raw(port, post(b"transfer-encoding: chunked", body=b"1;"), *[piece] * 200)

    assert b"HTTP/1.1 400 " in found or not found
    assert b"HTTP/1.1 200 " not in found


async def test_small_chunks_are_no_extensions(elsewhere: tuple[Upstream, int]) -> None:
    there, port = elsewhere
    there.handle = taking

    pieces = [b"1\r\na\r\n" * 1000] * 30
    found = await raw(port, post(b"connection: close", b"transfer-encoding: chunked"), *pieces, b"0\r\n\r\n")

    assert found.endswith(b"30000")


@pytest.mark.parametrize("line", [b"connection: close", b"connection: Upgrade\r\nupgrade: h2c"], ids=["close", "h2c"])
async def test_nothing_is_read_behind_the_last_request_of_a_connection(
    elsewhere: tuple[Upstream, int], line: bytes
) -> None:
    there, port = elsewhere
    there.handle = echo
    there.requests.clear()

    found = await raw(port, get(PATH, line) + SECOND)

    assert found.count(b"HTTP/1.1 ") == 1
    (seen,) = there.requests
    assert not seen.all("upgrade")


def handshake(version: bytes) -> bytes:
    return get(
        b"/socket.io/?EIO=4&transport=websocket",
        b"connection: Upgrade",
        b"upgrade: websocket",
        b"sec-websocket-version: " + version,
        b"sec-websocket-key: bm90IHZlcnkgcmFuZG9tIQ==",
    )


@pytest.mark.parametrize("version", [b"13", b"777"])
async def test_nothing_is_read_behind_a_handshake_that_is_refused(
    elsewhere: tuple[Upstream, int], version: bytes
) -> None:
    there, _ = elsewhere
    there.handle = refusing
    there.requests.clear()
    async with public({"realtime": there.url, "messaging": there.url}) as port:
        found = await raw(port, handshake(version) + SECOND)

    assert found.count(b"HTTP/1.1 ") == 1
    assert found.startswith(b"HTTP/1.1 403 " if version == b"13" else b"HTTP/1.1 400 ")
    assert not any("smuggled" in each.target for each in there.requests)


@pytest.mark.parametrize("host", [b"x:99999", b"[1.2]", b"[::1]:0", b""])
async def test_a_socket_at_a_host_that_nobody_can_connect_to_is_a_bad_request(
    elsewhere: tuple[Upstream, int], host: bytes
) -> None:
    there, _ = elsewhere
    there.handle = refusing
    there.requests.clear()
    async with public({"realtime": there.url}) as port:
        asked = handshake(b"13").replace(b"host: x", b"host: " + host)
        found = await raw(port, asked)

    assert found.startswith(b"HTTP/1.1 400 "), found
    assert there.requests == []


async def test_a_body_that_looks_like_a_request_stays_a_body(elsewhere: tuple[Upstream, int]) -> None:
    there, port = elsewhere
    there.handle = taking
    there.requests.clear()

    body = post(b"content-length: %d" % len(SECOND), body=SECOND)
    found = await raw(port, body, get(PATH, b"connection: close"))

    assert found.count(b"HTTP/1.1 200 ") == 2
    assert [each.target for each in there.requests] == [PATH.decode()] * 2
