"""REST face of identity: signing in by an OpenID provider, and the accounts there that are linked."""

import base64
import secrets
from collections.abc import Mapping
from dataclasses import astuple
from datetime import UTC, datetime, timedelta
from typing import Annotated
from urllib.parse import parse_qsl, urlencode, urlsplit, urlunsplit
from uuid import UUID

import msgspec
from fastapi import APIRouter, Query, Request, Response
from fastapi.responses import RedirectResponse

from bounded_contexts.identity.adapters.bodies import LoginList, login_answer
from bounded_contexts.identity.adapters.cookies import Browsers
from bounded_contexts.identity.adapters.http_auth import ANYBODY, NOT_STORED, UserAgent, device_of, mfa_token
from bounded_contexts.identity.adapters.http_keys import Person
from bounded_contexts.identity.adapters.oidc import Begun, OidcProvider
from bounded_contexts.identity.application.logins import sign_in_by_provider, unlink
from bounded_contexts.identity.application.ports import Ports
from bounded_contexts.identity.application.sessions import SecondFactorNeeded, SignInRefused
from infra import secret_keys
from infra.http import Tokens, problems
from shared_kernel.errors import HeadwaterError, NotFound, Refused

COOKIE = "headwater-oidc-"
HOST_PREFIX = "__Host-"  # no neighbour under the same domain can set one
LIFETIME = timedelta(minutes=10)
SIGN_INS = 5  # begun at once in one browser: tabs; more cookies would make its requests too large for some server
PLACE = b"oidc state"


class SignIns:
    """Sign-ins that were begun, each sealed in a cookie of the browser that began it."""

    def __init__(self, secret: str, browsers: Browsers) -> None:
        self._key = secret_keys.derived(secret, "identity oidc states")
        self._browsers = browsers

    def keep(self, begun: Begun, request: Request, response: Response) -> None:
        begun_before = [name for name in request.cookies if name.removeprefix(HOST_PREFIX).startswith(COOKIE)]
        for name in begun_before if len(begun_before) >= SIGN_INS else ():
            self._delete(name, request, response)
        sealed = secret_keys.seal(self._key, msgspec.msgpack.encode(astuple(begun)), PLACE)
        response.set_cookie(
            self._name(begun.state, request),
            base64.urlsafe_b64encode(sealed).rstrip(b"=").decode(),
            max_age=int(LIFETIME.total_seconds()),
            path="/",
            secure=not self._browsers.is_plain(request),
            httponly=True,
            samesite="lax",  # the provider's redirect comes from another site
        )

    def open(self, provider: str, state: str, request: Request, now: datetime) -> Begun:
        """Return what was begun. Raise `Refused` for what this browser has not begun, or too long ago."""
        sealed = request.cookies.get(self._name(state, request), "")
        try:
            plain = secret_keys.opened(self._key, base64.urlsafe_b64decode(sealed + "=" * (-len(sealed) % 4)), PLACE)
        except ValueError:
            raise Refused("invalid_login_state", "this browser has not begun it: sign in again") from None
        begun = Begun(*msgspec.msgpack.decode(plain))
        if (begun.provider, begun.state) != (provider, state) or now.timestamp() > begun.until:
            raise Refused("invalid_login_state", "begun elsewhere or too long ago: sign in again")
        return begun

    def forget(self, state: str, request: Request, response: Response) -> None:
        self._delete(self._name(state, request), request, response)

    def _delete(self, name: str, request: Request, response: Response) -> None:
        secure = not self._browsers.is_plain(request)
        response.delete_cookie(name, path="/", secure=secure, httponly=True, samesite="lax")

    def _name(self, state: str, request: Request) -> str:
        """Return the cookie's name, of each sign-in its own: several tabs may be at it."""
        return f"{'' if self._browsers.is_plain(request) else HOST_PREFIX}{COOKIE}{state[:8]}"


