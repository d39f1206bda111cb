"""Signing in by a real OpenID provider: whose account it is, and what browsers and other pages may do about it."""

import asyncio
import re
from collections.abc import AsyncIterator, Callable, Iterator
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import parse_qs, urlsplit
from uuid import UUID, uuid4

import httpx
import jwt
import pyotp
import pytest
import sqlalchemy as sa
from pydantic import SecretStr

from headwater.web import application
from headwater.wiring import House
from infra.event_store_postgres import PostgresEventStore
from infra.feed import FeedRunner
from infra.health import Health
from schemas.identity.events import LoginLinked
from tests.integration.conftest import Client, altered
from tests.mailbox import Mailbox
from tests.oidc_provider import OpenIdProvider, openid_provider
from tests.probes import during, eventually

pytestmark = pytest.mark.usefixtures("groups")

HERE, PAGE = "https://api.app.example", "https://app.example/welcome?tab=1"
CALLBACK = f"{HERE}/api/v1/auth/oidc/%s/callback"
REFRESH = "__Secure-headwater-refresh"
PASSWORD = "correct horse battery"

Anybody = Callable[[], httpx.AsyncClient]


@pytest.fixture(scope="module")
def provider() -> Iterator[OpenIdProvider]:
    with openid_provider(CALLBACK % "acme", CALLBACK % "other") as running:
        yield running


@pytest.fixture(scope="module")
async def app(web_house: House, provider: OpenIdProvider) -> AsyncIterator[Any]:
    url, away = SecretStr(provider.url), SecretStr("http://id:secret@127.0.0.1:1")
    providers = {"acme": url, "other": url, "away": away}
    async with altered(web_house, cors_origins="https://app.example", oidc_providers=providers) as house:
        runner = FeedRunner(house.revocations.feed, house.kafka, house.codec)
        async with during(runner.run()):
            await asyncio.wait_for(runner.ready.wait(), 60)
            yield application(house, {"web"}, Health(("web",), {}))


@pytest.fixture
def anybody(app: Any) -> Anybody:
    """Return browsers, each from an address of its own."""

    def of() -> httpx.AsyncClient:
        address = ".".join(str(byte) for byte in (10, *uuid4().bytes[:3]))
        transport = httpx.ASGITransport(app=app, client=(address, 1))
        return httpx.AsyncClient(transport=transport, base_url=f"{HERE}/api/v1")

    return of


@dataclass(slots=True)
class Person:
    """Somebody with an account at the provider, and a browser."""

    provider: OpenIdProvider
    browser: httpx.AsyncClient
    subject: str = field(default_factory=lambda: uuid4().hex)

    @property
    def email(self) -> str:
        return f"ada.{self.subject}@example.org"

    async def begin(self, name: str = "acme") -> str:
        """Return where our own page sends the browser."""
        answer = await self.browser.get(f"/auth/oidc/{name}/authorize", params={"return_to": PAGE})
        assert answer.status_code == 302, answer.text
        return answer.headers["location"]

    async def answered(self) -> str:
        """Return where the provider sends the browser once somebody has signed in there."""
        return await self.provider.sign_in(await self.begin(), self.subject)

    async def arrive(self) -> httpx.Response:
        """Sign in, and return what the browser is told at last."""
        return await self.browser.get(await self.answered())

    async def tokens(self) -> dict[str, Any]:
        """Return what a page gets that was signed in."""
        arrived = await self.arrive()
        assert arrived.headers["location"] == PAGE, arrived.text
        answer = await self.browser.post("/auth/refresh", json={}, headers={"x-csrf": "1"})
        assert answer.status_code == 200, answer.text
        return dict(answer.json())

    async def me(self) -> dict[str, Any]:
        return dict((await self.browser.get("/me", headers=bearer(await self.tokens()))).json())


