"""What every context's REST adapter shares: who asks, what to wait for, how an error looks (docs/http.md)."""

import re
from collections.abc import Awaitable, Callable, Iterator
from datetime import UTC, datetime
from hmac import compare_digest
from http import HTTPStatus
from math import inf
from typing import Annotated, Any, Literal, Protocol
from uuid import UUID

from fastapi import APIRouter, Depends, FastAPI, Header, Query, Request, Response
from fastapi.dependencies.models import Dependant
from fastapi.routing import APIRoute, RouteContext, iter_route_contexts
from fastapi.security import APIKeyHeader, HTTPAuthorizationCredentials, HTTPBearer
from pydantic import (
    AfterValidator,
    AwareDatetime,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    StringConstraints,
    WithJsonSchema,
)

from infra.access_tokens import AccessTokens, Unauthenticated, User, require_scope
from infra.opaque import OpaqueTokens
from infra.problems import CONTENT_TYPE
from infra.rate_limit import ALLOWANCE, Allowance, RateLimit, RateLimited, RequestClass, network_of
from shared_kernel.causation import identify
from shared_kernel.errors import Refused, Unavailable
from shared_kernel.events import Position

READ_WAIT_S = 5.0  # how long a read waits for `min_position`
WAIT_LIMIT_S = 10.0  # longest a client may ask to wait
RFC3339 = re.compile(r"\d{4}-\d\d-\d\d[Tt]\d\d:\d\d:\d\d(\.\d+)?([Zz]|[+-]\d\d:\d\d)", re.ASCII)
STATIC = {"GET", "HEAD"}  # methods of mounted files
YEARS = range(1970, 9000)  # what every store and language can hold, in every time zone

bearer = HTTPBearer(auto_error=False, description="Access token (JWT), or API key.")
api_key = APIKeyHeader(name="X-API-Key", auto_error=False, description="API key.")


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


def _rfc3339(text: object) -> object:
    if not isinstance(text, str) or not RFC3339.fullmatch(text):
        raise ValueError("a time as in RFC 3339, with its offset from UTC")
    return text


def _sane(moment: datetime) -> datetime:
    if moment.year not in YEARS or moment.timestamp() < 0:
        raise ValueError(f"a year from {YEARS.start} to {YEARS.stop - 1}")
    return moment


Moment = Annotated[AwareDatetime, BeforeValidator(_rfc3339), AfterValidator(_sane)]


class NextPage(BaseModel):
    """Where a list goes on: ask again with `cursor=`."""

    next_cursor: str | None
    has_more: bool


def problems(*statuses: int) -> dict[int | str, dict[str, Any]]:
    """Return the OpenAPI answers of a route that may fail in these ways."""
    content = {CONTENT_TYPE: {"schema": {"$ref": "#/components/schemas/Problem"}}}
    return {status: {"description": HTTPStatus(status).phrase, "content": content} for status in sorted(statuses)}


async def signed_in(
    request: Request,
    credentials: Annotated[HTTPAuthorizationCredentials | None, Depends(bearer)],
    key: Annotated[str | None, Depends(api_key)],
) -> User:
    """Access policy: a valid access token, or an API key with the scope of the route. Raise `Unauthenticated`, `Forbidden`, or
    `RateLimited` who asks too often."""
    user = await known(request, credentials, key)
    if user.scopes is not None:
        # The resource is the first word behind `/api/v1`.
        resource = re.split("[/:]", request.scope["path"].removeprefix("/api/v1/"), maxsplit=1)[0]
        require_scope(user, f"{resource}:{'read' if request.method in STATIC else 'write'}")
    return user


async def known(
    request: Request,
    credentials: Annotated[HTTPAuthorizationCredentials | None, Depends(bearer)],
    key: Annotated[str | None, Depends(api_key)],
) -> User:
    """Access policy: a valid access token or API key, whose scopes are asked for later. Raise as `signed_in` does.

    A valid token passes whatever was tried from the same address: neighbours behind one address do not lock each other out."""
    try:
        user = await _user(request.app.state.access_tokens, credentials.credentials if credentials else key)
    except Unauthenticated:
        await _count(request, "auth", _network(request))
        raise
    await count(request, user)
    identify(user.id)
    return user


