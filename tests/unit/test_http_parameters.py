"""What routes take from a request beside its body: how long to wait, times, positions."""

from collections.abc import AsyncIterator
from typing import Annotated, Any

import httpx
import pytest
from fastapi import Body, Depends, FastAPI

from infra.http import MinPosition, Moment, PrefersLater, PreferWait, open_to_all, seal_position, seconds_to_wait
from infra.http_errors import install
from infra.opaque import OpaqueTokens
from shared_kernel.events import Position

OPAQUE = OpaqueTokens("o" * 32)

Open = Annotated[None, Depends(open_to_all)]

app = FastAPI()
app.state.opaque_tokens = OPAQUE
install(app)


@app.get("/moment")
async def moment(at: Moment, _: Open) -> float:
    return at.timestamp()


@app.post("/moments")
async def moments(at: Annotated[Moment, Body(embed=True)], _: Open) -> float:
    return at.timestamp()


@app.get("/wait")
async def wait(seconds: PreferWait, _: Open) -> float:
    return seconds


@app.get("/later")
async def later(is_asked_for: PrefersLater, _: Open) -> bool:
    return is_asked_for


@app.get("/position")
async def position(wanted: MinPosition, _: Open) -> list[Any] | None:
    return [wanted.topic, wanted.partition, wanted.offset] if wanted else None


@pytest.fixture
async def api() -> AsyncIterator[httpx.AsyncClient]:
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app=app), base_url="http://test") as client:
        yield client


class TestRespondAsync:
    @pytest.mark.parametrize(
        ("header", "is_asked_for"),
        [
            ("", False),
            ("respond-async", True),
            ("Respond-Async", True),
            ("wait=3, respond-async", True),
            ("respond-async;x=1,wait=3", True),
            ('respond-async = ""', True),
            ("respond-asynchronously", False),
            ("respond-async=no", False),
            ("wait=respond-async", False),
        ],
    )
    async def test_is_one_preference_of_several(self, api: httpx.AsyncClient, header: str, is_asked_for: bool) -> None:
        assert (await api.get("/later", headers={"prefer": header})).json() is is_asked_for


class TestPrefer:
    @pytest.mark.parametrize(
        ("header", "seconds"),
        [
            (None, 0),
            ("", 0),
            ("wait=5", 5),
            ('wait="5"', 5),
            ("Wait=5", 5),
            ("respond-async, wait=3", 3),
            ("respond-async,wait=3", 3),
            ("return=minimal; wait=4", 4),
            ("wait=0", 0),
            ("wait=600", 10),
            ("wait=99999999999", 10),
            ("nowait=5", 0),
            ("wait=-1", 0),
            ("wait=soon", 0),
        ],
    )
    def test_wait_is_read_up_to_the_limit(self, header: str | None, seconds: float) -> None:
        assert seconds_to_wait(None if header is None else [header]) == seconds

    async def test_the_header_reaches_the_route(self, api: httpx.AsyncClient) -> None:
        assert (await api.get("/wait", headers={"prefer": "wait=2"})).json() == 2

    async def test_it_may_have_several_lines_of_which_the_first_wait_counts(self, api: httpx.AsyncClient) -> None:
        lines = [("prefer", "respond-async"), ("prefer", "return=minimal, wait=3"), ("prefer", "wait=2")]

        assert (await api.get("/wait", headers=lines)).json() == 3


class TestMoments:
    @pytest.mark.parametrize(
        "text",
        [
            "2026-01-31T12:00:00Z",
            "2026-01-31t12:00:00.000z",
            "2026-01-31T14:00:00+02:00",
            "2026-01-31T06:30:00.0-05:30",
        ],
    )
    async def test_rfc_3339_is_read(self, api: httpx.AsyncClient, text: str) -> None:
        answers = [await api.get("/moment", params={"at": text}), await api.post("/moments", json={"at": text})]

        assert [answer.json() for answer in answers] == [1769860800.0] * 2

    @pytest.mark.parametrize(
        "at",
        [
            1769860800,
            1769860800.5,
            "1769860800",
            "2026-01-31",
            "2026-01-31T12:00:00",
            "2026-01-31 12:00:00Z",
            "2026-01-31T12:00Z",
            "2026-02-30T12:00:00Z",
            "20260131T120000Z",
            "٢٠٢٦-01-31T12:00:00Z",
            "1969-12-31T12:00:00Z",
            "9000-01-01T00:00:00Z",
            True,
            None,
        ],
    )
    async def test_nothing_else_is_a_time(self, api: httpx.AsyncClient, at: Any) -> None:
        answers = [await api.get("/moment", params={"at": at}), await api.post("/moments", json={"at": at})]

        assert [answer.status_code for answer in answers] == [422] * 2


class TestPositions:
    async def test_one_that_was_given_out_here_is_read(self, api: httpx.AsyncClient) -> None:
        sealed = seal_position(OPAQUE, Position("messages", 3, 42))

        assert (await api.get("/position", params={"min_position": sealed})).json() == ["messages", 3, 42]

    async def test_another_is_refused(self, api: httpx.AsyncClient) -> None:
        answer = await api.get("/position", params={"min_position": "made-up"})

        assert answer.status_code == 422
        assert answer.json()["code"] == "invalid_position"