@pytest.fixture
async def ada(provider: OpenIdProvider, anybody: Anybody) -> Person:
    person = Person(provider, anybody())
    await provider.know(person.subject, email=person.email, email_verified=True, name="Ada")
    return person


def bearer(tokens: dict[str, Any]) -> dict[str, str]:
    return {"authorization": f"Bearer {tokens['access_token']}"}


def error_of(answer: httpx.Response) -> str | None:
    """Return what the page is told to have gone wrong."""
    assert answer.status_code == 303, answer.text
    assert answer.headers["location"].startswith("https://app.example/welcome?tab=1")
    assert REFRESH not in answer.cookies or "error=" not in answer.headers["location"]
    return parse_qs(urlsplit(answer.headers["location"]).query).get("error", [None])[0]


async def register(api: httpx.AsyncClient, email: str) -> dict[str, Any]:
    made = await api.post("/auth/register", json={"email": email, "name": "Eve", "password": PASSWORD})
    assert made.status_code == 201, made.text
    return {"id": made.json()["id"], **(await login(api, email)).json()}


async def login(api: httpx.AsyncClient, email: str) -> httpx.Response:
    return await api.post("/auth/login", json={"email": email, "password": PASSWORD})


async def verify(api: httpx.AsyncClient, email: str, mailbox: Mailbox) -> None:
    verified = await api.post("/auth/email/verify", json={"token": await mailbox.token(email, "verify-email")})
    assert verified.status_code == 204, verified.text


