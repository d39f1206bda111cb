"""OAuth 2.0 for programs: the token endpoint (RFC 6749 section 4.4), and where it is told of (RFC 8414).

What is refused is told in the words of RFC 6749 section 5.2, beside those of a problem document: client libraries look there.
"""

from base64 import b64decode
from collections.abc import Callable, Coroutine
from typing import Annotated, Any, Literal
from urllib.parse import parse_qsl, unquote_plus

from fastapi import APIRouter, Depends, Request, Response
from fastapi.responses import JSONResponse
from fastapi.routing import APIRoute
from fastapi.security.utils import get_authorization_scheme_param
from pydantic import BaseModel, Field

from bounded_contexts.identity.application import service_accounts
from bounded_contexts.identity.application.ports import Ports
from bounded_contexts.identity.application.service_accounts import ClientRefused
from infra.access_tokens import Unauthenticated
from infra.http import Problem, anybody, network, open_to_all
from infra.http_errors import error_headers
from infra.problems import problem, status_of
from shared_kernel.errors import HeadwaterError, Malformed
from shared_kernel.permissions import SCOPES

TOKEN = "/oauth2/token"  # noqa: S105 – a path
GRANT = "client_credentials"
FORM = "application/x-www-form-urlencoded"
FIELDS = 20  # of a form
NOT_STORED = {"Cache-Control": "no-store", "Pragma": "no-cache"}  # RFC 6749 section 5.1
WORDS = ("invalid_client", "invalid_request", "invalid_scope", "unsupported_grant_type")
ASKED = {
    "requestBody": {
        "required": True,
        "content": {
            FORM: {
                "schema": {
                    "type": "object",
                    "required": ["grant_type"],
                    "properties": {
                        "grant_type": {"type": "string", "const": GRANT},
                        "scope": {"type": "string", "description": "Some of the account's, between spaces; else all."},
                        "client_id": {"type": "string", "description": "Unless HTTP Basic says it."},
                        "client_secret": {"type": "string", "description": "Unless HTTP Basic says it."},
                    },
                },
                "example": {"grant_type": GRANT, "scope": "messages:read"},
            }
        },
    }
}


class ServiceTokenAnswer(BaseModel):
    """RFC 6749 section 5.1."""

    access_token: str
    token_type: Literal["Bearer"] = "Bearer"  # noqa: S105
    expires_in: Annotated[int, Field(description="Seconds that the access token holds.")]
    scope: str


class OAuthProblem(Problem):
    """RFC 6749 section 5.2, and RFC 9457."""

    error: str
    error_description: str


class OAuthRoute(APIRoute):
    """A route whose refusals OAuth clients can read."""

    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        handle = super().get_route_handler()

        async def answered(request: Request) -> Response:
            try:
                return await handle(request)
            except HeadwaterError as error:
                return _refusal(request, error)

        return answered


def oauth_routes(ports: Ports, issuer: str) -> APIRouter:
    """Return the token endpoint and what is told of it; `issuer` is the `iss` of tokens, our address where it is one."""
    routes = APIRouter(tags=["auth"], route_class=OAuthRoute)
    refusals: dict[int | str, dict[str, Any]] = {status: {"model": OAuthProblem} for status in (400, 401, 429, 503)}

    @routes.post(TOKEN, dependencies=[Depends(anybody)], responses=refusals, openapi_extra=ASKED)
    async def token(request: Request, response: Response) -> ServiceTokenAnswer:
        """Give a service account a token for ten minutes. It says who it is by HTTP Basic or in the form."""
        form = await _form(request)
        client_id, secret = _client(request, form)
        if "grant_type" not in form:
            raise Malformed("invalid_request", "send grant_type")
        if form["grant_type"] != GRANT:
            raise Malformed("unsupported_grant_type", f"only {GRANT}")
        try:
            found = await service_accounts.token(client_id, secret, form.get("scope"), network(request), ports)
        except ClientRefused:
            raise Unauthenticated("invalid_client", "id or secret is wrong") from None
        response.headers.update(NOT_STORED)
        return ServiceTokenAnswer(
            access_token=found.access_token, expires_in=found.expires_in_s, scope=" ".join(found.scopes)
        )

    @routes.get("/.well-known/oauth-authorization-server", dependencies=[Depends(open_to_all)])
    async def metadata(request: Request) -> dict[str, Any]:
        """Where programs get tokens, and what the tokens are verified with (RFC 8414)."""
        here = (issuer if issuer.startswith(("https://", "http://")) else str(request.base_url)).rstrip("/")
        return {
            "issuer": issuer,
            "token_endpoint": here + TOKEN,
            "jwks_uri": f"{here}/.well-known/jwks.json",
            "scopes_supported": sorted(SCOPES),
            "response_types_supported": ["none"],  # required, and not empty; there is no authorization endpoint
            "grant_types_supported": [GRANT],
            "token_endpoint_auth_methods_supported": ["client_secret_basic", "client_secret_post"],
        }

    return routes


async def _form(request: Request) -> dict[str, str]:
    """Return the fields that have a value. Raise `Malformed` for what is no form, and for a field twice."""
    if request.headers.get("content-type", "").partition(";")[0].strip().lower() != FORM:
        raise Malformed("invalid_request", f"send Content-Type: {FORM}")
    try:
        fields = parse_qsl((await request.body()).decode(), max_num_fields=FIELDS)
    except ValueError:
        raise Malformed("invalid_request", "the form cannot be read") from None
    form = dict(fields)
    if len(form) < len(fields):
        raise Malformed("invalid_request", "a parameter is there twice")
    return form


def _client(request: Request, form: dict[str, str]) -> tuple[str, str]:
    """Return the id and secret that the client shows, in one way (RFC 6749 section 2.3.1)."""
    scheme, given = get_authorization_scheme_param(request.headers.get("authorization"))
    if scheme.lower() != "basic":
        if "client_id" in form and "client_secret" in form:
            return form["client_id"], form["client_secret"]
        raise Unauthenticated("invalid_client", "send client id and secret by HTTP Basic or in the form")
    try:
        pair = b64decode(given, validate=True).decode().partition(":")
    except ValueError:
        raise Unauthenticated("invalid_client", "the credentials cannot be read") from None
    id_, secret = unquote_plus(pair[0]), unquote_plus(pair[2])
    if "client_secret" in form or form.get("client_id", id_) != id_:
        raise Malformed("invalid_request", "show id and secret in one way")
    return id_, secret


def _refusal(request: Request, error: HeadwaterError) -> JSONResponse:
    status = int(status_of(error))
    headers = error_headers(request, error) | NOT_STORED
    if status == 401:
        headers["WWW-Authenticate"] = 'Basic realm="headwater"'
    other = "temporarily_unavailable" if status in (429, 503) else "invalid_request"
    document = problem(status, error.code, error.detail, instance=request.url.path)
    document["request_id"] = request.scope.get("request_id", "")
    document["error"] = error.code if error.code in WORDS else other
    document["error_description"] = error.detail
    return JSONResponse(document, status, headers)
