"""Sessions of browsers: the refresh token in a cookie that only our own pages make use of."""

from collections.abc import AsyncIterator, Callable
from typing import Any
from uuid import uuid4

import httpx
import pytest

from headwater.web import application
from headwater.wiring import House
from infra.health import Health
from tests.integration.conftest import altered
from tests.mailbox import Mailbox

pytestmark = pytest.mark.usefixtures("groups")

HERE, LISTED, NEIGHBOUR = "https://api.app.example", "https://app.example", "https://blog.app.example"
NAME = "__Secure-headwater-refresh"
PASSWORD, OTHER = "correct horse battery", "staple correct horse"
CSRF = {"x-csrf": "1"}

Browser = Callable[..., httpx.AsyncClient]


@pytest.fixture(scope="module")
async def app(web_house: House) -> AsyncIterator[Any]:
    async with altered(web_house, cors_origins=f"{LISTED}, https://other.example") as house:
        yield application(house, {"web"}, Health(("web",), {}))


@pytest.fixture
def browser(app: Any) -> Browser:
    """Return clients that keep cookies, each from an address of its own."""

    def of(base_url: str = HERE) -> httpx.AsyncClient:
        address = ".".join(str(byte) for byte in (10, *uuid4().bytes[:3]))
        transport = httpx.ASGITransport(app=app, client=(address, 1))
        return httpx.AsyncClient(transport=transport, base_url=f"{base_url}/api/v1")

    return of


@pytest.fixture(scope="module")
async def ada(app: Any) -> str:
    """The address of an account."""
    return await registered(httpx.AsyncClient(transport=httpx.ASGITransport(app=app), base_url=f"{HERE}/api/v1"))


async def registered(api: httpx.AsyncClient) -> str:
    email = f"ada.{uuid4().hex}@example.org"
    made = await api.post("/auth/register", json={"email": email, "name": "Ada", "password": PASSWORD})
    assert made.status_code == 201, made.text
    return email


async def sign_in(api: httpx.AsyncClient, email: str) -> httpx.Response:
    body = {"email": email, "password": PASSWORD, "cookie": True}
    answer = await api.post("/auth/login", json=body)
    assert answer.status_code == 200, answer.text
    return answer


async def refresh(api: httpx.AsyncClient, **headers: str) -> httpx.Response:
    return await api.post("/auth/refresh", json={}, headers=CSRF | headers)


def attributes(answer: httpx.Response) -> set[str]:
    (cookie,) = answer.headers.get_list("set-cookie")
    return {each.strip() for each in cookie.split(";")[1:]}


def is_removed(answer: httpx.Response, name: str = NAME) -> bool:
    return any(each.startswith(f'{name}="";') and "Max-Age=0" in each for each in answer.headers.get_list("set-cookie"))


async def test_signing_in_puts_the_token_where_no_script_and_no_other_site_gets_it(browser: Browser, ada: str) -> None:
    answer = await sign_in(browser(), ada)

    assert attributes(answer) == {"HttpOnly", "Max-Age=2592000", "Path=/api/v1/auth", "SameSite=strict", "Secure"}
    assert answer.cookies[NAME].startswith("hwr_")
    assert answer.cookies[NAME] not in answer.text
    assert "refresh_token" not in answer.json()


async def test_without_being_asked_it_stays_in_the_body(browser: Browser, ada: str) -> None:
    api = browser()
    answer = await api.post("/auth/login", json={"email": ada, "password": PASSWORD})
    again = await api.post("/auth/refresh", json={"refresh_token": answer.json()["refresh_token"]})

    for each in (answer, again):
        assert each.json()["refresh_token"].startswith("hwr_")
        assert "set-cookie" not in each.headers


async def test_a_page_stays_signed_in_by_the_cookie(browser: Browser, ada: str) -> None:
    api = browser()
    first = await sign_in(api, ada)
    answers = [await refresh(api) for _ in range(3)]

    assert [each.status_code for each in answers] == [200] * 3
    assert len({each.cookies[NAME] for each in (first, *answers)}) == 4
    assert {each.json()["session_id"] for each in answers} == {first.json()["session_id"]}
    assert all("refresh_token" not in each.json() for each in answers)
    me = await api.get("/me", headers={"authorization": f"Bearer {answers[-1].json()['access_token']}"})
    assert me.status_code == 200


@pytest.mark.parametrize(
    ("headers", "code"),
    [
        ({"x-csrf": "1", "origin": HERE, "sec-fetch-site": "same-origin"}, None),
        ({"x-csrf": "1", "origin": LISTED, "sec-fetch-site": "same-site"}, None),
        ({"x-csrf": "1", "origin": HERE}, None),
        ({"x-csrf": "1"}, None),
        ({"origin": HERE, "sec-fetch-site": "same-origin"}, "csrf_header_missing"),
        ({}, "csrf_header_missing"),
        ({"x-csrf": "1", "origin": NEIGHBOUR, "sec-fetch-site": "same-site"}, "foreign_origin"),
        ({"x-csrf": "1", "origin": "https://evil.example", "sec-fetch-site": "cross-site"}, "foreign_origin"),
        ({"x-csrf": "1", "origin": "https://evil.example"}, "foreign_origin"),
        ({"x-csrf": "1", "origin": "http://api.app.example"}, "foreign_origin"),
        ({"x-csrf": "1", "origin": "null"}, "foreign_origin"),
        ({"x-csrf": "1", "sec-fetch-site": "same-site"}, "foreign_origin"),
    ],
)
@pytest.mark.parametrize("route", ["refresh", "logout"])
async def test_the_cookie_counts_from_our_own_and_listed_pages_with_the_header(
    browser: Browser, ada: str, route: str, headers: dict[str, str], code: str | None
) -> None:
    api = browser()
    await sign_in(api, ada)
    answer = await api.post(f"/auth/{route}", json={}, headers=headers)

    if code:
        assert (answer.status_code, answer.json()["code"]) == (403, code)
        assert (await refresh(api)).status_code == 200  # nothing has happened
    else:
        assert answer.status_code == (200 if route == "refresh" else 204)