class TestWhoseAccountItIs:
    async def test_somebody_new_gets_an_account_and_comes_back_to_it(self, ada: Person, anybody: Anybody) -> None:
        first = await ada.me()
        elsewhere = Person(ada.provider, anybody(), ada.subject)
        again = await elsewhere.tokens()
        claims = jwt.decode(again["access_token"], options={"verify_signature": False})

        assert (first["email"], first["email_verified"], first["name"]) == (ada.email, True, "Ada")
        assert claims["sub"] == first["id"]
        assert claims["amr"] == ["fed"]

    async def test_who_comes_twice_at_once_gets_one(self, ada: Person, anybody: Anybody) -> None:
        tabs = [ada, *(Person(ada.provider, anybody(), ada.subject) for _ in range(4))]
        answers = await asyncio.gather(*(tab.answered() for tab in tabs))
        arrived = await asyncio.gather(*(tab.browser.get(url) for tab, url in zip(tabs, answers, strict=True)))
        found = await asyncio.gather(
            *(tab.browser.post("/auth/refresh", json={}, headers={"x-csrf": "1"}) for tab in tabs)
        )

        assert {error_of(answer) for answer in arrived} == {None}
        tokens = [jwt.decode(each.json()["access_token"], options={"verify_signature": False}) for each in found]
        assert len({each["sub"] for each in tokens}) == 1

    async def test_another_address_there_does_not_matter_once_it_is_linked(self, ada: Person) -> None:
        before = await ada.me()
        await ada.provider.know(ada.subject, email=f"other.{ada.email}", email_verified=False)

        assert (await ada.me())["id"] == before["id"]

    async def test_an_account_with_the_same_verified_address_is_linked_and_told(
        self, ada: Person, anybody: Anybody, mailbox: Mailbox
    ) -> None:
        account = await register(anybody(), ada.email)
        await verify(anybody(), ada.email, mailbox)
        await ada.provider.know(ada.subject, email=ada.email.upper(), email_verified=True)
        me = await ada.me()

        assert (me["id"], me["name"]) == (account["id"], "Eve")
        assert (await login(anybody(), ada.email)).status_code == 200

        async def told() -> bool:
            return any("another way" in str(mail["subject"]) for mail in mailbox.mails.get(ada.email, []))

        assert await eventually(told)

    @pytest.mark.parametrize("claims", [{"email_verified": False}, {}, {"email_verified": "false"}])
    async def test_an_address_that_the_provider_does_not_vouch_for_links_nothing(
        self, ada: Person, anybody: Anybody, mailbox: Mailbox, claims: dict[str, Any]
    ) -> None:
        account = await register(anybody(), ada.email)
        await verify(anybody(), ada.email, mailbox)
        await ada.provider.know(ada.subject, email=ada.email, **claims)

        assert error_of(await ada.arrive()) == "email_unverified"
        listed = await ada.browser.get("/me/logins", headers=bearer(account))
        assert listed.json()["data"] == []

    async def test_who_opened_an_account_with_anothers_address_is_out_when_they_come(
        self, ada: Person, anybody: Anybody
    ) -> None:
        eve = anybody()
        account = await register(eve, ada.email)
        body = {"name": "backdoor", "scopes": ["me:read"]}
        key = (await eve.post("/me/api-keys", json=body, headers=bearer(account))).json()["key"]
        await add_second_factor(eve, account)

        me = await ada.me()

        assert (me["id"], me["email_verified"]) == (account["id"], True)
        assert (await login(anybody(), ada.email)).status_code == 401
        assert (await eve.post("/auth/refresh", json={"refresh_token": account["refresh_token"]})).status_code == 401

        async def refused() -> bool:
            answers = [await eve.get("/me", headers=each) for each in ({"x-api-key": key}, bearer(account))]
            return {answer.status_code for answer in answers} == {401}

        assert await eventually(refused)

    async def test_an_account_that_was_verified_before_is_not_handed_over(
        self, ada: Person, provider: OpenIdProvider, anybody: Anybody, mailbox: Mailbox
    ) -> None:
        """It changed to an address that is somebody else's, perhaps by a slip of the hand."""
        eve = Person(provider, anybody())
        await provider.know(eve.subject, email=eve.email, email_verified=True)
        account = await register(anybody(), eve.email)
        await verify(anybody(), eve.email, mailbox)
        await eve.tokens()
        moved = await anybody().patch("/me", json={"email": ada.email, "password": PASSWORD}, headers=bearer(account))
        assert moved.status_code == 200, moved.text

        assert error_of(await ada.arrive()) == "email_unverified"
        assert (await eve.me())["id"] == account["id"]

    async def test_a_blocked_account_is_not_entered_and_an_erased_one_is_no_more(
        self, ada: Person, client: Client
    ) -> None:
        admin = client(uuid4(), "admin")
        before = await ada.me()
        await admin.post(f"/users/{before['id']}/block")
        assert error_of(await ada.arrive()) == "user_blocked"
        await admin.delete(f"/users/{before['id']}")
        after = await ada.me()

        assert after["id"] != before["id"]

    async def test_a_blocked_account_is_not_linked(
        self, ada: Person, anybody: Anybody, client: Client, mailbox: Mailbox
    ) -> None:
        account = await register(anybody(), ada.email)
        await verify(anybody(), ada.email, mailbox)
        admin = client(uuid4(), "admin")
        await admin.post(f"/users/{account['id']}/block")
        assert error_of(await ada.arrive()) == "user_blocked"
        await admin.post(f"/users/{account['id']}/unblock")
        again = (await login(anybody(), ada.email)).json()

        assert (await anybody().get("/me/logins", headers=bearer(again))).json()["data"] == []

    async def test_who_somebody_is_there_is_sealed_in_events_and_forgotten_with_them(
        self, ada: Person, web_house: House
    ) -> None:
        me = await ada.me()
        linked = await links(web_house, UUID(me["id"]))
        await ada.browser.delete(f"/users/{me['id']}", headers=bearer(await ada.tokens()))
        rows = sa.text("select count(*) from login where user_id = :user")
        async with web_house.databases["identity"].transaction() as connection:
            left = await connection.scalar(rows, {"user": UUID(me["id"])})

        assert [(each.issuer, ada.subject in each.subject) for each in linked] == [(ada.provider.issuer, False)]
        assert left == 0

    @pytest.mark.parametrize(("said", "name"), [(None, None), ("\n", None), (" Ada\0 Lovelace ", "Ada Lovelace")])
    async def test_a_name_that_accounts_cannot_have_is_made_one(
        self, ada: Person, said: str | None, name: str | None
    ) -> None:
        await ada.provider.know(ada.subject, email=ada.email, email_verified=True, name=said)

        assert (await ada.me())["name"] == (name or ada.email.partition("@")[0])