async def perhaps_signed_in(
    request: Request,
    credentials: Annotated[HTTPAuthorizationCredentials | None, Depends(bearer)],
    key: Annotated[str | None, Depends(api_key)],
) -> User | None:
    """Access policy: as `signed_in` where a token is sent, else nobody, and the route asks by something else. Raise
    `Unauthenticated` for a token that is not valid, `RateLimited`."""
    if credentials or key:
        return await signed_in(request, credentials, key)
    await anybody(request)
    return None


async def perhaps_known(
    request: Request,
    credentials: Annotated[HTTPAuthorizationCredentials | None, Depends(bearer)],
    key: Annotated[str | None, Depends(api_key)],
) -> User | None:
    """Access policy: as `known` where a token is sent, else nobody, and the route asks by something else and counts them. Raise
    as `known` does."""
    return await known(request, credentials, key) if credentials or key else None


async def _user(tokens: AccessTokens, token: str | None) -> User:
    if token is None:
        raise Unauthenticated("unauthenticated", "send `Authorization: Bearer <token>`")
    return await tokens.verify(token)


async def may_scrape(
    request: Request, credentials: Annotated[HTTPAuthorizationCredentials | None, Depends(bearer)]
) -> None:
    """Access policy: the monitoring's own token, where one is set. Raise `Unauthenticated`."""
    wanted: str | None = request.app.state.metrics_token
    if wanted and not (credentials and compare_digest(credentials.credentials.encode(), wanted.encode())):
        raise Unauthenticated("unauthenticated", "send `Authorization: Bearer <HEADWATER_METRICS_TOKEN>`")


async def anybody(request: Request) -> None:
    """Access policy: nobody is asked who they are, but they are counted by their address. Raise `RateLimited`."""
    await _count(request, "auth", _network(request))


def network(request: Request) -> str:
    """Return what the client cannot change at will of where it comes from."""
    return network_of(request.client.host) if request.client else ""


def _network(request: Request) -> str:
    return f"address:{network(request)}"


def _counted_as(user: User) -> str:
    """Return what is counted: an API key by itself, so that a program does not use up what its owner has."""
    return f"user:{user.id}" if user.scopes is None else f"key:{user.session or user.id}"


async def count(request: Request, user: User, cost: int = 1) -> None:
    """Count a request of the user as so many, or none. Raise `RateLimited`."""
    await _count(request, "read" if request.method in STATIC else "write", _counted_as(user), cost)


async def count_key(request: Request, name: str) -> None:
    """Count a request that is made with a key of no user. Raise `RateLimited`."""
    await _count(request, "write", f"key:{name}")


def most_at_once(request: Request) -> float:
    """Return as how many requests a counted one may count, itself included."""
    allowance: Allowance | None = request.scope.get(ALLOWANCE)
    return allowance.quota.at_once if allowance else inf


async def _count(request: Request, name: RequestClass, key: str, cost: int = 1) -> None:
    """Count the request; whoever answers it tells what is left (infra/request_context.py)."""
    limit: RateLimit = request.app.state.rate_limits[name]
    try:
        request.scope[ALLOWANCE] = await limit.take(key, cost)
    except RateLimited as error:
        request.scope[ALLOWANCE] = error.allowance
        raise


async def open_to_all() -> None:
    """Access policy: nobody is asked who they are."""


POLICIES: tuple[Callable[..., Awaitable[Any]], ...] = (
    signed_in,
    perhaps_signed_in,
    known,
    perhaps_known,
    may_scrape,
    anybody,
    open_to_all,
)
SignedIn = Annotated[User, Depends(signed_in)]
PerhapsSignedIn = Annotated[User | None, Depends(perhaps_signed_in)]
Known = Annotated[User, Depends(known)]
PerhapsKnown = Annotated[User | None, Depends(perhaps_known)]


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


def open_position(tokens: OpaqueTokens, position: str) -> Position:
    """Return the position. Raise `Refused` for one that was not given out here."""
    return Position(*tokens.open("position", position))


def wanted_position(
    tokens: Tokens,
    min_position: Annotated[
        str | None, Query(max_length=4096, description="Answer only with what is stored up to this write.")
    ] = None,
) -> Position | None:
    """Return what the read must have seen. Raise `Refused` for a position that was not given out here."""
    return open_position(tokens, min_position) if min_position else None


MinPosition = Annotated[Position | None, Depends(wanted_position)]


