"""Access tokens: who is let in, and every way in which nobody is."""

import base64
import hashlib
import hmac
import json
import threading
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from uuid import uuid4

import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric.ec import SECP256R1, EllipticCurvePrivateKey
from cryptography.hazmat.primitives.asymmetric.ec import generate_private_key as generate_ec
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from hypothesis import given
from hypothesis import strategies as st
from jwt.algorithms import ECAlgorithm, OKPAlgorithm

from infra.access_tokens import (
    LEEWAY,
    AccessTokens,
    EitherTokens,
    KeySetTokens,
    SharedKeyTokens,
    Unauthenticated,
    published_at,
)
from shared_kernel.errors import Unavailable
from tests.probes import eventually

SECRET = "shared-" * 6
USER = uuid4()
ISSUER, AUDIENCE = "https://id.example", "headwater"
EC, ED = generate_ec(SECP256R1()), Ed25519PrivateKey.generate()
SHARED = SharedKeyTokens(SECRET)


def claims(**changed: Any) -> dict[str, Any]:
    """Return valid claims with some changed; None takes one away."""
    expires = int((datetime.now(UTC) + timedelta(minutes=5)).timestamp())
    return {
        name: value
        for name, value in ({"sub": str(USER), "roles": ["moderator"], "exp": expires} | changed).items()
        if value is not None
    }


def signed(**changed: Any) -> str:
    return jwt.encode(claims(**changed), SECRET, algorithm="HS256")


def ago(delta: timedelta) -> int:
    return int((datetime.now(UTC) - delta).timestamp())


async def refused(tokens: AccessTokens, token: str) -> str:
    with pytest.raises(Unauthenticated) as error:
        await tokens.verify(token)
    return error.value.code


class TestSharedKey:
    async def test_an_issued_token_says_who_with_which_roles_until_when(self) -> None:
        user = await SHARED.verify(SHARED.issue(USER, ("admin", "moderator"), timedelta(minutes=3)))

        assert (user.id, user.roles) == (USER, frozenset(("admin", "moderator")))
        assert timedelta(minutes=2) < user.expires_at - datetime.now(UTC) <= timedelta(minutes=3)

    async def test_issuer_and_audience_are_issued_and_verified(self) -> None:
        tokens = SharedKeyTokens(SECRET, ISSUER, AUDIENCE)

        assert (await tokens.verify(tokens.issue(USER))).id == USER

    @pytest.mark.parametrize(
        ("changed", "scopes"),
        [
            ({"scope": "openid"}, None),
            ({"scope": "openid", "client_id": "app"}, None),
            ({"scope": "messages:read me:read", "client_id": str(USER)}, {"messages:read", "me:read"}),
            ({"client_id": str(USER)}, set()),
            ({"client_id": str(USER), "scope": ["messages:read"]}, set()),
        ],
    )
    async def test_scopes_limit_who_is_the_client_itself(
        self, changed: dict[str, Any], scopes: set[str] | None
    ) -> None:
        assert (await SHARED.verify(signed(**changed))).scopes == scopes

    async def test_a_token_without_roles_has_none(self) -> None:
        assert (await SHARED.verify(signed(roles=None))).roles == frozenset()

    @pytest.mark.parametrize("roles", ["admin", {"admin": True}, 7])
    async def test_roles_that_are_no_list_are_none(self, roles: object) -> None:
        assert (await SHARED.verify(signed(roles=roles))).roles == frozenset()

    async def test_an_expired_token_is_told_apart(self) -> None:
        assert await refused(SHARED, signed(exp=ago(LEEWAY + timedelta(seconds=5)))) == "token_expired"

    async def test_clocks_may_differ_a_little(self) -> None:
        assert (await SHARED.verify(signed(exp=ago(LEEWAY / 2)))).id == USER

    async def test_another_key_is_refused(self) -> None:
        token = jwt.encode(claims(), "another-" * 5, algorithm="HS256")

        assert await refused(SHARED, token) == "unauthenticated"

    async def test_an_expired_token_of_another_key_is_just_invalid(self) -> None:
        token = jwt.encode(claims(exp=1), "another-" * 5, algorithm="HS256")

        assert await refused(SHARED, token) == "unauthenticated"

    async def test_a_token_that_nobody_signed_is_refused(self) -> None:
        assert await refused(SHARED, jwt.encode(claims(), "", algorithm="none")) == "unauthenticated"

    async def test_another_hash_than_the_pinned_one_is_refused(self) -> None:
        token = jwt.encode(claims(), SECRET * 2, algorithm="HS512")

        assert await refused(SharedKeyTokens(SECRET * 2), token) == "unauthenticated"

    @pytest.mark.parametrize(
        "changed",
        [
            {"sub": None},
            {"sub": "ann"},
            {"sub": ""},
            {"sub": 7},
            {"exp": None},
            {"exp": "soon"},
            {"exp": 10**30},
            {"exp": 10**18},
            {"exp": 253402300799},  # the end of 9999
            {"nbf": 2**33},
            {"roles": [["nested"]]},
        ],
        ids=str,
    )
    async def test_claims_that_do_not_fit_are_refused(self, changed: dict[str, Any]) -> None:
        assert await refused(SHARED, signed_raw(claims(**changed))) == "unauthenticated"

    @pytest.mark.parametrize(
        "changed", [{"iss": "https://evil.example"}, {"iss": None}, {"aud": "other"}, {"aud": None}]
    )
    async def test_another_issuer_or_audience_is_refused(self, changed: dict[str, Any]) -> None:
        tokens = SharedKeyTokens(SECRET, ISSUER, AUDIENCE)
        right = {"iss": ISSUER, "aud": AUDIENCE}

        assert (await tokens.verify(signed(**right))).id == USER
        assert await refused(tokens, signed(**(right | changed))) == "unauthenticated"

    async def test_without_a_configured_audience_any_is_accepted(self) -> None:
        assert (await SHARED.verify(signed(aud="whatever", iss="whoever"))).id == USER

    @given(st.text(max_size=80))
    async def test_garbage_is_refused(self, token: str) -> None:
        assert await refused(SHARED, token) == "unauthenticated"


