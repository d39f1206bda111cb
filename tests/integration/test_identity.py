"""Accounts, sign-in and what ends it, over REST on the real servers, with mail through a real mail server."""

import asyncio
import base64
import json
from collections.abc import Awaitable, Callable
from contextvars import Context, copy_context
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID, uuid4

import httpx
import jwt
import pyotp
import pytest
import sqlalchemy as sa
from argon2 import PasswordHasher
from starlette.types import ASGIApp

from bounded_contexts.identity.adapters.passwords import Argon2Passwords
from bounded_contexts.identity.adapters.signing_keys import OVERLAP
from bounded_contexts.identity.adapters.tables import address
from bounded_contexts.identity.application.commands import reset_password
from bounded_contexts.identity.application.ports import Credential, Device, LiveSession
from bounded_contexts.identity.application.sessions import SignInRefused, sign_in
from headwater.wiring import House, identity_ports
from infra.kafka_reader import KafkaReader
from tests.integration.conftest import Anybody, Client
from tests.mailbox import Mailbox
from tests.probes import eventually

pytestmark = pytest.mark.usefixtures("groups")

PASSWORD, OTHER = "correct horse battery", "staple correct horse"
WAITING = sa.text("select count(distinct pid) from pg_locks where not granted")
REVOKED_WITHIN_S = 10.0  # 2 s is what docs/identity.md says of a machine that is not overloaded


@dataclass(slots=True)
class Account:
    """A registered user and what signing in gave."""

    id: str
    email: str
    tokens: dict[str, Any]
    api: httpx.AsyncClient

    def signed_in(self, access_token: str | None = None) -> dict[str, str]:
        return {"authorization": f"Bearer {access_token or self.tokens['access_token']}"}


def new_address() -> str:
    return f"ada.{uuid4().hex}@example.org"


async def registered(api: httpx.AsyncClient, email: str | None = None) -> Account:
    email = email or new_address()
    made = await api.post("/auth/register", json={"email": email, "name": "Ada", "password": PASSWORD})
    assert made.status_code == 201, made.text
    tokens = (await api.post("/auth/login", json={"email": email, "password": PASSWORD})).json()
    return Account(made.json()["id"], email, tokens, api)


@pytest.fixture
async def ada(anybody: Anybody) -> Account:
    return await registered(anybody())


async def refresh(of: Account, token: str | None = None) -> httpx.Response:
    return await of.api.post("/auth/refresh", json={"refresh_token": token or of.tokens["refresh_token"]})


def status_of(api: httpx.AsyncClient, headers: dict[str, str]) -> Callable[[], Awaitable[int]]:
    async def ask() -> int:
        return (await api.get("/me", headers=headers)).status_code

    return ask


class TestRegistration:
    async def test_an_account_is_opened_and_used(self, anybody: Anybody) -> None:
        email = new_address()
        made = await anybody().post(
            "/auth/register", json={"email": f" {email.upper()} ", "name": "Ada", "password": PASSWORD}
        )
        login = await anybody().post("/auth/login", json={"email": email, "password": PASSWORD})
        me = await anybody().get("/me", headers={"authorization": f"Bearer {login.json()['access_token']}"})

        assert made.status_code == 201
        assert made.headers["location"] == f"/api/v1/users/{made.json()['id']}"
        assert login.json()["token_type"] == "Bearer"
        assert login.headers["cache-control"] == "no-store"
        assert me.json()["email"] == email.upper()
        assert me.json()["email_verified"] is False
        assert me.headers["etag"] == '"1"'

    async def test_of_twenty_at_once_with_one_address_one_gets_it(self, anybody: Anybody) -> None:
        email = new_address()
        body = {"email": email, "name": "Ada", "password": PASSWORD}
        answers = await asyncio.gather(*(anybody().post("/auth/register", json=body) for _ in range(20)))

        assert sorted(answer.status_code for answer in answers) == [201] + [409] * 19
        assert {answer.json()["code"] for answer in answers if answer.status_code == 409} == {"email_taken"}

    @pytest.mark.parametrize(
        ("change", "code"),
        [
            ({"email": "ada"}, "invalid_email"),
            ({"email": "ada@example.org\r\nBcc: eve@example.org"}, "invalid_email"),
            ({"name": "a\0b"}, "invalid_name"),
            ({"password": "short"}, "weak_password"),
            ({"password": "1234567890"}, "weak_password"),
            ({"password": "x" * 300}, "weak_password"),
            ({"password": "\ud800" * 12}, "validation_failed"),
            ({"roles": ["admin"]}, "validation_failed"),
        ],
    )
    async def test_what_is_wrong_is_said_and_changes_nothing(
        self, anybody: Anybody, change: dict[str, Any], code: str
    ) -> None:
        body = {"email": new_address(), "name": "Ada", "password": PASSWORD}
        content = json.dumps(body | change)  # which writes lone surrogates as escapes
        refused = await anybody().post("/auth/register", content=content, headers={"content-type": "application/json"})
        right = await anybody().post("/auth/register", json=body)

        assert (refused.status_code, refused.json()["code"]) == (422, code)
        assert right.status_code == 201


