"""A page in a browser, signed in by a real OpenID provider, through the public port alone."""

from urllib.parse import parse_qs, urlsplit
from uuid import uuid4

import httpx

from tests.e2e.conftest import Stack
from tests.e2e.test_identity import bearer, mailed, registered
from tests.oidc_provider import OpenIdProvider

PAGE = "http://localhost:3000/chat"  # under HEADWATER_ACCOUNT_PAGES
CSRF = {"x-csrf": "1"}


async def arrive(browser: httpx.AsyncClient, provider: OpenIdProvider, who: str) -> str:
    """Sign in as `who`; return where the browser is at last."""
    begun = await browser.get("/auth/oidc/acme/authorize", params={"return_to": PAGE})
    assert begun.status_code == 302, begun.text
    back = await browser.get(await provider.sign_in(begun.headers["location"], who))
    assert back.status_code == 303, back.text
    return str(back.headers["location"])


async def test_somebody_new_signs_in_by_a_provider_stays_signed_in_and_chats(
    stack: Stack, provider: OpenIdProvider, outside: httpx.AsyncClient
) -> None:
    who = uuid4().hex
    await provider.know(who, email=f"{who}@example.org", email_verified=True, name="Ada")
    bob, _, _ = await registered(outside)

    async with httpx.AsyncClient(base_url=f"{stack.url}/api/v1", timeout=30) as page:
        assert await arrive(page, provider, who) == PAGE
        another_sites = await page.post("/auth/refresh", json={})
        first = await page.post("/auth/refresh", json={}, headers=CSRF)
        second = await page.post("/auth/refresh", json={}, headers=CSRF)
        me = (await page.get("/me", headers=bearer(second.json()))).json()
        message = {"client_id": "first", "participants": [me["id"], str(bob)], "body": "Hello"}
        sent = await page.post("/messages", json=message, headers=bearer(second.json()) | {"prefer": "wait=10"})
        out = await page.post("/auth/logout", headers=CSRF)
        after = await page.post("/auth/refresh", json={}, headers=CSRF)

    assert [each.status_code for each in (another_sites, first, second)] == [403, 200, 200]
    assert (me["name"], me["email_verified"]) == ("Ada", True)
    assert sent.status_code == 201, sent.text
    assert (out.status_code, after.status_code) == (204, 422)


async def test_an_account_is_linked_by_an_address_that_both_have_verified(
    stack: Stack, provider: OpenIdProvider, outside: httpx.AsyncClient
) -> None:
    account, email, tokens = await registered(outside)
    verified = await outside.post("/auth/email/verify", json={"token": await mailed(stack, email, "verify-email")})
    assert verified.status_code == 204
    honest, unsure = uuid4().hex, uuid4().hex
    await provider.know(honest, email=email, email_verified=True, name="Ada")
    await provider.know(unsure, email=email, email_verified=False, name="Eve")

    async with httpx.AsyncClient(base_url=f"{stack.url}/api/v1", timeout=30) as eve:
        refused = await arrive(eve, provider, unsure)
        nothing = await eve.post("/auth/refresh", json={}, headers=CSRF)
    async with httpx.AsyncClient(base_url=f"{stack.url}/api/v1", timeout=30) as ada:
        assert await arrive(ada, provider, honest) == PAGE
        mine = (await ada.post("/auth/refresh", json={}, headers=CSRF)).json()
        me = (await ada.get("/me", headers=bearer(mine))).json()
    logins = (await outside.get("/me/logins", headers=bearer(tokens))).json()["data"]

    assert parse_qs(urlsplit(refused).query)["error"] == ["email_unverified"]
    assert nothing.status_code == 422
    assert me["id"] == str(account)
    assert [each["issuer"] for each in logins] == [provider.issuer]
