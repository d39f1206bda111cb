"""Webhooks: what is told of changes, when it is tried again, and where requests may go."""

import asyncio
import base64
import socket
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import msgspec
import pytest

from bounded_contexts.realtime.application.subscriptions import Channel
from bounded_contexts.realtime.application.webhooks import (
    GIVEN_UP,
    LONGEST_WAIT_S,
    SETTLES,
    Change,
    Endpoint,
    Standing,
    body_of,
    of_changes,
    settle,
    subject_of,
    wait_s,
)
from infra.outgoing import ANSWER_BYTES, Outgoing, checked_url, is_public
from infra.webhooks import signature
from tests.integration.gateways import answer, upstream
from tests.integration.gateways import body_of as body_read

NOW = datetime(2026, 1, 1, tzinfo=UTC)
NEWS = "channel:news"


def test_a_change_is_told_once_it_has_lasted() -> None:
    noticed = settle([Standing(NEWS, is_here=True, is_told=False, differs_since=None)], NOW)
    early = settle([Standing(NEWS, is_here=True, is_told=False, differs_since=NOW)], NOW + SETTLES / 2)
    lasting = settle([Standing(NEWS, is_here=True, is_told=False, differs_since=NOW)], NOW + SETTLES)

    assert (noticed.changes, early.changes) == ([], [])
    assert noticed.kept == [Standing(NEWS, is_here=True, is_told=False, differs_since=NOW)]
    assert lasting.changes == [Change(NEWS, is_here=True, at=NOW)]
    assert lasting.kept == [Standing(NEWS, is_here=True, is_told=True, differs_since=None)]


def test_who_is_back_in_time_never_left_and_who_leaves_in_time_never_came() -> None:
    back = settle([Standing(NEWS, is_here=True, is_told=True, differs_since=NOW)], NOW + SETTLES)
    gone = settle([Standing(NEWS, is_here=False, is_told=False, differs_since=NOW)], NOW + SETTLES)

    assert (back.changes, gone.changes) == ([], [])
    assert back.kept == [Standing(NEWS, is_here=True, is_told=True, differs_since=None)]
    assert gone.forgotten == [NEWS]


def test_what_has_left_is_told_and_forgotten() -> None:
    left = settle([Standing(NEWS, is_here=False, is_told=True, differs_since=NOW)], NOW + SETTLES)

    assert left.changes == [Change(NEWS, is_here=False, at=NOW)]
    assert (left.kept, left.forgotten) == ([], [NEWS])


def test_an_endpoint_is_told_of_its_kinds_and_channels() -> None:
    user = f"user:{UUID(int=1)}"
    changes = [
        Change(subject, is_here, NOW)
        for subject in (NEWS, "public:news", "channel:orders/1", "channel:user:1", user)
        for is_here in (True, False)
    ]
    endpoint = Endpoint(UUID(int=2), "https://example.org", ("channel.occupied", "user.disconnected"), ("news",), NOW)

    told = [msgspec.json.decode(body_of(change)) for _, change in of_changes([endpoint], changes)]

    assert told == [
        {"type": "channel.occupied", "timestamp": NOW.isoformat(), "data": {"channel": "news", "public": False}},
        {"type": "channel.occupied", "timestamp": NOW.isoformat(), "data": {"channel": "news", "public": True}},
        {"type": "user.disconnected", "timestamp": NOW.isoformat(), "data": {"user_id": str(UUID(int=1))}},
    ]


def test_a_channel_named_like_a_user_is_no_user() -> None:
    name = f"user:{UUID(int=1)}"

    assert subject_of(Channel(name, is_public=False)) == f"channel:{name}"
    assert '"channel.vacated"' in body_of(Change(f"channel:{name}", is_here=False, at=NOW))


def test_attempts_become_rarer_and_end_after_a_day() -> None:
    longest = [wait_s(attempts, 1) for attempts in range(1, 40)]
    shortest = [wait_s(attempts, 0) for attempts in range(1, 40)]
    times = sum(1 for _ in takes_until(GIVEN_UP, longest))

    assert longest[:3] == [5, 10, 20]
    assert longest[-1] == LONGEST_WAIT_S == wait_s(10_000, 1)
    assert shortest == [each / 2 for each in longest]
    assert 20 < times < 40


def takes_until(limit: timedelta, waits: list[float]) -> list[float]:
    return [wait for place, wait in enumerate(waits) if sum(waits[: place + 1]) < limit.total_seconds()]


def test_the_signature_is_that_of_the_standards_example() -> None:
    secret = base64.b64decode("plJ3nmyCDGBKInavdOK15jsl")
    signed = b'msg_loFOjxBNrRLzqYUf.1731705121.{"event_type":"ping","data":{"success":true}}'

    assert signature(secret, signed) == "v1,rAvfW3dJ/X/qxhsaXPOyyCGmRKsaKWcsNccKXlIktD0="