class TestSignIn:
    async def test_nobody_and_a_wrong_password_are_told_the_same(self, ada: Account, anybody: Anybody) -> None:
        wrong = await anybody().post("/auth/login", json={"email": ada.email, "password": OTHER})
        nobody = await anybody().post("/auth/login", json={"email": new_address(), "password": OTHER})

        for answer in (wrong, nobody):
            assert answer.status_code == 401
            assert answer.json()["code"] == "invalid_credentials"
        assert {**wrong.json(), "request_id": ""} == {**nobody.json(), "request_id": ""}

    async def test_who_guesses_has_to_wait_whether_there_is_an_account_or_not(
        self, ada: Account, anybody: Anybody
    ) -> None:
        for email in (ada.email, new_address()):
            guesses = [await anybody().post("/auth/login", json={"email": email, "password": OTHER}) for _ in range(10)]
            assert [each.status_code for each in guesses[:5]] == [401] * 5
            last = guesses[-1]
            assert (last.status_code, last.json()["code"]) == (429, "rate_limited")
            assert 1 <= int(last.headers["retry-after"]) <= 900

    async def test_of_many_guesses_at_once_few_are_looked_at(self, ada: Account, anybody: Anybody) -> None:
        body = {"email": ada.email, "password": OTHER}
        guesses = await asyncio.gather(*(anybody().post("/auth/login", json=body) for _ in range(40)))

        assert sum(each.status_code == 401 for each in guesses) <= 7

    async def test_one_address_that_guesses_at_many_accounts_has_to_wait(self, anybody: Anybody) -> None:
        eve = anybody()
        body = {"password": OTHER}
        guesses = [await eve.post("/auth/login", json=body | {"email": new_address()}) for _ in range(25)]

        assert {each.status_code for each in guesses[:20]} == {401}
        assert guesses[-1].status_code == 429

    async def test_behind_one_address_right_passwords_do_not_wait_for_each_other(
        self, ada: Account, anybody: Anybody, web_house: House
    ) -> None:
        many = anybody()
        for _ in range(23):
            await many.post("/auth/login", json={"email": new_address(), "password": OTHER})
        right = {"email": ada.email, "password": PASSWORD}

        async def signed_in() -> bool:
            return (await many.post("/auth/login", json=right)).status_code == 200

        await eventually(signed_in)  # what the failures cost
        assert [await signed_in() for _ in range(3)] == [True] * 3

    async def test_success_forgets_the_failures(self, ada: Account, anybody: Anybody) -> None:
        wrong, right = {"email": ada.email, "password": OTHER}, {"email": ada.email, "password": PASSWORD}
        for _ in range(3):
            for _ in range(4):
                assert (await anybody().post("/auth/login", json=wrong)).status_code == 401
            assert (await anybody().post("/auth/login", json=right)).status_code == 200

    async def test_an_old_hash_is_replaced_at_the_next_sign_in(
        self, ada: Account, anybody: Anybody, web_house: House
    ) -> None:
        query = sa.text("select hash from credential where user_id = :user")
        weak = PasswordHasher(time_cost=1, memory_cost=64).hash(PASSWORD)
        async with web_house.databases["identity"].transaction() as connection:
            await connection.execute(
                sa.text("update credential set hash = :hash where user_id = :user"),
                {"hash": weak, "user": UUID(ada.id)},
            )
        answer = await anybody().post("/auth/login", json={"email": ada.email, "password": PASSWORD})
        async with web_house.databases["identity"].transaction() as connection:
            after = await connection.scalar(query, {"user": UUID(ada.id)})

        assert answer.status_code == 200
        assert after != weak
        assert after.startswith("$argon2id$")


class TestAccessTokens:
    async def test_others_verify_them_by_the_published_keys(self, ada: Account, app: ASGIApp) -> None:
        transport = httpx.ASGITransport(app=app)
        async with httpx.AsyncClient(transport=transport, base_url="http://test") as outside:
            answer = await outside.get("/.well-known/jwks.json")
        keys = jwt.PyJWKSet.from_dict(answer.json())
        token = ada.tokens["access_token"]
        key = keys[jwt.get_unverified_header(token)["kid"]]
        claims = jwt.decode(token, key, algorithms=["EdDSA"], audience="headwater", issuer="headwater")

        assert claims["sub"] == ada.id
        assert claims["sid"] == ada.tokens["session_id"]
        assert claims["amr"] == ["pwd"]
        assert claims["exp"] - claims["iat"] == ada.tokens["expires_in"] == 600
        assert all("d" not in each for each in answer.json()["keys"])

    async def test_a_new_key_is_published_before_it_signs_and_the_former_until_its_last_token_is_over(
        self, ada: Account, anybody: Anybody, web_house: House
    ) -> None:
        keys, now = web_house.signing_keys, datetime.now(UTC)
        kid = await keys.rotate(now)
        soon = (await refresh(ada)).json()["access_token"]
        session = LiveSession(uuid4(), uuid4(), Device("", ""), (), now, now, now)
        later = await keys.issue(session, frozenset(), now + OVERLAP + timedelta(seconds=1))

        assert jwt.get_unverified_header(soon)["kid"] != kid
        assert jwt.get_unverified_header(later)["kid"] == kid
        assert {kid, jwt.get_unverified_header(soon)["kid"]} <= {each["kid"] for each in (await keys.key_set())["keys"]}
        for token in (ada.tokens["access_token"], soon):
            assert await status_of(anybody(), ada.signed_in(token))() == 200

    async def test_a_stolen_key_is_replaced_at_once_and_nothing_signed_with_another_holds(
        self, ada: Account, anybody: Anybody, web_house: House
    ) -> None:
        now = datetime.now(UTC)
        await web_house.signing_keys.rotate(now)  # one that is to sign later is gone, too
        kid = await web_house.signing_keys.rotate(now, at_once=True)
        new = (await refresh(ada)).json()["access_token"]

        assert jwt.get_unverified_header(new)["kid"] == kid
        assert set(await web_house.signing_keys.public()) == {kid}
        known = status_of(anybody(), ada.signed_in(new))  # verifiers look for it again after a while
        assert await eventually(known, until=lambda status: status == 200)
        later = await web_house.signing_keys.issue(
            LiveSession(uuid4(), uuid4(), Device("", ""), (), now, now, now), frozenset(), now + 3 * OVERLAP
        )
        assert jwt.get_unverified_header(later)["kid"] == kid

    @pytest.mark.parametrize("algorithm", ["none", "HS256"])
    async def test_a_public_key_is_no_secret(
        self, ada: Account, anybody: Anybody, web_house: House, algorithm: str
    ) -> None:
        claims = jwt.decode(ada.tokens["access_token"], options={"verify_signature": False})
        kid = jwt.get_unverified_header(ada.tokens["access_token"])["kid"]
        public = (await web_house.signing_keys.public())[kid].public_bytes_raw()
        head = {"alg": algorithm, "kid": kid, "typ": "JWT"}
        key: Any = public if algorithm == "HS256" else None
        forged = jwt.encode(claims, key, algorithm=algorithm, headers=head)

        assert await status_of(anybody(), ada.signed_in(forged))() == 401