async def earlier(
    as_of: Annotated[Moment | None, Query(description="Answer with the state at this time.")] = None,
) -> datetime | None:
    """Return the time a read asks about. Raise `Refused` for one that has not been yet."""
    return not_in_future(as_of) if as_of else None


def not_in_future(as_of: datetime) -> datetime:
    """Return the time a read asks about. Raise `Refused` for one that has not been yet."""
    if as_of > datetime.now(UTC):
        raise Refused("as_of_in_future", "`as_of` is later than the server's clock")
    return as_of


AsOf = Annotated[datetime | None, Depends(earlier)]


def if_match(
    if_match: Annotated[
        str | None, Header(max_length=40, description="The `ETag` the change is for; another is 412.")
    ] = None,
) -> int | None:
    """Return the version a change is for. Raise `Refused` for what is no ETag of ours."""
    if if_match is None or if_match == "*":
        return None
    if not (found := re.fullmatch(r'"(\d{1,9})"', if_match)):
        raise Refused("invalid_if_match", 'an ETag as it was given, such as "3"')
    return int(found[1])


IfMatch = Annotated[int | None, Depends(if_match)]
Limit = Annotated[int, Query(ge=1, le=200)]
Cursor = Annotated[str | None, Query(max_length=4096)]


def seal_place(tokens: OpaqueTokens, moment: datetime, id_: UUID, of: str) -> str:
    """Return the cursor behind a row of a list that is ordered by moment and id; it serves the list `of` only."""
    return tokens.seal("cursor", [moment.isoformat(), str(id_)], of)


def open_place(tokens: OpaqueTokens, cursor: str | None, of: str) -> tuple[datetime, UUID] | None:
    """Return the row a cursor stands behind. Raise `Refused` for one that was not given out for the list `of`."""
    if cursor is None:
        return None
    moment, id_ = tokens.open("cursor", cursor, of)
    return datetime.fromisoformat(moment), UUID(id_)


class ReadState(Protocol):
    """How far a context's stored state has come."""

    async def reached(self, position: Position, timeout_s: float) -> bool: ...


async def wait_until_stored(position: Position | None, stored: ReadState) -> None:
    """Return once what a read must have seen is stored. Raise `Unavailable` when it is not within `READ_WAIT_S`."""
    if position and not await stored.reached(position, READ_WAIT_S):
        raise Unavailable("position_not_reached", "what you wrote is not stored yet; ask again")


Preferences = Annotated[
    list[Annotated[str, StringConstraints(max_length=200)]] | None,
    WithJsonSchema({"type": "string", "maxLength": 200}),  # of a line: several are one list
]


def seconds_to_wait(
    prefer: Annotated[
        Preferences, Header(max_length=10, description="RFC 7240: `wait=S` waits for the stored state.")
    ] = None,
) -> float:
    """Return how long the client prefers to wait, 0 if it did not say, `WAIT_LIMIT_S` at most."""
    found = re.search(r"(?:^|[,;\s])wait=\"?(\d{1,6})\"?", ", ".join(prefer or ()), re.IGNORECASE)
    return min(float(found[1]), WAIT_LIMIT_S) if found else 0.0


PreferWait = Annotated[float, Depends(seconds_to_wait)]
APPLIED = {"Preference-Applied": "wait"}


def is_asked_for_later(
    prefer: Annotated[
        Preferences, Header(max_length=10, description="RFC 7240: `respond-async` is answered at once, with a job.")
    ] = None,
) -> bool:
    """Return whether the client would rather be told where the answer is going to be than wait for it."""
    found = re.search(
        r"(?:^|,)\s*respond-async\s*(?:=\s*(?:\"\")?\s*)?(?:[;,]|$)", ", ".join(prefer or ()), re.IGNORECASE
    )
    return found is not None


PrefersLater = Annotated[bool, Depends(is_asked_for_later)]
APPLIED_LATER = {"Preference-Applied": "respond-async"}


async def command_status(
    position: Position, wait: float, stored: ReadState, response: Response, done: int = 200
) -> Literal["accepted", "stored"]:
    """Wait as long as the client prefers. Answer 202 for a command whose effect is not known to be stored, `done` else."""
    if not (wait and await stored.reached(position, wait)):
        response.status_code = 202
        return "accepted"
    response.status_code = done
    response.headers.update(APPLIED)
    return "stored"
