"""What somebody gets who has a token, a key or a mail of another, or wants one."""

import asyncio
from datetime import UTC, datetime, timedelta
from uuid import UUID, uuid4

import httpx
import pytest
import sqlalchemy as sa

from bounded_contexts.identity.adapters.tables import session
from headwater.wiring import House
from infra.access_tokens import User
from infra.revocations import Revocations
from schemas.identity.events import UserErased, UserRoleGranted, UserRoleRevoked
from shared_kernel.events import Event, Position, Recorded
from tests.integration.accounts import PASSWORD, Account, registered
from tests.integration.conftest import Client
from tests.mailbox import Mailbox
from tests.probes import eventually

pytestmark = pytest.mark.usefixtures("groups")


@pytest.fixture
async def ada(client: Client) -> Account:
    return await registered(client())


def code(answer: httpx.Response) -> tuple[int, str]:
    return answer.status_code, answer.json()["code"]


async def opened_a_while_ago(session_id: str, house: House) -> None:
    opened = sa.update(session).where(session.c.session_id == UUID(session_id))
    async with house.databases["identity"].transaction() as connection:
        await connection.execute(opened.values(opened_at=datetime.now(UTC) - timedelta(minutes=11)))


class TestStolenTokens:
    """Of a session that was opened a while ago, as most are."""

    @pytest.fixture
    async def thief(self, ada: Account, web_house: House) -> httpx.AsyncClient:
        await opened_a_while_ago(ada.session, web_house)
        return ada.api

    async def test_nothing_is_made_that_outlasts_the_token(self, ada: Account, thief: httpx.AsyncClient) -> None:
        key = await thief.post("/me/api-keys", json={"name": "mine", "scopes": ["me:read"]})
        factor = await thief.post("/auth/mfa/totp/enroll")
        erased = await thief.delete(f"/users/{ada.id}")

        assert [code(each) for each in (key, factor, erased)] == [(403, "sign_in_again")] * 3
        assert (await thief.get("/me")).status_code == 200

    async def test_of_an_administrator_nobody_erases_others_or_gives_programs_more(
        self, ada: Account, client: Client, web_house: House
    ) -> None:
        other, admin = await registered(client()), client(uuid4(), "admin")
        await admin.put(f"/users/{ada.id}/roles/admin")
        program = (await admin.post("/service-accounts", json={"name": "x", "scopes": ["me:read"]})).json()["id"]
        again = (await ada.api.post("/auth/login", json={"email": ada.email, "password": PASSWORD})).json()
        ada.api.headers["authorization"] = f"Bearer {again['access_token']}"
        await opened_a_while_ago(again["session_id"], web_house)

        erased = await ada.api.delete(f"/users/{other.id}")
        widened = await ada.api.patch(f"/service-accounts/{program}", json={"scopes": ["messages:write"]})
        deleted = await ada.api.delete(f"/service-accounts/{program}")
        renamed = await ada.api.patch(f"/service-accounts/{program}", json={"name": "y"})

        assert [code(each) for each in (erased, widened, deleted)] == [(403, "sign_in_again")] * 3
        assert (renamed.status_code, renamed.json()["scopes"]) == (200, ["me:read"])
        assert (await other.api.get("/me")).status_code == 200

    async def test_who_signs_in_again_may(self, ada: Account, thief: httpx.AsyncClient) -> None:
        again = (await thief.post("/auth/login", json={"email": ada.email, "password": PASSWORD})).json()
        thief.headers["authorization"] = f"Bearer {again['access_token']}"

        assert (await thief.post("/me/api-keys", json={"name": "mine", "scopes": ["me:read"]})).status_code == 201
        assert (await thief.delete(f"/users/{ada.id}")).status_code == 204