class TestRefresh:
    async def test_each_token_is_good_for_one_exchange_and_a_repeat_soon_after_gets_the_same(
        self, ada: Account
    ) -> None:
        first, again = await refresh(ada), await refresh(ada)

        assert first.status_code == again.status_code == 200
        assert first.json()["refresh_token"] == again.json()["refresh_token"] != ada.tokens["refresh_token"]
        assert first.json()["session_id"] == ada.tokens["session_id"]

    async def test_many_tabs_at_once_get_one_successor(self, ada: Account) -> None:
        answers = await asyncio.gather(*(refresh(ada) for _ in range(20)))

        assert {answer.status_code for answer in answers} == {200}
        assert len({answer.json()["refresh_token"] for answer in answers}) == 1

    async def test_three_within_a_second_and_the_second_again_ends_the_session(
        self, ada: Account, anybody: Anybody, mailbox: Mailbox
    ) -> None:
        second = (await refresh(ada)).json()
        third = (await refresh(ada, second["refresh_token"])).json()
        fourth = (await refresh(ada, third["refresh_token"])).json()
        stolen = await refresh(ada, second["refresh_token"])

        assert (stolen.status_code, stolen.json()["code"]) == (401, "invalid_refresh_token")
        assert (await refresh(ada, fourth["refresh_token"])).status_code == 401
        for token in (ada.tokens["access_token"], fourth["access_token"]):
            dead = status_of(anybody(), ada.signed_in(token))
            assert await eventually(dead, within=REVOKED_WITHIN_S, until=lambda status: status == 401)

        async def warned() -> bool:
            return any("was ended" in str(mail["subject"]) for mail in mailbox.mails.get(ada.email, []))

        assert await eventually(warned)

    @pytest.mark.parametrize("change", ["session", "generation", "mac", "length"])
    async def test_a_token_that_was_made_up_is_refused_and_ends_nothing(self, ada: Account, change: str) -> None:
        raw = bytearray(base64.urlsafe_b64decode(ada.tokens["refresh_token"].removeprefix("hwr_") + "=="))
        raw[{"session": 3, "generation": 19, "mac": 40, "length": 0}[change]] ^= 1
        raw = raw[:-1] if change == "length" else raw
        made_up = "hwr_" + base64.urlsafe_b64encode(raw).rstrip(b"=").decode()

        assert (await refresh(ada, made_up)).status_code == 401
        assert (await refresh(ada)).status_code == 200


class TestWhatEndsASession:
    async def test_signing_out_ends_this_one_everywhere(self, ada: Account, anybody: Anybody) -> None:
        other = (await ada.api.post("/auth/login", json={"email": ada.email, "password": PASSWORD})).json()

        assert (await ada.api.post("/auth/logout", headers=ada.signed_in())).status_code == 204
        dead = status_of(anybody(), ada.signed_in())
        assert await eventually(dead, within=REVOKED_WITHIN_S, until=lambda status: status == 401)
        assert (await refresh(ada)).status_code == 401
        assert await status_of(anybody(), ada.signed_in(other["access_token"]))() == 200

    async def test_sessions_are_listed_and_ended_one_by_one_or_all_others(self, ada: Account, anybody: Anybody) -> None:
        for device in ("phone", "tablet"):
            await ada.api.post("/auth/login", json={"email": ada.email, "password": PASSWORD, "device": device})
        listed = (await ada.api.get("/me/sessions", headers=ada.signed_in())).json()["data"]
        phone = next(each["id"] for each in listed if each["device"] == "phone")

        assert [each["id"] for each in listed if each["is_current"]] == [ada.tokens["session_id"]]
        assert (await ada.api.delete(f"/me/sessions/{phone}", headers=ada.signed_in())).status_code == 204
        assert len((await ada.api.get("/me/sessions", headers=ada.signed_in())).json()["data"]) == 2
        assert (await ada.api.delete("/me/sessions", headers=ada.signed_in())).status_code == 204
        left = (await ada.api.get("/me/sessions", headers=ada.signed_in())).json()["data"]
        assert [each["id"] for each in left] == [ada.tokens["session_id"]]

    async def test_nobody_ends_somebody_elses(self, ada: Account, anybody: Anybody) -> None:
        eve = await registered(anybody())

        answer = await eve.api.delete(f"/me/sessions/{ada.tokens['session_id']}", headers=eve.signed_in())
        no_session = await eve.api.delete(f"/me/sessions/{eve.id}", headers=eve.signed_in())
        no_key = await eve.api.delete(f"/me/api-keys/{eve.id}", headers=eve.signed_in())

        assert [answer.status_code, no_session.status_code, no_key.status_code] == [404, 404, 404]
        assert (await refresh(ada)).status_code == 200

    async def test_a_blocked_user_is_out_at_once_and_back_when_unblocked(
        self, ada: Account, anybody: Anybody, admin: httpx.AsyncClient
    ) -> None:
        assert (await admin.post(f"/users/{ada.id}/block")).status_code == 200
        dead = status_of(anybody(), ada.signed_in())
        assert await eventually(dead, within=REVOKED_WITHIN_S, until=lambda status: status == 401)
        login = await anybody().post("/auth/login", json={"email": ada.email, "password": PASSWORD})
        assert (login.status_code, login.json()["code"]) == (403, "user_blocked")
        assert (await refresh(ada)).status_code in (401, 403)

        await admin.post(f"/users/{ada.id}/unblock")
        again = await anybody().post("/auth/login", json={"email": ada.email, "password": PASSWORD})
        alive = status_of(anybody(), ada.signed_in(again.json()["access_token"]))
        assert await eventually(alive, within=REVOKED_WITHIN_S, until=lambda status: status == 200)