async def links(house: House, user: UUID) -> list[LoginLinked]:
    """Return the user's links as they lie in the outbox and on the topic."""
    events, _ = await PostgresEventStore[Any](house.databases["identity"], "identity", house.codec).load(user)
    return [event for event in events if isinstance(event, LoginLinked)]


async def add_second_factor(api: httpx.AsyncClient, tokens: dict[str, Any]) -> pyotp.TOTP:
    begun = (await api.post("/auth/mfa/totp/enroll", headers=bearer(tokens))).json()
    codes = pyotp.TOTP(begun["secret"])
    confirmed = await api.post("/auth/mfa/totp/confirm", json={"code": codes.now()}, headers=bearer(tokens))
    assert confirmed.status_code == 200, confirmed.text
    return codes


class TestSecondFactor:
    async def protected(self, ada: Person) -> tuple[str, str]:
        """Return the token that goes with a code, and a recovery code."""
        signed_in = bearer(await ada.tokens())
        begun = (await ada.browser.post("/auth/mfa/totp/enroll", headers=signed_in)).json()
        code = pyotp.TOTP(begun["secret"]).now()
        made = await ada.browser.post("/auth/mfa/totp/confirm", json={"code": code}, headers=signed_in)
        ada.browser.cookies.clear()
        arrived = await ada.arrive()
        page, _, fragment = arrived.headers["location"].partition("#")

        assert page == PAGE
        assert REFRESH not in ada.browser.cookies
        return parse_qs(fragment)["mfa_token"][0], made.json()["recovery_codes"][0]

    async def test_it_is_asked_for(self, ada: Person) -> None:
        token, code = await self.protected(ada)
        body = {"mfa_token": token, "code": code, "cookie": True}
        wrong = await ada.browser.post("/auth/mfa/verify", json=body | {"code": "000000"})
        right = await ada.browser.post("/auth/mfa/verify", json=body)

        assert (wrong.status_code, right.status_code) == (401, 200)
        assert REFRESH in ada.browser.cookies
        claims = jwt.decode(right.json()["access_token"], options={"verify_signature": False})
        assert claims["amr"] == ["fed", "otp", "mfa"]

    async def test_a_code_opens_nothing_once_the_login_is_gone(
        self, ada: Person, anybody: Anybody, mailbox: Mailbox
    ) -> None:
        account = await register(anybody(), ada.email)
        await verify(anybody(), ada.email, mailbox)
        token, code = await self.protected(ada)
        (listed,) = (await anybody().get("/me/logins", headers=bearer(account))).json()["data"]
        gone = await anybody().delete(f"/me/logins/{listed['id']}", headers=bearer(account))
        answer = await ada.browser.post("/auth/mfa/verify", json={"mfa_token": token, "code": code})

        assert gone.status_code == 204
        assert (answer.status_code, answer.json()["code"]) == (401, "invalid_credentials")