@pytest.mark.parametrize("end", ["block", "erase"])
async def test_the_key_of_somebody_who_is_blocked_or_gone_is_none(ada: Account, client: Client, end: str) -> None:
    key = (
        await ada.api.post("/me/api-keys", json={"name": "backup", "scopes": ["me:read", "notifications:read"]})
    ).json()
    admin = client(uuid4(), "admin")
    await (admin.post(f"/users/{ada.id}/block") if end == "block" else admin.delete(f"/users/{ada.id}"))

    for path in ("/me", "/notifications"):
        answer = await client().get(path, headers={"x-api-key": key["key"]})
        assert answer.status_code == 401, answer.text


async def test_of_two_who_use_a_reset_token_at_once_one_does(client: Client, ada: Account, mailbox: Mailbox) -> None:
    await client().post("/auth/password/forgot", json={"email": ada.email})
    token = await mailbox.token(ada.email, "reset-password")
    bodies = [{"token": token, "password": f"staple correct horse {number}"} for number in range(2)]

    answers = await asyncio.gather(*(client().post("/auth/password/reset", json=body) for body in bodies))

    assert sorted(each.status_code for each in answers) == [204, 422]
    (refused,) = [each for each in answers if each.status_code == 422]
    assert refused.json()["code"] == "invalid_reset_token"


async def test_a_name_is_not_mailed_to_who_may_be_a_stranger(client: Client, mailbox: Mailbox) -> None:
    async def written(count: int) -> list[str]:
        async def texts() -> list[str]:
            return [str(mail.get_content()) for mail in mailbox.mails.get(email, [])]

        return await eventually(texts, until=lambda texts: len(texts) >= count)

    email, name = f"{uuid4().hex}@example.org", "Win at casino.example"
    await client().post("/auth/register", json={"email": email, "name": name, "password": PASSWORD})
    await client().post("/auth/password/forgot", json={"email": email})
    unasked = await written(2)
    await client().post("/auth/email/verify", json={"token": await mailbox.token(email, "verify-email")})
    await client().post("/auth/password/forgot", json={"email": email})

    assert [name in text for text in await written(3)] == [False, False, True], unasked


async def test_only_who_lists_users_learns_former_names(ada: Account, client: Client) -> None:
    then = {"as_of": datetime.now(UTC).isoformat()}
    await ada.api.patch("/me", json={"name": "Ada L."})

    assert code(await client(uuid4()).get(f"/users/{ada.id}", params=then)) == (403, "forbidden")
    for may in (ada.api, client(uuid4(), "auditor")):
        assert (await may.get(f"/users/{ada.id}", params=then)).json()["name"] == "Ada"


async def test_an_erased_user_is_refused_for_as_long_as_tokens_of_others_may_hold() -> None:
    revocations, user = Revocations(timedelta(seconds=-1)), uuid4()
    erased = UserErased(user_id=user, erased_by=user, erased_at=datetime.now(UTC))
    await revocations.feed.deliver([heard(erased)])
    revocations._pruned_at = float("-inf")
    await revocations.feed.deliver([])

    assert revocations.reason(User(user, frozenset(), datetime.now(UTC))) == "erased"


async def test_a_token_that_names_a_role_its_user_has_lost_is_refused() -> None:
    revocations, user, told = Revocations(timedelta(minutes=10)), uuid4(), []
    revocations.listen(lambda *each: told.append(each))
    by_then = User(user, frozenset({"auditor", "operator"}), datetime.now(UTC))
    now = datetime.now(UTC)
    lost = UserRoleRevoked(user_id=user, role="auditor", revoked_by=user, revoked_at=now)
    await revocations.feed.deliver([heard(lost)])

    assert revocations.reason(by_then) == "role_revoked"
    assert revocations.reason(User(user, frozenset({"operator"}), datetime.now(UTC))) is None
    assert told == [(user, None, "role_revoked")]

    again = UserRoleGranted(user_id=user, role="auditor", granted_by=user, granted_at=now)
    await revocations.feed.deliver([heard(again)])
    assert revocations.reason(by_then) is None


def heard(event: Event) -> Recorded:
    return Recorded(event, Position("users", 0, 0), "", "", "", "", "", None)