class TestSecurityEvents:
    async def test_they_say_what_happened_last_first_and_have_pages(
        self, ada: Account, anybody: Anybody, admin: httpx.AsyncClient
    ) -> None:
        eve = await registered(anybody())
        login = {"email": ada.email, "password": PASSWORD, "device": "phone"}
        phone = (await ada.api.post("/auth/login", json=login)).json()
        await ada.api.post("/auth/login", json=login | {"password": OTHER})
        key = await ada.api.post("/me/api-keys", json={"name": "x", "scopes": ["me:read"]}, headers=ada.signed_in())
        await admin.put(f"/users/{ada.id}/roles/moderator")
        await ada.api.delete(f"/me/sessions/{phone['session_id']}", headers=ada.signed_in())

        found: list[dict[str, Any]] = []
        query: dict[str, Any] = {"limit": 2}
        while True:
            answer = await ada.api.get("/me/security-events", params=query, headers=ada.signed_in())
            page = answer.json()
            found += page["data"]
            if not page["page"]["has_more"]:
                break
            query["cursor"] = page["page"]["next_cursor"]
        others = await eve.api.get("/me/security-events", params=query, headers=eve.signed_in())

        assert [each["type"] for each in found] == [
            "SessionRevoked",
            "UserRoleGranted",
            "ApiKeyCreated",
            "SessionOpened",
            "SessionOpened",
            "UserRegistered",
        ]
        ended, granted, made, opened, *_ = found
        assert (ended["session_id"], ended["reason"]) == (phone["session_id"], "revoked")
        assert (granted["role"], made["key_id"]) == ("moderator", key.json()["id"])
        assert (opened["session_id"], opened["device"], opened["methods"]) == (phone["session_id"], "phone", ["pwd"])
        assert opened["address"].startswith("10.")
        assert (others.status_code, others.json()["code"]) == (422, "invalid_cursor")


class TestPasswords:
    async def test_a_forgotten_one_is_replaced_by_mail_once(
        self, ada: Account, anybody: Anybody, mailbox: Mailbox
    ) -> None:
        assert (await anybody().post("/auth/password/forgot", json={"email": ada.email})).status_code == 202
        token = await mailbox.token(ada.email, "reset-password")

        weak = await anybody().post("/auth/password/reset", json={"token": token, "password": "short"})
        done = await anybody().post("/auth/password/reset", json={"token": token, "password": OTHER})
        again = await anybody().post("/auth/password/reset", json={"token": token, "password": PASSWORD})
        login = await anybody().post("/auth/login", json={"email": ada.email, "password": OTHER})

        assert (await refresh(ada)).status_code == 401  # at once, whoever hears of it when
        assert [weak.status_code, done.status_code, again.status_code] == [422, 204, 422]
        assert again.json()["code"] == "invalid_reset_token"
        assert login.status_code == 200
        dead = status_of(anybody(), ada.signed_in())
        assert await eventually(dead, within=REVOKED_WITHIN_S, until=lambda status: status == 401)

    async def test_nobody_learns_whether_an_address_has_an_account(self, ada: Account, anybody: Anybody) -> None:
        known = await anybody().post("/auth/password/forgot", json={"email": ada.email})
        unknown = await anybody().post("/auth/password/forgot", json={"email": new_address()})

        assert (known.status_code, known.content) == (unknown.status_code, unknown.content)

    async def test_another_password_ends_the_other_sessions(self, ada: Account, anybody: Anybody) -> None:
        other = (await ada.api.post("/auth/login", json={"email": ada.email, "password": PASSWORD})).json()
        ask = {"present": OTHER, "new": OTHER}
        wrong = await ada.api.post("/auth/password/change", json=ask, headers=ada.signed_in())
        right = await ada.api.post("/auth/password/change", json=ask | {"present": PASSWORD}, headers=ada.signed_in())

        assert (wrong.status_code, wrong.json()["code"]) == (403, "wrong_password")
        assert right.status_code == 204
        dead = status_of(anybody(), ada.signed_in(other["access_token"]))
        assert await eventually(dead, within=REVOKED_WITHIN_S, until=lambda status: status == 401)
        assert await status_of(anybody(), ada.signed_in())() == 200

    async def test_a_sign_in_that_began_before_the_reset_opens_nothing(
        self, ada: Account, web_house: House, mailbox: Mailbox, anybody: Anybody
    ) -> None:
        ports = identity_ports(web_house)
        await anybody().post("/auth/password/forgot", json={"email": ada.email})
        token = await mailbox.token(ada.email, "reset-password")

        class Slow(Argon2Passwords):
            """Somebody resets the password while the former one is looked at."""

            async def matches(self, password: str, hash_: str | None) -> bool:
                found = await super().matches(password, hash_)
                await reset_password(token, OTHER, datetime.now(UTC), ports)
                return found

        with pytest.raises(SignInRefused):
            await sign_in(ada.email, PASSWORD, Device("", "10.9.8.7"), replace(ports, passwords=Slow()))
        assert (await anybody().post("/auth/login", json={"email": ada.email, "password": OTHER})).status_code == 200

    async def test_a_new_hash_of_the_old_password_does_not_undo_a_reset(self, ada: Account, web_house: House) -> None:
        accounts, user = identity_ports(web_house).accounts, UUID(ada.id)
        former = await accounts.credential(user)
        assert former
        new = Credential("another", datetime.now(UTC))
        await accounts.set_credential(user, new)

        await accounts.renew(user, former, "the old one, hashed anew")

        assert await accounts.credential(user) == new

    async def test_a_mail_to_a_former_address_resets_nothing(
        self, ada: Account, anybody: Anybody, mailbox: Mailbox
    ) -> None:
        await anybody().post("/auth/password/forgot", json={"email": ada.email})
        token = await mailbox.token(ada.email, "reset-password")
        moved = {"email": new_address(), "password": PASSWORD}
        assert (await ada.api.patch("/me", json=moved, headers=ada.signed_in())).status_code == 200

        answer = await anybody().post("/auth/password/reset", json={"token": token, "password": OTHER})

        assert (answer.status_code, answer.json()["code"]) == (422, "invalid_reset_token")

    async def test_names_of_accounts_cannot_be_made_to_count_for_something_else(
        self, ada: Account, anybody: Anybody
    ) -> None:
        for name in (f"password {ada.id}", f"mail {ada.id}", f"code {ada.id}"):
            for _ in range(8):
                await anybody().post("/auth/login", json={"email": name, "password": OTHER})

        ask = {"present": PASSWORD, "new": OTHER}
        assert (await ada.api.post("/auth/password/change", json=ask, headers=ada.signed_in())).status_code == 204

    async def test_who_has_to_wait_keeps_nobody_else_out(self, ada: Account, anybody: Anybody) -> None:
        eve = anybody()
        for _ in range(30):
            await eve.post("/auth/login", json={"email": new_address(), "password": OTHER})
        for _ in range(10):
            await eve.post("/auth/login", json={"email": ada.email, "password": OTHER})

        assert (await anybody().post("/auth/login", json={"email": ada.email, "password": PASSWORD})).status_code == 200


