"""Refresh tokens of browsers: in a cookie that no script reads and that only pages of ours make use of."""

from dataclasses import dataclass
from typing import Any

from fastapi import Request, Response

from bounded_contexts.identity.application.ports import REFRESH_LIFETIME
from shared_kernel.errors import Forbidden

REFRESH = "headwater-refresh"
PATH = "/api/v1/auth"
CSRF = "X-CSRF"
SECURE_PREFIX = "__Secure-"  # browsers take it over TLS alone
# For OpenAPI: what a route takes instead of a token in the body.
PARAMETERS: dict[str, Any] = {
    "parameters": [
        {
            "name": SECURE_PREFIX + REFRESH,
            "in": "cookie",
            "required": False,
            "schema": {"type": "string"},
            "description": 'The refresh token, where signing in was asked for it by `"cookie": true`.',
        },
        {
            "name": CSRF,
            "in": "header",
            "required": False,
            "schema": {"type": "string"},
            "description": "Whatever it says, the cookie counts together with it only: other sites' pages cannot send it.",
        },
    ]
}


@dataclass(frozen=True, slots=True)
class Browsers:
    """What of browsers is trusted."""

    origins: frozenset[str]  # whose pages beside our own may use cookies
    pages: frozenset[str]  # the origins that signing in elsewhere may return to
    may_be_plain: bool  # whether cookies may go over plain HTTP, on one's own machine

    def is_plain(self, request: Request) -> bool:
        return self.may_be_plain and request.url.scheme == "http"

    def refresh_token(self, request: Request) -> str | None:
        """Return the token of the cookie. Raise `Forbidden` where it may not be one of our pages that sends it."""
        token = request.cookies.get(self._name(request))
        if token is not None:
            self._require_own_page(request)
        return token

    def keep(self, token: str, request: Request, response: Response) -> None:
        """Have the browser keep the refresh token."""
        response.set_cookie(
            self._name(request),
            token,
            max_age=int(REFRESH_LIFETIME.total_seconds()),
            path=PATH,
            secure=not self.is_plain(request),
            httponly=True,
            samesite="strict",
        )

    def forget(self, request: Request, response: Response) -> None:
        """Have the browser remove the refresh token, if it has one."""
        if (name := self._name(request)) in request.cookies:
            response.delete_cookie(name, path=PATH, secure=not self.is_plain(request), httponly=True, samesite="strict")

    def _name(self, request: Request) -> str:
        return REFRESH if self.is_plain(request) else SECURE_PREFIX + REFRESH

    def _require_own_page(self, request: Request) -> None:
        """`SameSite` keeps other sites out. The neighbours under one domain, which it takes for the same, are kept out by a
        header that needs their origin listed, and by what browsers say themselves of where a request comes from."""
        if CSRF.lower() not in request.headers:
            raise Forbidden("csrf_header_missing", f"send the header {CSRF} with the cookie")
        origin, site = request.headers.get("origin"), request.headers.get("sec-fetch-site")
        own = f"{request.url.scheme}://{request.headers.get('host')}"
        if origin in self.origins or site == "same-origin" or (site is None and origin in (None, own)):
            return
        raise Forbidden("foreign_origin", "pages of this origin may not use the cookie")
