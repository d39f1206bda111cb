"""What every context's REST adapter shares: who asks, what to wait for, how an error looks (docs/http.md)."""

import re
from collections.abc import Awaitable, Callable, Iterator
from datetime import datetime
from http import HTTPStatus
from typing import Annotated, Any, Protocol
from uuid import uuid4

import structlog
from fastapi import APIRouter, Depends, FastAPI, Header, Query, Request
from fastapi.dependencies.models import Dependant
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from fastapi.routing import APIRoute, RouteContext, iter_route_contexts
from fastapi.security import HTTPAuthorizationCredentials, HTTPBearer
from pydantic import AfterValidator, AwareDatetime, BaseModel, ConfigDict
from starlette.exceptions import HTTPException
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from infra.access_tokens import AccessTokens, Unauthenticated, User
from infra.opaque import OpaqueTokens
from infra.problems import BY_STATUS, CONTENT_TYPE, RETRY_AFTER_S, of_error, of_fields, problem
from shared_kernel.causation import Cause, because, identify
from shared_kernel.errors import HeadwaterError, Unavailable
from shared_kernel.events import Position

BODY_LIMIT = 1 << 20  # bytes
READ_WAIT_S = 5.0  # how long a read waits for `min_position`
WAIT_LIMIT_S = 10.0  # longest a client may ask to wait
TRACEPARENT = re.compile(r"[0-9a-f]{2}-[0-9a-f]{32}-[0-9a-f]{16}-[0-9a-f]{2}")  # W3C Trace Context, version 00
YEARS = range(1970, 9000)  # what every store and language can hold, in every time zone
REQUEST_ID = re.compile(r"[A-Za-z0-9._-]{1,100}")

log = structlog.get_logger()
bearer = HTTPBearer(auto_error=False, description="Access token (JWT).")


class Body(BaseModel):
    """A request body: unknown fields are refused."""

    model_config = ConfigDict(extra="forbid", strict=False)


class Problem(BaseModel):
    """RFC 9457 problem document."""

    type: str
    title: str
    status: int
    code: str
    detail: str = ""
    instance: str = ""
    request_id: str = ""
    errors: list[dict[str, str]] = []


def _sane(moment: datetime) -> datetime:
    if moment.year not in YEARS:
        raise ValueError(f"a year from {YEARS.start} to {YEARS.stop - 1}")
    return moment


Moment = Annotated[AwareDatetime, AfterValidator(_sane)]


def problems(*statuses: int) -> dict[int | str, dict[str, Any]]:
    """Return the OpenAPI answers of a route that may fail in these ways."""
    content = {CONTENT_TYPE: {"schema": {"$ref": "#/components/schemas/Problem"}}}
    return {status: {"description": HTTPStatus(status).phrase, "content": content} for status in sorted(statuses)}


async def signed_in(
    request: Request, credentials: Annotated[HTTPAuthorizationCredentials | None, Depends(bearer)]
) -> User:
    """Access policy: a valid access token. Raise `Unauthenticated`."""
    tokens: AccessTokens = request.app.state.access_tokens
    if credentials is None:
        raise Unauthenticated("unauthenticated", "send `Authorization: Bearer <token>`")
    user = await tokens.verify(credentials.credentials)
    identify(user.id)
    return user


async def open_to_all() -> None:
    """Access policy: nobody is asked who they are."""


POLICIES: tuple[Callable[..., Awaitable[Any]], ...] = (signed_in, open_to_all)
SignedIn = Annotated[User, Depends(signed_in)]


def require_policies(app: FastAPI) -> None:
    """Refuse to start with a route that does not say who may call it."""
    for route in api_routes(app):
        if not any(dependency.call in POLICIES for dependency in _flat(route.dependant)):
            raise RuntimeError(f"{route.methods} {route.path} declares no access policy")


def api_routes(app: FastAPI | APIRouter) -> Iterator[RouteContext]:
    """Yield every route of the API, those of included routers too."""
    return (route for route in iter_route_contexts(app.routes) if isinstance(route.original_route, APIRoute))


def _flat(dependant: Dependant) -> Iterator[Dependant]:
    for each in dependant.dependencies:
        yield each
        yield from _flat(each)


def opaque_tokens(request: Request) -> OpaqueTokens:
    """Return what seals and opens cursors and positions."""
    tokens: OpaqueTokens = request.app.state.opaque_tokens
    return tokens


Tokens = Annotated[OpaqueTokens, Depends(opaque_tokens)]


def seal_position(tokens: OpaqueTokens, position: Position) -> str:
    """Return the position as clients carry it."""
    return tokens.seal("position", [position.topic, position.partition, position.offset])


def wanted_position(
    tokens: Tokens,
    min_position: Annotated[
        str | None, Query(max_length=4096, description="Answer only with what is stored up to this write.")
    ] = None,
) -> Position | None:
    """Return what the read must have seen. Raise `Refused` for a position that was not given out here."""
    return Position(*tokens.open("position", min_position)) if min_position else None


MinPosition = Annotated[Position | None, Depends(wanted_position)]


class ReadState(Protocol):
    """How far a context's stored state has come."""

    async def reached(self, position: Position, timeout_s: float) -> bool: ...


