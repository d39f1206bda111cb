"""The routes of an older UI service, which take tokens of the time."""

import base64
import hashlib
import hmac
import time
from collections.abc import AsyncIterator, Callable
from datetime import UTC, datetime
from uuid import uuid4

import httpx
import pytest
from pydantic import SecretStr
from structlog.testing import capture_logs

from bounded_contexts.realtime.application.time_tokens import TimeTokens
from headwater import wiring
from headwater.web import application
from headwater.wiring import House
from infra.health import Health
from schemas.realtime.events import UiUpdatePublished
from shared_kernel.events import Event
from tests.integration.conftest import house_of_its_own
from tests.integration.test_publishing import on_topic
from tests.servers import Servers

SECRET, WINDOW_S = "your-time-token-secret", 60
VECTOR = "NTY2NjY2NjY6ZGNEQXh3VzBfSzFqYU1MaXNoT2QxZEtGcWU2Q2Rmdk02LWJGdmRzWWJqdw"


def test_the_token_is_that_of_the_older_service() -> None:
    at, tokens = 1_700_000_000, TimeTokens(SECRET.encode(), 30)

    assert tokens.token(at // 30) == VECTOR
    held = {off: tokens.holds(VECTOR, datetime.fromtimestamp(at + 30 * off, UTC)) for off in range(-2, 3)}
    assert held == {-2: False, -1: True, 0: True, 1: True, 2: False}
    assert tokens.holds(VECTOR + "=", datetime.fromtimestamp(at, UTC))
    for wrong in ("", "é", VECTOR[:-1], base64.urlsafe_b64encode(b"56666666:").decode()):
        assert not tokens.holds(wrong, datetime.fromtimestamp(at, UTC))


def token(off: int = 0, secret: str = SECRET) -> str:
    """Return a token of now, or so many windows later."""
    window = str(int(time.time()) // WINDOW_S + off)
    mac = base64.urlsafe_b64encode(hmac.new(secret.encode(), window.encode(), hashlib.sha256).digest()).decode()
    return base64.urlsafe_b64encode(f"{window}:{mac.rstrip('=')}".encode()).decode().rstrip("=")


@pytest.fixture(scope="module")
async def old_house(migrated: Servers) -> AsyncIterator[House]:
    switched_on = {
        "compat_time_token": True,
        "time_token_secret": SecretStr(SECRET),
        "time_token_window": WINDOW_S,
    }
    async with house_of_its_own(migrated, **switched_on) as house:
        yield house


@pytest.fixture(scope="module")
async def old(old_house: House) -> AsyncIterator[httpx.AsyncClient]:
    app = application(old_house, {"web"}, Health(("web",), {}))
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app=app), base_url="http://test") as api:
        yield api


def of(channel: str) -> Callable[[Event], bool]:
    return lambda event: isinstance(event, UiUpdatePublished) and event.channel == channel


async def test_what_was_published_as_before_lies_on_the_topic(old: httpx.AsyncClient, old_house: House) -> None:
    headers, channel = {"X-API-Token": token()}, f"c/{uuid4()}"
    answers = [
        await old.post("/update", params={"channel": channel}, content=b'{"n": 1.10}', headers=headers),
        await old.post("/publish", params={"channel": channel}, content=b'"\\ud83d\\ude00"', headers=headers),
        await old.post("/update", json=3, headers=headers),
    ]
    events = await on_topic(old_house, of(channel), "ui-updates")
    without = await on_topic(old_house, of("default"), "ui-updates")

    assert [(each.status_code, each.content) for each in answers] == [(202, b"")] * 3
    assert [(event.payload, event.is_public) for event in events] == [
        ('{"n": 1.10}', False),
        ('"\\ud83d\\ude00"', True),
    ]
    assert [event.payload for event in without] == ["3"]
    assert {event.published_by for event in events} == {"key:time-token"}


async def test_windows_beside_the_present_one_are_good(old: httpx.AsyncClient) -> None:
    assert (await old.post("/update", json=1, headers={"X-API-Token": token(1)})).status_code == 202


@pytest.mark.parametrize(
    "headers",
    [{}, {"X-API-Token": ""}, {"X-API-Token": "garbage"}, {"X-API-Token": VECTOR}, {"X-API-Token": token(0, "other")}],
)
async def test_wrong_and_expired_tokens_are_refused(old: httpx.AsyncClient, headers: dict[str, str]) -> None:
    for path in ("/update", "/publish"):
        answer = await old.post(path, json=1, headers=headers)

        assert (answer.status_code, answer.json()["code"]) == (401, "unauthenticated")


async def test_two_windows_away_is_too_far(old: httpx.AsyncClient) -> None:
    for off in (-3, 3):
        assert (await old.post("/update", json=1, headers={"X-API-Token": token(off)})).status_code == 401


@pytest.mark.parametrize("content", [b"", b"{", b"NaN", b"\xff", b'"\\ud83d"', b"[" * 60_000])
async def test_what_is_no_json_is_refused(old: httpx.AsyncClient, content: bytes) -> None:
    answer = await old.post("/update", content=content, headers={"X-API-Token": token()})

    assert (answer.status_code, answer.json()["code"]) == (400, "bad_request")


@pytest.mark.parametrize("path", ["/update", "/publish"])
async def test_what_is_too_long_is_told_the_limit(old: httpx.AsyncClient, path: str) -> None:
    fits = await old.post(path, content=b'"%s"' % (b"a" * 65_534), headers={"X-API-Token": token()})
    longer = await old.post(path, content=b'"%s"' % (b"a" * 65_535), headers={"X-API-Token": token()})
    unknown = await old.post(path, content=b'"%s"' % (b"a" * 65_535))

    assert fits.status_code == 202
    assert (longer.status_code, longer.json()["code"]) == (413, "payload_too_large")
    assert longer.json()["detail"] == "the limit is 65536 bytes"
    assert (unknown.status_code, unknown.json()["code"]) == (401, "unauthenticated")


def test_the_log_warns_of_them(old_house: House) -> None:
    with capture_logs() as logs:
        wiring.build(old_house.settings)

    assert [each["log_level"] for each in logs if each["event"] == "compat.unsigned_publishing"] == ["warning"]


async def test_they_are_not_there_unless_switched_on(client: Callable[[], httpx.AsyncClient]) -> None:
    answer = await client().post("http://test/update", json=1, headers={"X-API-Token": token()})

    assert answer.status_code == 404