async def test_signing_out_takes_the_cookie_alone_and_removes_it(browser: Browser, ada: str) -> None:
    api, copy = browser(), browser()
    token = (await sign_in(api, ada)).cookies[NAME]
    out = await api.post("/auth/logout", headers=CSRF)
    copy.cookies.set(NAME, token)

    assert out.status_code == 204
    assert is_removed(out)
    assert NAME not in api.cookies
    assert (await refresh(copy)).status_code == 401
    assert (await api.post("/auth/logout", headers=CSRF)).status_code == 401


async def test_what_is_reused_is_removed_and_the_session_over(browser: Browser, ada: str) -> None:
    api, thief = browser(), browser()
    thief.cookies.set(NAME, (await sign_in(api, ada)).cookies[NAME])
    for _ in range(2):
        assert (await refresh(api)).status_code == 200
    stolen, after = await refresh(thief), await refresh(api)

    for answer in (stolen, after):
        assert (answer.status_code, answer.json()["code"]) == (401, "invalid_refresh_token")
        assert is_removed(answer)


async def test_signing_out_everywhere_and_another_password_by_mail_remove_it(
    browser: Browser, mailbox: Mailbox
) -> None:
    api = browser()
    email = await registered(api)
    signed_in = {"authorization": f"Bearer {(await sign_in(api, email)).json()['access_token']}"}
    everywhere = await api.post("/auth/logout-all", headers=signed_in)
    await sign_in(api, email)
    await api.post("/auth/password/forgot", json={"email": email})
    token = await mailbox.token(email, "reset-password")
    reset = await api.post("/auth/password/reset", json={"token": token, "password": OTHER})

    for answer in (everywhere, reset):
        assert answer.status_code == 204
        assert is_removed(answer)


async def test_neither_a_cookie_nor_a_token_is_said(browser: Browser) -> None:
    answer = await refresh(browser())

    assert (answer.status_code, answer.json()["code"]) == (422, "refresh_token_missing")


async def test_on_ones_own_machine_it_works_over_plain_http(browser: Browser, ada: str) -> None:
    api = browser("http://localhost")
    answer = await sign_in(api, ada)

    assert "Secure" not in attributes(answer)
    assert (await refresh(api)).status_code == 200
    out = await api.post("/auth/logout", headers=CSRF)
    assert is_removed(out, "headwater-refresh")


async def test_elsewhere_plain_http_gets_a_cookie_that_browsers_do_not_take(web_house: House, ada: str) -> None:
    async with altered(web_house, host="0.0.0.0") as house:  # noqa: S104
        app = application(house, {"web"}, Health(("web",), {}))
        api = httpx.AsyncClient(transport=httpx.ASGITransport(app=app), base_url="http://test/api/v1")
        answer = await sign_in(api, ada)

    assert "Secure" in attributes(answer)
    assert answer.headers["set-cookie"].startswith(NAME)
    assert (await refresh(api)).status_code == 422


ASK = {"access-control-request-method": "POST", "access-control-request-headers": "content-type,x-csrf"}


class TestPagesOfOtherOrigins:
    async def test_those_that_are_listed_may_send_the_cookie(self, browser: Browser) -> None:
        asked = await browser().options("/auth/refresh", headers=ASK | {"origin": LISTED})

        assert asked.status_code == 200
        assert asked.headers["access-control-allow-origin"] == LISTED
        assert asked.headers["access-control-allow-credentials"] == "true"

    async def test_others_may_not(self, browser: Browser, ada: str) -> None:
        api = browser()
        await sign_in(api, ada)
        asked = await api.options("/auth/refresh", headers=ASK | {"origin": NEIGHBOUR})
        got = await refresh(api, origin=NEIGHBOUR)

        assert asked.status_code == 400
        for answer in (asked, got):
            assert "access-control-allow-origin" not in answer.headers

    async def test_where_all_may_come_none_comes_with_cookies(self, web_house: House, ada: str) -> None:
        async with altered(web_house, cors_origins="*") as house:
            app = application(house, {"web"}, Health(("web",), {}))
            api = httpx.AsyncClient(transport=httpx.ASGITransport(app=app), base_url=f"{HERE}/api/v1")
            await sign_in(api, ada)
            asked = await api.options("/auth/refresh", headers=ASK | {"origin": LISTED})
            got = await refresh(api, origin=LISTED)

        assert asked.headers["access-control-allow-origin"] == got.headers["access-control-allow-origin"] == "*"
        for answer in (asked, got):
            assert "access-control-allow-credentials" not in answer.headers
        assert (got.status_code, got.json()["code"]) == (403, "foreign_origin")