async def wait_until_stored(position: Position | None, stored: ReadState) -> None:
    """Return once what a read must have seen is stored. Raise `Unavailable` when it is not within `READ_WAIT_S`."""
    if position and not await stored.reached(position, READ_WAIT_S):
        raise Unavailable("position_not_reached", "what you wrote is not stored yet; ask again")


def seconds_to_wait(
    prefer: Annotated[
        str | None, Header(max_length=200, description="RFC 7240: `wait=S` waits for the stored state.")
    ] = None,
) -> float:
    """Return how long the client prefers to wait, 0 if it did not say, `WAIT_LIMIT_S` at most."""
    found = re.search(r"(?:^|[,;\s])wait=\"?(\d{1,6})\"?", prefer or "", re.IGNORECASE)
    return min(float(found[1]), WAIT_LIMIT_S) if found else 0.0


PreferWait = Annotated[float, Depends(seconds_to_wait)]


def install(app: FastAPI) -> None:
    """Make every error of the application a problem document, in what it answers and in what it publishes."""
    generate = app.openapi

    def with_problems() -> dict[str, Any]:
        document = generate()
        document.setdefault("components", {}).setdefault("schemas", {})["Problem"] = Problem.model_json_schema()
        return document

    app.openapi = with_problems  # type: ignore[method-assign]
    app.add_exception_handler(HeadwaterError, _on_error)
    app.add_exception_handler(RequestValidationError, _on_invalid)
    app.add_exception_handler(HTTPException, _on_http)
    app.add_exception_handler(Exception, _on_unexpected)


def answer(
    request: Request, status: int, document: dict[str, Any], headers: dict[str, str] | None = None
) -> JSONResponse:
    """Return the problem document as an answer."""
    document |= {"instance": request.url.path, "request_id": request.scope.get("request_id", "")}
    return JSONResponse(document, status, headers, media_type=CONTENT_TYPE)


async def _on_error(request: Request, error: Exception) -> JSONResponse:
    assert isinstance(error, HeadwaterError)  # noqa: S101 – narrows the type Starlette widened
    document = of_error(error)
    headers = {}
    if isinstance(error, Unauthenticated):
        headers["WWW-Authenticate"] = 'Bearer error="invalid_token"'
    if isinstance(error, Unavailable):
        headers["Retry-After"] = str(RETRY_AFTER_S)
        log.warning("http.unavailable", code=error.code, detail=error.detail, path=request.url.path)
    return answer(request, document["status"], document, headers)


async def _on_invalid(request: Request, error: Exception) -> JSONResponse:
    assert isinstance(error, RequestValidationError)  # noqa: S101
    found = of_fields(error.errors())
    return answer(request, 422, problem(422, "validation_failed", f"{len(found)} field(s) failed", errors=found))


async def _on_http(request: Request, error: Exception) -> JSONResponse:
    assert isinstance(error, HTTPException)  # noqa: S101
    code = BY_STATUS.get(error.status_code, "internal")
    return answer(request, error.status_code, problem(error.status_code, code, error.detail), dict(error.headers or {}))


async def _on_unexpected(_: Request, error: Exception) -> JSONResponse:
    """Leave it to `RequestContext`; without this handler Starlette answers first, in plain text."""
    raise error


class RequestContext:
    """ASGI: a request id and a cause for everything a request does, a limit on its body, a problem for what nobody caught."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        headers = {name: value.decode("latin-1") for name, value in scope["headers"]}
        given = headers.get(b"x-request-id", "")
        request_id = given if REQUEST_ID.fullmatch(given) else str(uuid4())
        scope["request_id"] = request_id
        started = False

        async def sending(message: Message) -> None:
            nonlocal started
            if message["type"] == "http.response.start":
                started = True
                message["headers"] = [*message.get("headers", ()), (b"x-request-id", request_id.encode())]
            await send(message)

        traceparent = headers.get(b"traceparent", "")
        with because(Cause(request_id, request_id, traceparent if TRACEPARENT.fullmatch(traceparent) else None)):
            try:
                length = headers.get(b"content-length", "") or "0"
                if not length.isdecimal():
                    await self._refuse(scope, sending, 400, "bad_request", "Content-Length is no number")
                    return
                if int(length) > BODY_LIMIT:
                    raise _TooLarge
                await self._app(scope, _limited(receive), sending)
            except _TooLarge:
                await self._refuse(scope, sending, 413, "payload_too_large", _TooLarge().detail)
            except Exception:
                log.exception("http.failed", path=scope["path"], request_id=request_id)
                if started:
                    raise
                await self._refuse(scope, sending, 500, "internal", "the failure was logged under the request id")

    async def _refuse(self, scope: Scope, send: Send, status: int, code: str, detail: str) -> None:
        document = problem(status, code, detail, instance=scope["path"], request_id=scope["request_id"])

        async def nothing() -> Message:
            return {"type": "http.request", "body": b"", "more_body": False}

        await JSONResponse(document, status, media_type=CONTENT_TYPE)(scope, nothing, send)


class _TooLarge(HTTPException):
    """The body passed the limit. FastAPI lets an HTTPException through while it parses, nothing else."""

    def __init__(self) -> None:
        super().__init__(413, f"the limit is {BODY_LIMIT} bytes")


def _limited(receive: Receive) -> Receive:
    seen = 0

    async def receiving() -> Message:
        nonlocal seen
        message = await receive()
        seen += len(message.get("body", b""))
        if seen > BODY_LIMIT:
            raise _TooLarge
        return message

    return receiving
