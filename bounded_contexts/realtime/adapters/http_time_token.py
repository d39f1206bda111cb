"""The routes by which an older UI service was published to: switched on by `HEADWATER_COMPAT_TIME_TOKEN`."""

import json
from typing import Annotated

import structlog
from fastapi import APIRouter, Depends, Header, HTTPException, Request, Response

from bounded_contexts.realtime.application.channels import EVERYWHERE, named
from bounded_contexts.realtime.application.publishing import (
    PAYLOAD_LIMIT,
    Publisher,
    PublishPorts,
    Update,
    json_of,
    publish,
)
from bounded_contexts.realtime.application.time_tokens import TimeTokens
from infra.access_tokens import Unauthenticated
from infra.http import anybody, count_key, open_to_all, problems
from shared_kernel.errors import Malformed, Refused

NAME = "time-token"
Token = Annotated[str, Header(alias="X-API-Token", max_length=1000)]
WHO = Publisher(f"key:{NAME}", EVERYWHERE)

log = structlog.get_logger()


def time_token_routes(ports: PublishPorts, tokens: TimeTokens) -> APIRouter:
    """Return the old routes."""
    log.warning(
        "compat.unsigned_publishing",
        detail="who sees one token publishes anything for three windows; sign requests instead",
    )
    routes = APIRouter(tags=["compatibility"], responses=problems(400, 401, 413, 422, 503))

    # Neither a user nor a key of ours: the policy is the token's check.
    @routes.post("/update", status_code=202, dependencies=[Depends(open_to_all)])
    async def update(request: Request, x_api_token: Token = "", channel: str = "default") -> Response:
        """Publish the body to who has signed in."""
        return await accepted(request, x_api_token, channel, is_public=False)

    @routes.post("/publish", status_code=202, dependencies=[Depends(open_to_all)])
    async def publish_openly(request: Request, x_api_token: Token = "", channel: str = "default") -> Response:
        """Publish the body to clients without login."""
        return await accepted(request, x_api_token, channel, is_public=True)

    async def accepted(request: Request, token: str, channel: str, *, is_public: bool) -> Response:
        if not tokens.holds(token, ports.now()):
            await anybody(request)  # what fails is counted by address
            raise Unauthenticated("unauthenticated", "send a token of now as `X-API-Token`")
        await count_key(request, NAME)
        asked = Update(channel=named(channel), payload=_checked(await _body(request)), is_public=is_public)
        await publish([asked], WHO, ports)
        return Response(status_code=202)

    return routes


async def _body(request: Request) -> bytes:
    """Return what was sent. Raise `HTTPException` for more than a payload may be: no access token would help here."""
    try:
        body = await request.body()
    except Unauthenticated:
        raise HTTPException(413, f"the limit is {PAYLOAD_LIMIT} bytes") from None
    return body


def _checked(body: bytes) -> str:
    """Return the JSON as it was sent. Raise `Malformed` for what is none, or has half a character."""
    try:
        text = body.decode()
        json_of(json.loads(text, parse_constant=_refused))
    except (ValueError, RecursionError, Refused) as error:
        raise Malformed("bad_request", "the body is not JSON") from error
    return text


def _refused(constant: str) -> object:
    raise ValueError(constant)
