"""What a provider, or somebody in its name, may not make us believe, fetch or wait for."""

import base64
import gzip
import hashlib
import socket
from collections.abc import Iterator
from contextlib import closing
from typing import Any
from urllib.parse import parse_qs, urlsplit

import jwt
import pytest

from bounded_contexts.identity.adapters import oidc
from bounded_contexts.identity.adapters.oidc import Begun, OidcProvider
from bounded_contexts.identity.application.logins import Identified
from shared_kernel.errors import HeadwaterError, Unavailable
from tests.rogue_provider import CLIENT, SECRET, Answer, RogueProvider, answered, rogue_provider

BEGUN = Begun("rogue", "the state", "the nonce", "v" * 43, "https://app.example/", 0)
CALLBACK = "https://api.app.example/callback"
DISCOVERY = "/.well-known/openid-configuration"
ELSEWHERE = {"location": "/elsewhere"}
USERINFO = {"sub": "ada", "email": "ada@userinfo.example", "email_verified": True}


@pytest.fixture
def rogue() -> Iterator[RogueProvider]:
    with rogue_provider() as running:
        running.token = running.signed(running.claims(BEGUN.nonce))
        yield running


@pytest.fixture
def provider(rogue: RogueProvider) -> OidcProvider:
    return OidcProvider(rogue.issuer, CLIENT, SECRET)


async def told(provider: OidcProvider, **answer: str) -> str | Identified:
    """Return whom the answer is about, or the error."""
    try:
        return await provider.identify({"code": "x"} | answer, BEGUN, CALLBACK)
    except HeadwaterError as error:
        return error.code


async def test_what_is_honest_is_believed(rogue: RogueProvider, provider: OidcProvider) -> None:
    ada = Identified(rogue.issuer, "ada", "ada@rogue.example", "Ada")
    assert await told(provider) == ada
    for honest in ({"aud": [CLIENT]}, {"aud": [CLIENT, "another"], "azp": CLIENT}, {"email_verified": "true"}):
        rogue.token = rogue.signed(rogue.claims(BEGUN.nonce, **honest))
        assert await told(provider) == ada


@pytest.mark.parametrize(
    "unsure", [{"email_verified": False}, {"email_verified": None}, {"email_verified": "no"}, {"email": 7}]
)
async def test_an_address_that_it_does_not_vouch_for_is_none(
    rogue: RogueProvider, provider: OidcProvider, unsure: dict[str, Any]
) -> None:
    rogue.token = rogue.signed(rogue.claims(BEGUN.nonce, **unsure))

    assert await told(provider) == Identified(rogue.issuer, "ada", None, "Ada")


async def test_the_browser_is_sent_with_a_challenge_and_the_verifier_stays_here(
    rogue: RogueProvider, provider: OidcProvider
) -> None:
    rogue.about = {"authorization_endpoint": f"{rogue.issuer}/authorize?tenant=7"}
    url = await provider.authorization_url(BEGUN, CALLBACK)
    asked = {name: values[0] for name, values in parse_qs(urlsplit(url).query).items()}

    challenge = base64.urlsafe_b64encode(hashlib.sha256(BEGUN.verifier.encode()).digest()).rstrip(b"=")
    assert asked == {
        "tenant": "7",
        "response_type": "code",
        "client_id": CLIENT,
        "redirect_uri": CALLBACK,
        "scope": "openid email profile",
        "state": BEGUN.state,
        "nonce": BEGUN.nonce,
        "code_challenge": challenge.decode(),
        "code_challenge_method": "S256",
    }


@pytest.mark.parametrize(
    "lie",
    [
        {"nonce": "another"},
        {"nonce": None},
        {"iss": "https://evil.example"},
        {"iss": None},
        {"aud": "another"},
        {"aud": ["another"]},
        {"aud": []},
        {"aud": None},
        {"aud": "another", "azp": CLIENT},
        {"aud": [CLIENT, "another"]},
        {"aud": [CLIENT, "another"], "azp": "another"},
        {"azp": "another"},
        {"exp": 1},
        {"exp": None},
        {"exp": "soon"},
        {"iat": None},
        {"nbf": 4_000_000_000},
        {"sub": None},
        {"sub": ""},
        {"sub": 7},
        {"sub": "x" * 256},
        {"at_hash": "another"},
    ],
    ids=str,
)
async def test_claims_that_are_not_for_us_now_and_asked_for_are_refused(
    rogue: RogueProvider, provider: OidcProvider, lie: dict[str, Any]
) -> None:
    rogue.token = rogue.signed(rogue.claims(BEGUN.nonce, **lie))

    assert await told(provider) == "invalid_id_token"