@pytest.mark.parametrize(
    "address",
    [
        "0.0.0.0",  # noqa: S104 – not bound
        "10.0.0.1",
        "100.64.0.1",
        "127.0.0.1",
        "169.254.169.254",
        "172.16.0.1",
        "192.168.0.1",
        "198.18.0.1",
        "224.0.0.1",
        "240.0.0.1",
        "255.255.255.255",
        "::",
        "::1",
        "::127.0.0.1",
        "::ffff:127.0.0.1",
        "::ffff:169.254.169.254",
        "64:ff9b::10.0.0.1",
        "2002:7f00:1::",
        "fc00::1",
        "fe80::1",
        "fe80::1%1",
        "fec0::1",
        "ff02::1",
        "2001:db8::1",
    ],
)
def test_addresses_that_only_we_reach_are_not_public(address: str) -> None:
    assert not is_public(address)


@pytest.mark.parametrize("address", ["1.1.1.1", "2606:4700:4700::1111", "::ffff:1.1.1.1", "64:ff9b::1.1.1.1"])
def test_addresses_that_everybody_reaches_are_public(address: str) -> None:
    assert is_public(address)


@pytest.mark.parametrize(
    "url",
    [
        "http://example.org/",
        "ftp://example.org/",
        "https:///path",
        "https://somebody:secret@example.org/",
        "https://example.org/#part",
        "https://example.org:99999/",
        "https://example.org/a b",
        "https://exämple.org/",
        "https://127.0.0.1/",
        "https://[::1]/",
        "https://[::ffff:10.0.0.1]/",
        "https://169.254.169.254/latest/meta-data",
        f"https://example.org/{'x' * 2_000}",
    ],
)
def test_urls_that_are_not_asked_are_refused(url: str) -> None:
    with pytest.raises(ValueError, match=r"."):
        checked_url(url, private=False)


def test_https_urls_are_asked_and_in_development_those_of_our_own_machine() -> None:
    assert checked_url("https://example.org:8443/hooks?x=1", private=False)
    assert checked_url("http://127.0.0.1:8080/", private=True)


async def posted(outgoing: Outgoing, url: str) -> str | None:
    async with outgoing.session() as session:
        return await outgoing.post(session, url, b"{}", {})


@pytest.mark.parametrize("host", ["localhost", "2130706433", "0x7f000001", "127.1"])
async def test_a_name_of_our_own_machine_is_not_connected_to(host: str) -> None:
    refused = ("not a public address", "InvalidUrlClientError")  # by the library, which takes digits for an address

    assert await posted(Outgoing(private=False), f"https://{host}:9/") in refused


async def test_an_answer_of_the_name_server_that_changes_is_looked_at_when_connecting(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    answers = [["1.1.1.1"], ["127.0.0.1"], ["::ffff:127.0.0.1", "169.254.169.254"]]
    asked: list[Any] = []
    loop = asyncio.get_running_loop()

    async def changing(host: str, port: int, **_: Any) -> list[Any]:
        found = answers[len(asked)]
        asked.append(host)
        kinds = [socket.AF_INET6 if ":" in each else socket.AF_INET for each in found]
        return [
            (kind, socket.SOCK_STREAM, 6, "", (each, port) if kind == socket.AF_INET else (each, port, 0, 0))
            for kind, each in zip(kinds, found, strict=True)
        ]

    monkeypatch.setattr(loop, "getaddrinfo", changing)
    first = await loop.getaddrinfo("rebound.example.org", 443)  # what a look beforehand would have found
    outcomes = [await posted(Outgoing(private=False), "https://rebound.example.org/") for _ in range(2)]

    assert first[0][4] == ("1.1.1.1", 443)
    assert outcomes == ["not a public address"] * 2
    assert len(asked) == 3


async def test_redirects_are_not_followed_and_long_answers_not_read() -> None:
    async def handle(seen: Any, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await body_read(seen, reader)
        if seen.target == "/moved":
            writer.write(answer(b"", b"location: /taken", status=b"302 Found"))
        elif seen.target == "/long":
            writer.write(b"HTTP/1.1 200 OK\r\ncontent-length: 1000000000\r\n\r\n" + b"x" * ANSWER_BYTES)
        else:
            writer.write(answer(b"", status=b"204 No Content"))

    outgoing = Outgoing(private=True)
    async with upstream(handle) as receiver:
        outcomes = [await posted(outgoing, f"{receiver.url}{path}") for path in ("/moved", "/long", "/taken")]

        assert outcomes == ["HTTP 302", None, None]
        assert [seen.target for seen in receiver.requests] == ["/moved", "/long", "/taken"]


async def test_who_cannot_be_connected_to_is_told_from_who_may_not_be() -> None:
    closed = socket.create_server(("127.0.0.1", 0))
    port = closed.getsockname()[1]
    closed.close()

    assert await posted(Outgoing(private=True), f"http://127.0.0.1:{port}/") == "could not connect"