class TestAddresses:
    async def test_a_mail_verifies_the_address_it_was_sent_to(
        self, ada: Account, anybody: Anybody, mailbox: Mailbox
    ) -> None:
        token = await mailbox.token(ada.email, "verify-email")
        other = new_address()

        assert (await anybody().post("/auth/email/verify", json={"token": token[:-2] + "AA"})).status_code == 422
        for _ in range(2):
            assert (await anybody().post("/auth/email/verify", json={"token": token})).status_code == 204
        verified = await ada.api.get("/me", headers=ada.signed_in())
        stolen = await ada.api.patch("/me", json={"email": other}, headers=ada.signed_in())
        moved = await ada.api.patch("/me", json={"email": other, "password": PASSWORD}, headers=ada.signed_in())
        late = await anybody().post("/auth/email/verify", json={"token": token})
        await anybody().post("/auth/email/verify", json={"token": await mailbox.token(other, "verify-email")})
        again = await ada.api.get("/me", headers=ada.signed_in())

        assert (stolen.status_code, stolen.json()["code"]) == (403, "wrong_password")
        assert verified.json()["email_verified"] is True
        assert (moved.json()["email"], moved.json()["email_verified"]) == (other, False)
        assert (late.status_code, late.json()["code"]) == (422, "email_changed")
        assert again.json()["email_verified"] is True

    async def test_the_former_address_is_told(self, ada: Account, mailbox: Mailbox) -> None:
        body = {"email": new_address(), "password": PASSWORD}
        await ada.api.patch("/me", json=body, headers=ada.signed_in())

        async def told() -> bool:
            return any("another address" in str(mail["subject"]) for mail in mailbox.mails.get(ada.email, []))

        assert await eventually(told)

    async def test_mails_are_not_sent_as_often_as_somebody_likes(self, ada: Account) -> None:
        ask = "/auth/email/request-verification"
        answers = [await ada.api.post(ask, headers=ada.signed_in()) for _ in range(8)]

        assert [each.status_code for each in answers[:5]] == [202] * 5
        assert answers[-1].status_code == 429

    async def test_many_changes_at_once_are_one_after_the_other(
        self, ada: Account, admin: httpx.AsyncClient, web_house: House
    ) -> None:
        def change(outside: Context) -> "asyncio.Task[httpx.Response]":
            asked = admin.patch(f"/users/{ada.id}", json={"email": new_address()})
            return asyncio.create_task(asked, context=outside.copy())

        outside = copy_context()
        async with web_house.databases["identity"].transaction() as connection:  # where all wait until it ends
            await connection.execute(sa.select(address).where(address.c.user_id == UUID(ada.id)).with_for_update())
            changes = [change(outside) for _ in range(6)]
            await eventually(lambda: connection.scalar(WAITING), until=lambda count: count >= len(changes))
        answers = await asyncio.gather(*changes)

        assert sorted({each.status_code for each in answers}) == [200, 409]
        assert {each.json()["code"] for each in answers if each.status_code == 409} == {"version_conflict"}

    async def test_a_mail_is_sent_again_on_request(self, ada: Account, mailbox: Mailbox) -> None:
        await mailbox.token(ada.email, "verify-email")

        asked = await ada.api.post("/auth/email/request-verification", headers=ada.signed_in())

        assert asked.status_code == 202
        assert await mailbox.token(ada.email, "verify-email", nth=2)

    async def test_a_former_address_is_free_and_a_taken_one_is_not(self, ada: Account, anybody: Anybody) -> None:
        bob = await registered(anybody())

        async def move(who: Account, email: str) -> httpx.Response:
            body = {"email": email, "password": PASSWORD}
            return await who.api.patch("/me", json=body, headers=who.signed_in())

        taken = await move(ada, bob.email)
        await move(ada, new_address())
        free = await move(bob, ada.email)

        assert (taken.status_code, taken.json()["code"]) == (409, "email_taken")
        assert free.status_code == 200