class TestLogins:
    async def test_the_last_way_in_stays(self, ada: Person) -> None:
        signed_in = bearer(await ada.tokens())
        (listed,) = (await ada.browser.get("/me/logins", headers=signed_in)).json()["data"]
        kept = await ada.browser.delete(f"/me/logins/{listed['id']}", headers=signed_in)

        assert listed["issuer"] == ada.provider.issuer
        assert (kept.status_code, kept.json()["code"]) == (422, "last_way_in")
        assert (await ada.me())["email"] == ada.email

    async def test_beside_a_password_it_can_be_removed_and_what_it_opened_ends(
        self, ada: Person, anybody: Anybody, mailbox: Mailbox
    ) -> None:
        account = await register(anybody(), ada.email)
        await verify(anybody(), ada.email, mailbox)
        await ada.tokens()
        (listed,) = (await anybody().get("/me/logins", headers=bearer(account))).json()["data"]
        strangers = await anybody().delete(
            f"/me/logins/{listed['id']}", headers=bearer(await register(anybody(), f"x{ada.email}"))
        )
        gone = await anybody().delete(f"/me/logins/{listed['id']}", headers=bearer(account))
        again = await anybody().delete(f"/me/logins/{listed['id']}", headers=bearer(account))
        over = await ada.browser.post("/auth/refresh", json={}, headers={"x-csrf": "1"})
        stays = await anybody().post("/auth/refresh", json={"refresh_token": account["refresh_token"]})

        assert [strangers.status_code, gone.status_code, again.status_code] == [404, 204, 404]
        assert (over.status_code, stays.status_code) == (401, 200)

    async def test_of_two_the_last_stays_also_when_both_are_removed_at_once(
        self, ada: Person, provider: OpenIdProvider, anybody: Anybody
    ) -> None:
        signed_in = bearer(await ada.tokens())
        second = Person(provider, anybody())
        await provider.know(second.subject, email=ada.email, email_verified=True)
        await second.tokens()
        listed = (await ada.browser.get("/me/logins", headers=signed_in)).json()["data"]
        answers = await asyncio.gather(
            *(ada.browser.delete(f"/me/logins/{each['id']}", headers=signed_in) for each in listed)
        )

        assert sorted(answer.status_code for answer in answers) == [204, 422]