def oidc_routes(
    ports: Ports, providers: Mapping[str, OidcProvider], sign_ins: SignIns, browsers: Browsers
) -> APIRouter:
    """Return the routes under `/auth/oidc`."""
    routes = APIRouter(prefix="/auth/oidc/{provider}", tags=["auth"], responses=problems(401, 404, 422, 503))

    def named(provider: str) -> OidcProvider:
        if (found := providers.get(provider)) is None:
            raise NotFound("provider_not_found", "nobody signs in by it here")
        return found

    @routes.get(
        "/authorize", status_code=302, response_class=RedirectResponse, dependencies=ANYBODY, responses=problems(429)
    )
    async def authorize(
        provider: str,
        return_to: Annotated[str, Query(max_length=500, description="A page of yours, on a listed origin.")],
        request: Request,
    ) -> Response:
        """Send the browser to the provider; it comes back to `return_to`, signed in by the refresh cookie."""
        asked = named(provider)
        _require_page(return_to, browsers.pages)
        state, nonce, verifier = (secrets.token_urlsafe(32) for _ in range(3))
        begun = Begun(provider, state, nonce, verifier, return_to, (ports.now() + LIFETIME).timestamp())
        url = await asked.authorization_url(begun, _redirect_uri(request, provider))
        answer = RedirectResponse(url, 302, NOT_STORED)
        sign_ins.keep(begun, request, answer)
        return answer

    @routes.get(
        "/callback",
        status_code=303,
        response_class=RedirectResponse,
        dependencies=ANYBODY,
        responses=problems(429),
        name="oidc_callback",
    )
    async def callback(
        provider: str,
        state: Annotated[str, Query(max_length=200)],
        request: Request,
        tokens: Tokens,
        user_agent: UserAgent = "",
    ) -> Response:
        """Where the provider sends the browser back to. It goes on to `return_to`: with the refresh cookie, with `#mfa_token=…`
        for `/auth/mfa/verify`, or with `?error=CODE`."""
        asked = named(provider)
        begun = sign_ins.open(provider, state, request, ports.now())
        answer = RedirectResponse(begun.return_to, 303, NOT_STORED)
        sign_ins.forget(state, request, answer)
        try:
            if not await ports.logins.is_first_use(state, ports.now(), datetime.fromtimestamp(begun.until, UTC)):
                raise Refused("invalid_login_state", "it was answered before: sign in again")
            who = await asked.identify(request.query_params, begun, _redirect_uri(request, provider))
            found = await sign_in_by_provider(who, device_of(request, user_agent), ports)
            browsers.keep(found.refresh_token, request, answer)
        except SecondFactorNeeded as needed:
            fragment = urlencode({"mfa_token": mfa_token(needed, tokens, ports.now())})
            answer.headers["Location"] = f"{begun.return_to}#{fragment}"
        except SignInRefused:
            answer.headers["Location"] = _with_error(begun.return_to, "invalid_credentials")
        except HeadwaterError as error:
            answer.headers["Location"] = _with_error(begun.return_to, error.code)
        return answer

    return routes


def login_routes(ports: Ports) -> APIRouter:
    """Return the routes under `/me/logins`."""
    routes = APIRouter(prefix="/me/logins", tags=["users"], responses=problems(403))

    @routes.get("")
    async def own_logins(user: Person) -> LoginList:
        """The accounts at providers that you sign in by."""
        return LoginList(data=[login_answer(each) for each in await ports.logins.of_user(user.id)])

    @routes.delete("/{login_id:uuid}", status_code=204)
    async def unlink_a_login(login_id: UUID, user: Person) -> None:
        """Sign in by that account no longer; every session but this one ends. The last way in stays."""
        await unlink(user.id, login_id, user.session, ports.now(), ports)

    return routes


def _redirect_uri(request: Request, provider: str) -> str:
    """Return our own address as the browser knows it. Whoever makes one up is refused by the provider, which lists it."""
    return str(request.url_for("oidc_callback", provider=provider))


def _require_page(url: str, pages: frozenset[str]) -> None:
    """Raise `Refused` unless it is a page on one of these origins, whichever way browsers read it."""
    is_plain = url.isascii() and url.isprintable() and not set(url) & set(' \\#"<>')
    if not is_plain or not any(url == page or url.startswith((f"{page}/", f"{page}?")) for page in pages):
        raise Refused("invalid_return_to", "a page of `HEADWATER_ACCOUNT_PAGES` or `HEADWATER_CORS_ORIGINS`")


def _with_error(url: str, code: str) -> str:
    parts = urlsplit(url)
    query = [*parse_qsl(parts.query, keep_blank_values=True), ("error", code)]
    return urlunsplit(parts._replace(query=urlencode(query)))