class TestUsers:
    async def test_create_read_change_and_erase(self, admin: httpx.AsyncClient, anybody: Anybody) -> None:
        email = new_address()
        made = await admin.post("/users", json={"email": email, "name": "Bob"})
        url = f"/users/{made.json()['id']}"
        read = await admin.get(url)
        replaced = await admin.put(url, json={"email": email, "name": "Bobby"}, headers={"if-match": '"1"'})
        stale = await admin.patch(url, json={"name": "Rob"}, headers={"if-match": '"1"'})
        patched = await admin.patch(
            url, json={"name": "Rob"}, headers={"if-match": '"2"', "content-type": "application/merge-patch+json"}
        )
        nothing = await admin.patch(url, json={"name": None})
        erased = await admin.delete(url)

        assert [made.status_code, read.status_code, replaced.status_code] == [201, 200, 200]
        assert (stale.status_code, stale.json()["code"]) == (412, "precondition_failed")
        assert (patched.json()["name"], patched.headers["etag"]) == ("Rob", '"3"')
        assert nothing.status_code == 422
        assert erased.status_code == 204
        assert (await admin.get(url)).status_code == 404
        assert (await admin.get(f"/users/{uuid4()}")).status_code == 404
        assert (await admin.get("/users/not-a-uuid")).status_code == 404

    async def test_a_user_an_administrator_made_gets_a_password_by_mail(
        self, admin: httpx.AsyncClient, anybody: Anybody, mailbox: Mailbox
    ) -> None:
        email = new_address()
        await admin.post("/users", json={"email": email, "name": "Bob"})
        before = await anybody().post("/auth/login", json={"email": email, "password": PASSWORD})
        await anybody().post("/auth/password/forgot", json={"email": email})
        token = await mailbox.token(email, "reset-password")
        await anybody().post("/auth/password/reset", json={"token": token, "password": PASSWORD})

        assert before.status_code == 401
        login = await anybody().post("/auth/login", json={"email": email, "password": PASSWORD})
        assert login.status_code == 200

    async def test_an_earlier_state_is_read_until_the_user_is_erased(self, ada: Account) -> None:
        then = datetime.now(UTC).isoformat()
        await ada.api.patch("/me", json={"name": "Ada L."}, headers=ada.signed_in())
        url = f"/users/{ada.id}"

        now = await ada.api.get(url, headers=ada.signed_in())
        was = await ada.api.get(url, params={"as_of": then}, headers=ada.signed_in())

        assert (now.json()["name"], was.json()["name"]) == ("Ada L.", "Ada")
        await ada.api.delete(url, headers=ada.signed_in())
        gone = await ada.api.get(url, params={"as_of": then}, headers=ada.signed_in())
        assert gone.status_code in (401, 404)

    async def test_others_see_the_name_only(self, ada: Account, client: Client) -> None:
        seen = (await client(uuid4()).get(f"/users/{ada.id}")).json()

        assert {name for name, value in seen.items() if value is not None} == {"id", "name"}

    async def test_roles_are_in_the_next_token(self, ada: Account, admin: httpx.AsyncClient) -> None:
        assert (await admin.put(f"/users/{ada.id}/roles/moderator")).json()["roles"] == ["moderator"]
        token = (await refresh(ada)).json()["access_token"]
        mine = await ada.api.get("/me/permissions", headers=ada.signed_in(token))

        assert mine.json()["roles"] == ["moderator", "user"]
        assert "messaging:former" in mine.json()["permissions"]
        assert (await admin.delete(f"/users/{ada.id}/roles/moderator")).json()["roles"] == []
        assert (await admin.put(f"/users/{ada.id}/roles/emperor")).status_code == 422

    async def test_the_list_has_pages_and_is_for_who_may(
        self, ada: Account, admin: httpx.AsyncClient, anybody: Anybody
    ) -> None:
        bob = await registered(anybody())

        async def everybody() -> list[str]:
            ids: list[str] = []
            cursor = None
            while True:
                page = (await admin.get("/users", params={"limit": 7} | ({"cursor": cursor} if cursor else {}))).json()
                ids += [each["id"] for each in page["data"]]
                if (cursor := page["page"]["next_cursor"]) is None:
                    return ids

        found = await eventually(everybody, until=lambda ids: {ada.id, bob.id} <= set(ids))
        assert len(found) == len(set(found))
        assert found.index(ada.id) < found.index(bob.id)
        assert (await ada.api.get("/users", headers=ada.signed_in())).status_code == 403