class TestBrowsers:
    async def test_the_sign_in_that_was_begun_is_kept_from_scripts_and_sealed(self, ada: Person) -> None:
        answer = await ada.browser.get("/auth/oidc/acme/authorize", params={"return_to": PAGE})
        (cookie,) = answer.headers.get_list("set-cookie")
        asked = parse_qs(urlsplit(answer.headers["location"]).query)

        assert re.match(r"__Host-headwater-oidc-[\w-]{8}=[\w-]+;", cookie)
        assert {"HttpOnly", "Secure", "SameSite=lax", "Path=/", "Max-Age=600"} <= {
            each.strip() for each in cookie.split(";")
        }
        assert asked["code_challenge_method"] == ["S256"]
        assert asked["redirect_uri"] == [CALLBACK % "acme"]
        assert answer.headers["cache-control"] == "no-store"
        for secret in (asked["state"][0], asked["nonce"][0]):
            assert len(secret) == 43
            assert secret not in cookie

    async def test_several_tabs_may_be_at_it(self, ada: Person) -> None:
        first, second = await ada.answered(), await ada.answered()

        assert [error_of(await ada.browser.get(each)) for each in (first, second)] == [None, None]

    async def test_those_that_were_given_up_do_not_pile_up(self, ada: Person) -> None:
        for _ in range(8):
            await ada.begin()

        assert len([each for each in ada.browser.cookies if "headwater-oidc" in each]) <= 5
        assert error_of(await ada.arrive()) is None

    async def test_another_browser_cannot_use_the_answer(self, ada: Person, anybody: Anybody) -> None:
        """Else a page could have somebody signed in as whoever the page likes."""
        url = await ada.answered()
        victim = Person(ada.provider, anybody())
        await victim.begin()
        answer = await victim.browser.get(url)

        assert (answer.status_code, answer.json()["code"]) == (422, "invalid_login_state")
        assert REFRESH not in answer.cookies
        assert error_of(await ada.browser.get(url)) is None

    async def test_an_answer_is_good_once(self, ada: Person, anybody: Anybody) -> None:
        url = await ada.answered()
        copy = anybody()
        copy.cookies.update(ada.browser.cookies)
        first, replayed, stolen = await ada.browser.get(url), await ada.browser.get(url), await copy.get(url)

        assert error_of(first) is None
        assert (replayed.status_code, replayed.json()["code"]) == (422, "invalid_login_state")
        assert error_of(stolen) == "invalid_login_state"

    async def test_what_was_begun_with_one_provider_is_not_answered_by_another(self, ada: Person) -> None:
        url = await ada.answered()
        mixed_up = await ada.browser.get(url.replace("/acme/", "/other/"))
        named = await ada.browser.get(re.sub(r"iss=[^&]*", "iss=https%3A%2F%2Fevil.example", url))

        assert (mixed_up.status_code, mixed_up.json()["code"]) == (422, "invalid_login_state")
        assert error_of(named) == "provider_refused"

    async def test_a_provider_that_says_no_is_told_to_the_page(self, ada: Person) -> None:
        answer = await ada.browser.get(await ada.provider.cancel(await ada.begin()))
        made_up = await ada.browser.get(re.sub(r"code=[^&]*", "code=made-up", await ada.answered()))

        assert [error_of(answer), error_of(made_up)] == ["provider_refused", "provider_refused"]

    @pytest.mark.parametrize("change", ["state", "cookie", "begun"])
    async def test_what_was_changed_or_never_begun_is_refused(self, ada: Person, change: str) -> None:
        url = await ada.answered()
        ((name, sealed),) = ada.browser.cookies.items()
        if change == "cookie":
            ada.browser.cookies.set(
                name, sealed[:30] + ("A" if sealed[30] != "A" else "B") + sealed[31:], "api.app.example"
            )
        elif change == "state":
            url = re.sub(r"state=([\w-]{8})", r"state=\1x", url)
        else:
            ada.browser.cookies.clear()
        answer = await ada.browser.get(url)

        assert (answer.status_code, answer.json()["code"]) == (422, "invalid_login_state")

    @pytest.mark.parametrize("page", ["http://localhost:3000/home", "https://app.example", PAGE])
    async def test_it_returns_to_our_own_pages(self, anybody: Anybody, page: str) -> None:
        answer = await anybody().get("/auth/oidc/acme/authorize", params={"return_to": page})

        assert answer.status_code == 302

    @pytest.mark.parametrize(
        "page",
        [
            "",
            "/welcome",
            "//app.example/",
            "https://evil.example/",
            "https://app.example.evil.example/",
            "https://app.example@evil.example/",
            "https://evil.example\\@app.example/",
            "https://app.example\\.evil.example/",
            "https://app.example:8443/",
            "http://app.example/",
            "javascript:alert(1)//https://app.example/",
            "https://app.example/\r\nSet-Cookie: a=b",
            "https://app.exa\tmple.evil.example/",
            " https://app.example/",
            "https://app.example/#fragment",
            "https://app.example:x/",
            "https://[app.example/",
            "https://user@app.example/",
        ],
    )
    async def test_it_returns_to_nobody_elses(self, anybody: Anybody, page: str) -> None:
        answer = await anybody().get("/auth/oidc/acme/authorize", params={"return_to": page})

        assert (answer.status_code, answer.json()["code"]) == (422, "invalid_return_to")
        assert "set-cookie" not in answer.headers

    async def test_a_provider_that_is_away_is_said_to_be(self, anybody: Anybody) -> None:
        answer = await anybody().get("/auth/oidc/away/authorize", params={"return_to": PAGE})

        assert (answer.status_code, answer.json()["code"]) == (503, "provider_unavailable")
        assert answer.headers["retry-after"] == "1"

    async def test_a_provider_that_nobody_has_set_up_is_not_there(self, anybody: Anybody) -> None:
        answer = await anybody().get("/auth/oidc/nobody/authorize", params={"return_to": PAGE})

        assert (answer.status_code, answer.json()["code"]) == (404, "provider_not_found")