@pytest.mark.parametrize("algorithm", ["none", "HS256", "another key", "another kind of key"])
async def test_a_token_that_the_published_key_has_not_signed_is_refused(
    rogue: RogueProvider, provider: OidcProvider, algorithm: str
) -> None:
    rogue.token = rogue.signed(rogue.claims(BEGUN.nonce), algorithm)

    assert await told(provider) == "invalid_id_token"


async def test_a_secret_that_is_published_is_no_key(rogue: RogueProvider, provider: OidcProvider) -> None:
    secret = b"published" * 4
    key = {"kty": "oct", "kid": "one", "k": base64.urlsafe_b64encode(secret).rstrip(b"=").decode()}
    rogue.instead["/keys"] = answered({"keys": [key]})
    rogue.token = jwt.encode(rogue.claims(BEGUN.nonce), secret, "HS256", {"kid": "one"})

    assert await told(provider) == "invalid_id_token"


@pytest.mark.parametrize("token", ["", "x", "a.b.c", "e30.e30.", "W10.W10.x", "ä.ö.ü", None, 7, ["x"]])
async def test_what_is_no_token_is_refused(rogue: RogueProvider, provider: OidcProvider, token: Any) -> None:
    rogue.instead["/token"] = answered({"access_token": "x", "id_token": token})

    assert await told(provider) == "invalid_id_token"


async def test_what_is_published_is_kept_and_an_unknown_key_is_not_looked_for_at_every_request(
    rogue: RogueProvider, provider: OidcProvider
) -> None:
    assert isinstance(await told(provider), Identified)
    rogue.token = rogue.signed(rogue.claims(BEGUN.nonce), kid="made up")
    for _ in range(3):
        assert await told(provider) == "invalid_id_token"

    assert (rogue.asked.count("/keys"), rogue.asked.count(DISCOVERY)) == (1, 1)