def signed_raw(payload: dict[str, Any]) -> str:
    """Sign what a careful encoder would not."""
    return jwt.api_jws.encode(json.dumps(payload).encode(), SECRET, algorithm="HS256")


class KeySet:
    """An identity provider that serves its public keys."""

    def __init__(self) -> None:
        self.keys: list[dict[str, Any]] = [jwk(EC, "ec"), jwk(ED, "ed")]
        self.body: bytes | None = None
        self.asked = 0
        outer = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                outer.asked += 1
                body = json.dumps({"keys": outer.keys}).encode() if outer.body is None else outer.body
                self.send_response(200)
                self.send_header("content-length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *_: object) -> None: ...

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._thread = threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.01})
        self._thread.start()
        self.url = f"http://127.0.0.1:{self._server.server_port}/keys"

    def close(self) -> None:
        """Go away."""
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()


def jwk(key: EllipticCurvePrivateKey | Ed25519PrivateKey, kid: str) -> dict[str, Any]:
    if isinstance(key, EllipticCurvePrivateKey):
        public, algorithm = ECAlgorithm.to_jwk(key.public_key(), as_dict=True), "ES256"
    else:
        public, algorithm = OKPAlgorithm.to_jwk(key.public_key(), as_dict=True), "EdDSA"
    return {**public, "kid": kid, "use": "sig", "alg": algorithm}


@pytest.fixture
def provider() -> Iterator[KeySet]:
    keys = KeySet()
    yield keys
    keys.close()


def asymmetric(key: Any, algorithm: str, kid: str | None, **changed: Any) -> str:
    right = {"iss": ISSUER, "aud": AUDIENCE}
    return jwt.encode(claims(**(right | changed)), key, algorithm=algorithm, headers={"kid": kid} if kid else None)


