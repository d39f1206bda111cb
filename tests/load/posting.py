"""POST of a message at 64 connections, beside a route of the same server with the same token and body that does nothing."""

import json
from collections.abc import Iterator
from itertools import count
from uuid import UUID, uuid4

from fastapi import APIRouter

from bounded_contexts.messaging.adapters.bodies import NewMessageTo
from headwater import roles
from headwater.configured import shared_key_tokens
from headwater.environment import load
from infra.access_tokens import SharedKeyTokens
from infra.health import Health
from infra.http import SignedIn
from shared_kernel.module import Module
from tests.load.http_client import connect, hammer, percentile, request
from tests.load.side import opened

CONNECTIONS = 64
EMPTY, MESSAGES = "/api/v1/empty", "/api/v1/messages"


async def serve(port: int) -> dict[str, float]:
    """Serve role `web` with one more route until the process is ended."""
    routes = APIRouter()

    @routes.post("/empty", status_code=202)
    async def empty(new: NewMessageTo, user: SignedIn) -> None:
        """Do nothing with what was parsed and verified."""

    async with opened(port=port) as house:
        house.modules += (Module("empty", router=routes),)
        await roles._Server(roles.server_config(house, {"web"}, Health(("web",), {}))).serve()
    return {}


async def post(port: int, path: str, seconds: float) -> dict[str, float]:
    """Post on all connections, each of a user of its own."""
    tokens = shared_key_tokens(load())
    connections = [await connect(port) for _ in range(CONNECTIONS)]
    asked = [_requests(tokens, uuid4(), path) for _ in connections]
    await hammer(connections, asked, 0.3)  # warm
    took = await hammer(connections, asked, seconds)
    for each in connections:
        each.transport.close()
    return {"rate": len(took) / seconds, "p99_ms": percentile(took, 0.99) * 1000}


def _requests(tokens: SharedKeyTokens, user: UUID, path: str) -> Iterator[bytes]:
    token, people = tokens.issue(user), [str(user), str(uuid4())]
    for number in count():
        yield request("POST", path, token, body(people, str(number)))


def body(people: list[str], client_id: str) -> bytes:
    """Return a message's JSON."""
    return json.dumps({"participants": people, "client_id": client_id, "body": "x" * 32}).encode()