async def test_a_key_that_is_new_is_found(
    rogue: RogueProvider, provider: OidcProvider, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert isinstance(await told(provider), Identified)
    rogue.kid = "two"
    rogue.token = rogue.signed(rogue.claims(BEGUN.nonce), kid="two")
    monkeypatch.setattr(oidc, "AGAIN_S", 0.0)

    assert isinstance(await told(provider), Identified)


@pytest.mark.parametrize("keys", [{}, {"keys": 7}, {"keys": ["x"]}, {"keys": [{"kty": "RSA", "kid": "one"}]}])
async def test_keys_that_are_none_verify_nothing(rogue: RogueProvider, provider: OidcProvider, keys: Any) -> None:
    rogue.instead["/keys"] = answered(keys)

    assert await told(provider) == "invalid_id_token"


async def test_what_the_token_does_not_say_is_asked_for_of_the_same_person(
    rogue: RogueProvider, provider: OidcProvider
) -> None:
    rogue.about = {"userinfo_endpoint": f"{rogue.issuer}/userinfo"}
    rogue.token = rogue.signed(rogue.claims(BEGUN.nonce, email=None, email_verified=None))
    rogue.instead["/userinfo"] = answered(USERINFO)
    assert await told(provider) == Identified(rogue.issuer, "ada", "ada@userinfo.example", "Ada")

    for somebody in ({"sub": "eve"}, {"sub": None}):
        rogue.instead["/userinfo"] = answered(USERINFO | somebody)
        assert await told(provider) == "invalid_id_token"


async def test_another_providers_answer_is_refused(rogue: RogueProvider, provider: OidcProvider) -> None:
    assert await told(provider, iss="https://evil.example") == "provider_refused"
    assert isinstance(await told(provider, iss=rogue.issuer), Identified)


async def test_who_says_to_name_itself_has_to(rogue: RogueProvider, provider: OidcProvider) -> None:
    rogue.about = {"authorization_response_iss_parameter_supported": True}

    assert await told(provider) == "provider_refused"
    assert isinstance(await told(provider, iss=rogue.issuer), Identified)


@pytest.mark.parametrize(
    "answer",
    [
        (302, ELSEWHERE, b""),
        (404, {}, b"{}"),
        (500, {}, b"{}"),
        (200, {}, b"[]"),
        (200, {}, b"{"),
        (200, {}, b"[" * 100_000),
    ],
    ids=lambda answer: f"{answer[0]} {answer[2][:20]!r}",
)
async def test_a_provider_that_does_not_say_what_it_is_is_away(
    rogue: RogueProvider, provider: OidcProvider, answer: Answer
) -> None:
    rogue.instead[DISCOVERY] = answer
    for _ in range(2):
        with pytest.raises(Unavailable):
            await provider.authorization_url(BEGUN, CALLBACK)

    assert rogue.asked == [DISCOVERY]  # neither what it is redirected to, nor the same again at once


@pytest.mark.parametrize("change", ["another issuer", "too much", "compressed"])
async def test_what_would_be_believed_but_for_one_thing_is_not(
    rogue: RogueProvider, provider: OidcProvider, change: str
) -> None:
    if change == "another issuer":
        rogue.about = {"issuer": "https://evil.example"}
    elif change == "too much":
        rogue.about = {"padding": "x" * oidc.LIMIT}
    else:  # which has no limit that can be seen beforehand
        rogue.instead[DISCOVERY] = (200, {"content-encoding": "gzip"}, gzip.compress(rogue.answer(DISCOVERY)[2]))

    assert await told(provider) == "provider_unavailable"


async def test_a_provider_that_is_back_is_asked_again(
    rogue: RogueProvider, provider: OidcProvider, monkeypatch: pytest.MonkeyPatch
) -> None:
    rogue.instead[DISCOVERY] = (503, {}, b"{}")
    assert await told(provider) == "provider_unavailable"
    rogue.instead.clear()
    monkeypatch.setattr(oidc, "AGAIN_S", 0.0)

    assert isinstance(await told(provider), Identified)


@pytest.mark.parametrize("name", ["authorization_endpoint", "token_endpoint", "jwks_uri", "userinfo_endpoint"])
@pytest.mark.parametrize(
    "address", ["http://169.254.169.254/latest", "file:///etc/passwd", "gopher://x/", "/token", "https:///", 7]
)
async def test_an_endpoint_that_is_not_guarded_is_not_asked(
    rogue: RogueProvider, provider: OidcProvider, name: str, address: Any
) -> None:
    rogue.about = {name: address}

    assert await told(provider) == "provider_unavailable"
    assert rogue.asked == [DISCOVERY]


async def test_endpoints_may_be_on_another_host(rogue: RogueProvider, provider: OidcProvider) -> None:
    rogue.about = {"authorization_endpoint": "https://login.example/authorize"}

    assert (await provider.authorization_url(BEGUN, CALLBACK)).startswith("https://login.example/authorize?")


@pytest.mark.parametrize("path", ["/token", "/keys", "/userinfo"])
@pytest.mark.parametrize(
    "answer", [(307, ELSEWHERE, b"{}"), (200, {}, b"x" * (oidc.LIMIT + 1))], ids=["redirect", "too much"]
)
async def test_nothing_is_followed_or_read_without_end(
    rogue: RogueProvider, provider: OidcProvider, path: str, answer: Answer
) -> None:
    rogue.about = {"userinfo_endpoint": f"{rogue.issuer}/userinfo"}
    rogue.token = rogue.signed(rogue.claims(BEGUN.nonce, email=None))
    rogue.instead[path] = answer

    assert await told(provider) in ("provider_unavailable", "provider_refused")
    assert rogue.asked[-1] == path


async def test_one_that_takes_the_connection_and_says_nothing_is_not_waited_for(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(oidc, "TIMEOUT_S", 0.2)
    with closing(socket.create_server(("127.0.0.1", 0))) as silent:
        provider = OidcProvider(f"http://127.0.0.1:{silent.getsockname()[1]}", CLIENT, SECRET)

        assert await told(provider) == "provider_unavailable"


@pytest.mark.parametrize(
    ("methods", "has_header"), [(None, True), (["client_secret_basic"], True), (["client_secret_post"], False)]
)
async def test_the_secret_goes_the_way_the_provider_takes_it(
    rogue: RogueProvider, provider: OidcProvider, methods: list[str] | None, has_header: bool
) -> None:
    rogue.about = {"token_endpoint_auth_methods_supported": methods}
    await told(provider)
    headers, form = rogue.exchanged

    assert ("authorization" in headers) == has_header
    assert (SECRET in form) != has_header
    assert f"code_verifier={BEGUN.verifier}" in form
