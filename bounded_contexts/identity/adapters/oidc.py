"""An OpenID provider as a relying party sees it: authorization code with PKCE, nonce, and an ID token that is verified.

Authlib and joserfc say what is valid; the requests are made here, because they have to be limited: what the discovery
document names is the provider's choice, so no answer is followed elsewhere, waited for long or read without end (docs/adr/0030).
"""

import asyncio
import json
import ssl
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from time import monotonic
from typing import Any
from urllib.parse import urlsplit

import httpx
import structlog
from authlib.common.urls import add_params_to_uri
from authlib.oauth2.rfc7636 import create_s256_code_challenge
from authlib.oidc.core import CodeIDToken
from authlib.oidc.discovery import get_well_known_url
from joserfc import jwt
from joserfc.errors import JoseError
from joserfc.jwk import KeySet
from joserfc.jws import extract_compact

from bounded_contexts.identity.application.logins import Identified
from shared_kernel.errors import Refused, Unavailable

SCOPE = "openid email profile"
# Pinned: `none` and a public key used as an HMAC secret never pass.
ALGORITHMS = ("RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "ES512", "Ed25519", "EdDSA")
FRESH_S = 300.0  # that what was discovered is kept
AGAIN_S = 5.0  # between looks for what is not there: everybody who asks would wait for it
SUBJECT_LIMIT = 255  # characters, OpenID Connect Core section 2
TIMEOUT_S = 5.0  # for one answer as a whole
LIMIT = 256 * 1024  # bytes of one
LEEWAY_S = 60  # clocks differ

log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class Begun:
    """A sign-in that was begun and waits for the provider's answer."""

    provider: str
    state: str
    nonce: str
    verifier: str
    return_to: str
    until: float


@dataclass(frozen=True, slots=True)
class Discovered:
    """What the provider says of itself."""

    authorization: str
    token: str
    keys: str
    userinfo: str | None
    posts_secret: bool
    names_itself: bool  # in its answers (RFC 9207)


class OidcProvider:
    def __init__(self, issuer: str, client_id: str, client_secret: str) -> None:
        self.issuer = issuer
        self._client_id = client_id
        self._client_secret = client_secret
        self._discovered: Discovered | None = None
        self._discovered_at = float("-inf")
        self._failed_at = float("-inf")
        self._keys = KeySet([])
        self._keys_at = float("-inf")
        self._lock = asyncio.Lock()

    async def authorization_url(self, begun: Begun, redirect_uri: str) -> str:
        """Return where the browser goes. Raise `Unavailable`."""
        asked = {
            "response_type": "code",
            "client_id": self._client_id,
            "redirect_uri": redirect_uri,
            "scope": SCOPE,
            "state": begun.state,
            "nonce": begun.nonce,
            "code_challenge": create_s256_code_challenge(begun.verifier),
            "code_challenge_method": "S256",
        }
        return str(add_params_to_uri((await self._discover()).authorization, list(asked.items())))

    async def identify(self, answer: Mapping[str, str], begun: Begun, redirect_uri: str) -> Identified:
        """Return whom the provider's answer is about. Raise `Refused` for one that does not hold, `Unavailable`."""
        discovered = await self._discover()
        issuer = answer.get("iss")
        if issuer != self.issuer and (issuer is not None or discovered.names_itself):
            raise Refused("provider_refused", "the answer is another provider's")
        if "code" not in answer:
            raise Refused("provider_refused", "the provider has not let you in")
        tokens = await self._exchange(discovered, answer["code"], begun.verifier, redirect_uri)
        claims = await self._verified(discovered, tokens, begun.nonce)
        if "email" not in claims and discovered.userinfo:
            claims = await self._with_userinfo(discovered.userinfo, tokens, claims)
        email, name = (_text(claims.get(claim)) for claim in ("email", "name"))
        is_vouched_for = claims.get("email_verified") in (True, "true")  # some send text
        return Identified(self.issuer, claims["sub"], email if is_vouched_for and email else None, name)

    async def _exchange(self, discovered: Discovered, code: str, verifier: str, redirect_uri: str) -> Mapping[str, Any]:
        form = {
            "grant_type": "authorization_code",
            "code": code,
            "redirect_uri": redirect_uri,
            "code_verifier": verifier,
        }
        basic = None
        if discovered.posts_secret:
            form |= {"client_id": self._client_id, "client_secret": self._client_secret}
        else:
            basic = httpx.BasicAuth(self._client_id, self._client_secret)
        status, answer = await self._asked("POST", discovered.token, data=form, auth=basic)
        if status != httpx.codes.OK:
            log.warning("oidc.refused", issuer=self.issuer, status=status, error=str(answer.get("error"))[:100])
            if status < httpx.codes.INTERNAL_SERVER_ERROR:
                raise Refused("provider_refused", "the provider does not take the code")
            raise Unavailable("provider_unavailable", f"the provider answers {status}")
        return answer

    async def _verified(self, discovered: Discovered, tokens: Mapping[str, Any], nonce: str) -> dict[str, Any]:
        """Return the claims of the ID token. Raise `Refused` for one that is not this provider's, for us, now, and asked for."""
        text = tokens.get("id_token")
        try:
            if not isinstance(text, str):
                raise ValueError("there is none")
            token = jwt.decode(text, await self._key_set(discovered, text), algorithms=ALGORITHMS)
            options = {
                "iss": {"essential": True, "value": self.issuer},
                "aud": {"essential": True, "value": self._client_id},
                "sub": {"essential": True},
            }
            known = {"nonce": nonce, "client_id": self._client_id, "access_token": tokens.get("access_token")}
            claims = CodeIDToken(token.claims, token.header, options, known)
            claims.validate(leeway=LEEWAY_S)
            if not (isinstance(claims["sub"], str) and len(claims["sub"]) <= SUBJECT_LIMIT):
                raise ValueError("no subject")
        except (JoseError, LookupError, ValueError, TypeError, RecursionError) as error:
            log.warning("oidc.invalid_id_token", issuer=self.issuer, cause=type(error).__name__)
            raise Refused("invalid_id_token", "what the provider says of you does not hold") from error
        return dict(claims)

    async def _with_userinfo(self, url: str, tokens: Mapping[str, Any], claims: dict[str, Any]) -> dict[str, Any]:
        """Return the claims with those of the userinfo endpoint, which has to be about the same subject."""
        bearer = {"Authorization": f"Bearer {tokens.get('access_token')}"}
        status, found = await self._asked("GET", url, headers=bearer)
        if status != httpx.codes.OK:
            raise Unavailable("provider_unavailable", f"the provider answers {status}")
        if found.get("sub") != claims["sub"]:
            raise Refused("invalid_id_token", "the provider speaks of two people")
        return found | claims

    async def _discover(self) -> Discovered:
        async with self._lock:
            if self._discovered is None or monotonic() - self._discovered_at > FRESH_S:
                if monotonic() - self._failed_at < AGAIN_S:
                    raise Unavailable("provider_unavailable", f"{self.issuer} did not answer a moment ago")
                self._failed_at = monotonic()
                status, found = await self._asked("GET", get_well_known_url(self.issuer, external=True))
                if status != httpx.codes.OK or found.get("issuer") != self.issuer:
                    raise Unavailable("provider_unavailable", f"{self.issuer} does not say that it is a provider")
                self._discovered, self._discovered_at = self._read(found), monotonic()
                self._failed_at = float("-inf")
            return self._discovered

    def _read(self, found: Mapping[str, Any]) -> Discovered:
        methods = found.get("token_endpoint_auth_methods_supported") or ["client_secret_basic"]
        return Discovered(
            authorization=self._endpoint(found.get("authorization_endpoint")),
            token=self._endpoint(found.get("token_endpoint")),
            keys=self._endpoint(found.get("jwks_uri")),
            userinfo=self._endpoint(found["userinfo_endpoint"]) if "userinfo_endpoint" in found else None,
            # Where both are taken: providers disagree on how odd characters are encoded in the other.
            posts_secret="client_secret_post" in methods,
            names_itself=found.get("authorization_response_iss_parameter_supported") is True,
        )

    def _endpoint(self, url: object) -> str:
        """Return the address, on whatever host. Raise `Unavailable` for one that is less guarded than the issuer's."""
        parts, own = urlsplit(str(url)), urlsplit(self.issuer)
        is_as_plain = (parts.scheme, parts.hostname) == (own.scheme, own.hostname)
        if parts.hostname and (parts.scheme == "https" or is_as_plain):
            return str(url)
        raise Unavailable("provider_unavailable", f"{self.issuer} names an endpoint that is not https")

    async def _key_set(self, discovered: Discovered, token: str) -> KeySet:
        """Return the provider's keys, read again for one that is not among them."""
        kid = extract_compact(token.encode()).headers().get("kid")
        async with self._lock:
            age = monotonic() - self._keys_at
            is_known = kid is None or any(key.kid == kid for key in self._keys.keys)
            if age > FRESH_S or (not is_known and age > AGAIN_S):
                status, found = await self._asked("GET", discovered.keys)
                if status != httpx.codes.OK:
                    raise Unavailable("provider_unavailable", f"the provider's keys: {status}")
                self._keys, self._keys_at = KeySet.import_key_set({"keys": found["keys"]}), monotonic()
            return self._keys

    async def _asked(self, method: str, url: str, **request: Any) -> tuple[int, dict[str, Any]]:
        """Return status and body of an answer, which is a JSON object. Raise `Unavailable`."""
        headers = {"Accept": "application/json", "Accept-Encoding": "identity"} | request.pop("headers", {})
        body = b""
        try:
            async with (
                asyncio.timeout(TIMEOUT_S),
                httpx.AsyncClient(follow_redirects=False, timeout=TIMEOUT_S, verify=_trust()) as client,
                client.stream(method, url, headers=headers, **request) as answer,
            ):
                async for part in answer.aiter_raw():  # as it is sent: what is compressed has no limit
                    body += part
                    if len(body) > LIMIT:
                        raise ValueError(f"more than {LIMIT} bytes")
            found = json.loads(body)
            if not isinstance(found, dict):
                raise ValueError("no JSON object")
        except (httpx.HTTPError, httpx.InvalidURL, TimeoutError, ValueError, RecursionError) as error:
            log.warning("oidc.unavailable", issuer=self.issuer, url=url, cause=f"{type(error).__name__}: {error}"[:200])
            raise Unavailable("provider_unavailable", f"{self.issuer} gives no usable answer") from error
        return answer.status_code, found


@cache
def _trust() -> ssl.SSLContext:
    """Return the authorities that are trusted; to read them takes 30 ms."""
    return httpx.create_ssl_context()


def _text(claim: object) -> str:
    return claim if isinstance(claim, str) else ""