class TestApiKeys:
    async def made(self, ada: Account, *scopes: str, **more: Any) -> dict[str, Any]:
        body = {"name": "backup", "scopes": list(scopes), **more}
        answer = await ada.api.post("/me/api-keys", json=body, headers=ada.signed_in())
        assert answer.status_code == 201, answer.text
        return dict(answer.json())

    async def test_a_key_does_what_its_scopes_say_and_no_more(self, ada: Account, anybody: Anybody) -> None:
        made = await self.made(ada, "messages:read", "me:read")
        assert made["key"].startswith("hw_")
        for headers in ({"x-api-key": made["key"]}, ada.signed_in(made["key"])):
            program = anybody()
            program.headers.update(headers)
            body = {"participants": [ada.id, str(uuid4())], "body": "x", "client_id": "x"}

            assert (await program.get("/me")).json()["id"] == ada.id
            assert (await program.get(f"/messages/{uuid4()}")).status_code == 404
            for refused in (
                await program.post("/messages", json=body),
                await program.get("/conversations"),
                await program.patch("/me", json={"name": "x"}),
                await program.post("/auth/logout-all"),
                await program.get("/me/api-keys"),
            ):
                assert (refused.status_code, refused.json()["code"]) == (403, "scope_missing")

    async def test_a_key_may_no_more_than_its_owner(
        self, ada: Account, admin: httpx.AsyncClient, anybody: Anybody
    ) -> None:
        made = await self.made(ada, "users:read", "users:write")
        program = anybody()
        program.headers["x-api-key"] = made["key"]

        assert (await program.get("/users")).status_code == 403
        assert (await program.delete(f"/users/{uuid4()}")).status_code == 403
        assert (await program.delete(f"/users/{ada.id}")).status_code == 403  # its owner signs in for that

    async def test_it_is_shown_once_listed_and_refused_when_revoked(self, ada: Account, anybody: Anybody) -> None:
        made = await self.made(ada, "me:read")
        program = anybody()
        program.headers["x-api-key"] = made["key"]
        assert (await program.get("/me")).status_code == 200
        (listed,) = (await ada.api.get("/me/api-keys", headers=ada.signed_in())).json()["data"]

        for _ in range(2):
            assert (await ada.api.delete(f"/me/api-keys/{made['id']}", headers=ada.signed_in())).status_code == 204

        async def status() -> int:
            return (await program.get("/me")).status_code

        assert await eventually(status, within=REVOKED_WITHIN_S, until=lambda found: found == 401)
        assert listed["used_at"]
        assert made["key"] not in str(listed)
        assert (await ada.api.get("/me/api-keys", headers=ada.signed_in())).json()["data"] == []

    @pytest.mark.parametrize("change", [4, 20, 60, -1])
    async def test_a_key_that_was_changed_is_none(self, ada: Account, anybody: Anybody, change: int) -> None:
        key = list((await self.made(ada, "me:read"))["key"])
        key[change] = "0" if key[change] != "0" else "1"

        assert (await anybody().get("/me", headers={"x-api-key": "".join(key)})).status_code == 401

    async def test_an_expired_key_and_one_of_a_blocked_user_are_refused(
        self, ada: Account, anybody: Anybody, admin: httpx.AsyncClient
    ) -> None:
        soon = (datetime.now(UTC) + timedelta(seconds=3)).isoformat()
        short, long = await self.made(ada, "me:read", expires_at=soon), await self.made(ada, "me:read")

        async def expired() -> int:
            return (await anybody().get("/me", headers={"x-api-key": short["key"]})).status_code

        async def blocked() -> int:
            return (await anybody().get("/me", headers={"x-api-key": long["key"]})).status_code

        assert await eventually(expired, until=lambda found: found == 401)
        assert await blocked() == 200
        await admin.post(f"/users/{ada.id}/block")
        assert await eventually(blocked, within=REVOKED_WITHIN_S, until=lambda found: found in (401, 403))

    @pytest.mark.parametrize(
        "change", [{"scopes": []}, {"scopes": ["everything"]}, {"expires_at": "2020-01-01T00:00:00Z"}, {"name": "\n"}]
    )
    async def test_what_no_key_can_be_is_refused(self, ada: Account, change: dict[str, Any]) -> None:
        body = {"name": "backup", "scopes": ["me:read"]} | change

        assert (await ada.api.post("/me/api-keys", json=body, headers=ada.signed_in())).status_code == 422