class TestKeySet:
    @pytest.fixture
    def tokens(self, provider: KeySet) -> KeySetTokens:
        return KeySetTokens(published_at(provider.url), ISSUER, AUDIENCE)

    @pytest.mark.parametrize(("key", "algorithm", "kid"), [(EC, "ES256", "ec"), (ED, "EdDSA", "ed")])
    async def test_a_token_of_a_known_key_is_accepted(
        self, tokens: KeySetTokens, key: Any, algorithm: str, kid: str
    ) -> None:
        user = await tokens.verify(asymmetric(key, algorithm, kid))

        assert (user.id, user.roles) == (USER, frozenset(("moderator",)))

    async def test_the_set_is_fetched_once_for_many_tokens(self, tokens: KeySetTokens, provider: KeySet) -> None:
        for _ in range(5):
            await tokens.verify(asymmetric(EC, "ES256", "ec"))

        assert provider.asked == 1

    @pytest.mark.parametrize("kid", ["unknown", None])
    async def test_an_unknown_key_is_refused(self, tokens: KeySetTokens, kid: str | None) -> None:
        assert await refused(tokens, asymmetric(EC, "ES256", kid)) == "unauthenticated"

    async def test_unknown_keys_do_not_make_us_ask_the_provider_each_time(
        self, tokens: KeySetTokens, provider: KeySet
    ) -> None:
        for number in range(5):
            await refused(tokens, asymmetric(EC, "ES256", f"unknown {number}"))

        assert provider.asked <= 2

    async def test_a_known_id_over_another_key_is_refused(self, tokens: KeySetTokens) -> None:
        assert await refused(tokens, asymmetric(generate_ec(SECP256R1()), "ES256", "ec")) == "unauthenticated"

    async def test_one_algorithms_token_over_another_ones_key_is_refused(self, tokens: KeySetTokens) -> None:
        assert await refused(tokens, asymmetric(ED, "EdDSA", "ec")) == "unauthenticated"

    async def test_a_public_key_is_no_shared_secret(self, tokens: KeySetTokens) -> None:
        public = EC.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
        der = ED.public_key().public_bytes(Encoding.Raw, PublicFormat.Raw)

        for secret, kid in ((public, "ec"), (der, "ed")):
            assert await refused(tokens, forged(secret, kid)) == "unauthenticated"

    async def test_a_token_that_nobody_signed_is_refused(self, tokens: KeySetTokens) -> None:
        assert await refused(tokens, asymmetric("", "none", "ec")) == "unauthenticated"

    @pytest.mark.parametrize(
        "changed", [{"iss": "https://evil.example"}, {"iss": None}, {"aud": "other"}, {"sub": "ann"}]
    )
    async def test_another_issuer_audience_or_subject_is_refused(
        self, tokens: KeySetTokens, changed: dict[str, Any]
    ) -> None:
        assert await refused(tokens, asymmetric(EC, "ES256", "ec", **changed)) == "unauthenticated"

    async def test_an_expired_token_is_told_apart(self, tokens: KeySetTokens) -> None:
        assert await refused(tokens, asymmetric(ED, "EdDSA", "ed", exp=1)) == "token_expired"

    async def test_known_keys_go_on_while_the_set_cannot_be_fetched(self) -> None:
        answers: list[dict[str, Any]] = [{"ed": ED.public_key()}]

        async def fetch() -> dict[str, Any]:
            if not answers:
                raise Unavailable("key_set_unavailable")
            return answers.pop()

        tokens = KeySetTokens(fetch, ISSUER, AUDIENCE, lifespan_s=0.0)

        for _ in range(3):
            assert (await tokens.verify(asymmetric(ED, "EdDSA", "ed"))).id == USER

    async def test_a_token_that_was_verified_is_refused_when_its_key_is_gone(self) -> None:
        answers: list[dict[str, Any]] = [{"other": ED.public_key()}, {"ed": ED.public_key()}]
        asked = 0

        async def fetch() -> dict[str, Any]:
            nonlocal asked
            asked += 1
            return answers.pop()

        tokens = KeySetTokens(fetch, ISSUER, AUDIENCE, lifespan_s=0.2)
        token = asymmetric(ED, "EdDSA", "ed")

        async def code() -> str:
            try:
                await tokens.verify(token)
            except Unauthenticated as error:
                return error.code
            return ""

        assert [await code() for _ in range(3)] == ["", "", ""]
        assert asked == 1
        assert await eventually(code) == "unauthenticated"

    async def test_a_set_that_is_away_does_not_hide_another(self, tokens: KeySetTokens) -> None:
        async def away() -> dict[str, Any]:
            raise Unavailable("key_set_unavailable")

        either = EitherTokens(None, [KeySetTokens(away), tokens])

        assert (await either.verify(asymmetric(ED, "EdDSA", "ed"))).id == USER

    @pytest.mark.parametrize("sid", ["opaque", 7, None])
    async def test_a_session_that_others_name_in_their_way_is_none_of_ours(
        self, tokens: KeySetTokens, sid: Any
    ) -> None:
        assert (await tokens.verify(asymmetric(ED, "EdDSA", "ed", sid=sid))).session is None

    async def test_a_provider_that_is_away_makes_no_token_invalid(self, tokens: KeySetTokens, provider: KeySet) -> None:
        provider.close()

        with pytest.raises(Unavailable):
            await tokens.verify(asymmetric(EC, "ES256", "ec"))

    @pytest.mark.parametrize("body", [b"", b"<html>", b'{"keys": []}', b"\xff"])
    async def test_a_provider_that_serves_no_key_set_makes_no_token_invalid(
        self, tokens: KeySetTokens, provider: KeySet, body: bytes
    ) -> None:
        provider.body = body

        with pytest.raises(Unavailable):
            await tokens.verify(asymmetric(EC, "ES256", "ec"))

    @pytest.mark.parametrize("token", ["", "x", "a.b.c", "é", "." * 10])
    async def test_garbage_is_refused(self, tokens: KeySetTokens, token: str) -> None:
        assert await refused(tokens, token) == "unauthenticated"


def forged(secret: bytes, kid: str) -> str:
    """Sign with HMAC over bytes that a careful encoder refuses as a key."""

    def part(value: bytes) -> bytes:
        return base64.urlsafe_b64encode(value).rstrip(b"=")

    head = json.dumps({"alg": "HS256", "typ": "JWT", "kid": kid}).encode()
    signing = part(head) + b"." + part(json.dumps(claims(iss=ISSUER, aud=AUDIENCE)).encode())
    return (signing + b"." + part(hmac.digest(secret, signing, hashlib.sha256))).decode()