class TestSecondFactor:
    """Its codes are made by pyotp at times of our choice; the server's own are by the clock."""

    @pytest.fixture
    async def protected(self, ada: Account) -> "Protected":
        begun = (await ada.api.post("/auth/mfa/totp/enroll", headers=ada.signed_in())).json()
        authenticator = pyotp.parse_uri(begun["uri"])
        assert isinstance(authenticator, pyotp.TOTP)
        assert (authenticator.name, authenticator.issuer, authenticator.secret) == (
            ada.email,
            "Headwater",
            begun["secret"],
        )
        wrong = await ada.api.post("/auth/mfa/totp/confirm", json={"code": "abcdef"}, headers=ada.signed_in())
        assert (wrong.status_code, wrong.json()["code"]) == (403, "wrong_code")
        code = authenticator.at(
            datetime.now(UTC) - timedelta(seconds=30)
        )  # the step before, so that those of now are left
        done = await ada.api.post("/auth/mfa/totp/confirm", json={"code": code}, headers=ada.signed_in())
        assert done.status_code == 200, done.text
        return Protected(ada, authenticator, done.json()["recovery_codes"])

    async def test_a_code_opens_the_session_once(self, protected: "Protected", anybody: Anybody) -> None:
        first, second = await protected.begin(anybody()), await protected.begin(anybody())
        code = protected.authenticator.now()
        wrong = await anybody().post("/auth/mfa/verify", json={"mfa_token": first, "code": "000000"})
        right = await anybody().post("/auth/mfa/verify", json={"mfa_token": first, "code": code})
        again = await anybody().post("/auth/mfa/verify", json={"mfa_token": second, "code": code})
        claims = jwt.decode(right.json()["access_token"], options={"verify_signature": False})

        assert [wrong.status_code, right.status_code, again.status_code] == [401, 200, 401]
        assert claims["amr"] == ["pwd", "otp", "mfa"]

    async def test_of_two_at_once_one_uses_the_code(self, protected: "Protected", anybody: Anybody) -> None:
        token, code = await protected.begin(anybody()), protected.authenticator.now()
        ask = {"mfa_token": token, "code": code}
        answers = await asyncio.gather(*(anybody().post("/auth/mfa/verify", json=ask) for _ in range(4)))

        assert sorted(answer.status_code for answer in answers) == [200, 401, 401, 401]

    async def test_recovery_codes_are_good_once_each(self, protected: "Protected", anybody: Anybody) -> None:
        assert len(set(protected.recovery_codes)) == 10
        for code, status in ((protected.recovery_codes[0], 200), (protected.recovery_codes[0], 401)):
            ask = {"mfa_token": await protected.begin(anybody()), "code": code.upper()}
            assert (await anybody().post("/auth/mfa/verify", json=ask)).status_code == status

    async def test_who_guesses_codes_has_to_wait(self, protected: "Protected", anybody: Anybody) -> None:
        token = await protected.begin(anybody())
        ask = {"mfa_token": token, "code": "nothing"}
        guesses = [await anybody().post("/auth/mfa/verify", json=ask) for _ in range(8)]

        assert [each.status_code for each in guesses[:5]] == [401] * 5
        assert guesses[-1].status_code == 429

    async def test_it_is_removed_by_a_code_or_by_an_administrator(
        self, protected: "Protected", anybody: Anybody, admin: httpx.AsyncClient
    ) -> None:
        ada = protected.account
        again = await ada.api.post("/auth/mfa/totp/enroll", headers=ada.signed_in())
        wrong = await ada.api.post("/auth/mfa/totp/remove", json={"code": "000000"}, headers=ada.signed_in())
        assert (again.status_code, wrong.status_code) == (422, 403)
        await protected.begin(anybody())

        assert (await admin.delete(f"/users/{ada.id}/mfa")).status_code == 204
        login = await anybody().post("/auth/login", json={"email": ada.email, "password": PASSWORD})
        assert login.status_code == 200

    async def test_a_mail_alone_does_not_open_it(
        self, protected: "Protected", anybody: Anybody, mailbox: Mailbox
    ) -> None:
        email = protected.account.email
        await anybody().post("/auth/password/forgot", json={"email": email})
        token = await mailbox.token(email, "reset-password")
        await anybody().post("/auth/password/reset", json={"token": token, "password": OTHER})

        login = await anybody().post("/auth/login", json={"email": email, "password": OTHER})

        assert (login.status_code, login.json()["code"]) == (401, "mfa_required")

    async def test_a_code_with_the_former_password_opens_nothing(
        self, protected: "Protected", anybody: Anybody, mailbox: Mailbox
    ) -> None:
        email = protected.account.email
        begun = await protected.begin(anybody())
        await anybody().post("/auth/password/forgot", json={"email": email})
        reset = {"token": await mailbox.token(email, "reset-password"), "password": OTHER}
        assert (await anybody().post("/auth/password/reset", json=reset)).status_code == 204

        ask = {"mfa_token": begun, "code": protected.authenticator.now()}
        assert (await anybody().post("/auth/mfa/verify", json=ask)).status_code == 401


@dataclass(slots=True)
class Protected:
    """An account with a second factor."""

    account: Account
    authenticator: pyotp.TOTP
    recovery_codes: list[str]

    async def begin(self, api: httpx.AsyncClient) -> str:
        """Give the right password; return the token that goes with a code."""
        answer = await api.post("/auth/login", json={"email": self.account.email, "password": PASSWORD})
        assert (answer.status_code, answer.json()["code"]) == (401, "mfa_required"), answer.text
        return str(answer.json()["mfa_token"])


class TestErasure:
    async def test_nothing_personal_is_left_and_others_are_untouched(
        self, anybody: Anybody, admin: httpx.AsyncClient, web_house: House, mailbox: Mailbox
    ) -> None:
        name = f"Ada {uuid4().hex}"
        ada, bob = await registered(anybody()), await registered(anybody())
        await ada.api.patch("/me", json={"name": name}, headers=ada.signed_in())
        device = f"phone {uuid4().hex}"
        await ada.api.post("/auth/login", json={"email": ada.email, "password": PASSWORD, "device": device})
        await ada.api.post("/me/api-keys", json={"name": device, "scopes": ["me:read"]}, headers=ada.signed_in())
        await mailbox.token(ada.email, "verify-email")

        async def listed() -> bool:
            return name in (await _everything(web_house))

        assert await eventually(listed)
        assert (await ada.api.delete(f"/users/{ada.id}", headers=ada.signed_in())).status_code == 204

        async def gone() -> bool:
            rows = await _everything(web_house)
            return not any(each in rows for each in (name, ada.email, device))

        assert await eventually(gone)
        topics = await _records(web_house)
        assert name.encode() not in topics
        assert ada.email.encode() not in topics
        assert ada.id.encode() in topics
        assert (await anybody().post("/auth/login", json={"email": ada.email, "password": PASSWORD})).status_code == 401
        assert (await bob.api.get("/me", headers=bob.signed_in())).json()["email"] == bob.email
        again = await registered(anybody(), ada.email)
        assert again.id != ada.id


async def _everything(house: House) -> str:
    """Return every row of every table of the context, as text."""
    tables = "select table_name from information_schema.tables where table_schema = 'identity'"
    async with house.databases["identity"].transaction() as connection:
        names = (await connection.scalars(sa.text(tables))).all()
        rows = [
            row
            for name in names
            for row in (await connection.scalars(sa.text(f"select t::text from identity.{name} t"))).all()
        ]
    return "\n".join(rows)


async def _records(house: House) -> bytes:
    """Return the values of every record of the context's topics."""
    found = b""
    async with KafkaReader(house.kafka).open(["users", "sessions"]) as reader:
        ends = await reader.ends()
        reader.seek(await reader.beginnings())
        async for batch in reader.batches():
            found += b"".join(raw.value or b"" for raw in batch)
            at = await reader.positions()
            if all(at[key] >= end for key, end in ends.items()):
                return found
    return found
