"""GET of a user at 64 connections, through the cache and from its events as without one, by the same server."""

from collections.abc import Iterator
from datetime import UTC, datetime
from itertools import cycle
from uuid import UUID, uuid4

from fastapi import APIRouter

from bounded_contexts.identity.adapters.bodies import UserAnswer, user_answer
from bounded_contexts.identity.application.commands import create_user
from bounded_contexts.identity.domain import user as user_domain
from bounded_contexts.identity.domain.commands import Asker, ChangeProfile, Register
from headwater import roles
from headwater.configured import shared_key_tokens
from headwater.environment import load
from headwater.wiring import House, identity_ports
from infra.access_tokens import SharedKeyTokens
from infra.health import Health
from infra.http import SignedIn
from shared_kernel.decider import execute, state_of
from shared_kernel.module import Module
from tests.load.http_client import connect, hammer, percentile, request
from tests.load.posting import CONNECTIONS
from tests.load.side import opened

CACHED, PLAIN = "/api/v1/users/", "/api/v1/plain/"
USERS = [UUID(int=number) for number in range(1, 31)]
NAMES = 3  # that each has had


async def serve(port: int, redis_url: str | None = None) -> dict[str, float]:
    """Serve role `web` with one more route until the process is ended."""
    async with opened(port=port, redis_url=redis_url) as house:
        ports = identity_ports(house)
        routes = APIRouter()

        @routes.get("/plain/{user_id:uuid}")
        async def plain(user_id: UUID, user: SignedIn) -> UserAnswer:
            """Answer as `GET /users/{id}` does."""
            state, _ = await state_of(user_domain, ports.users, user_id)
            return user_answer(user_id, state)

        await _registered(house)
        house.modules += (Module("plain", router=routes),)
        await roles._Server(roles.server_config(house, {"web"}, Health(("web",), {}))).serve()
    return {}


async def _registered(house: House) -> None:
    """Make the users, unless another turn has."""
    ports = identity_ports(house)
    admin, now = Asker(uuid4(), frozenset({"admin"})), datetime.now(UTC)
    for user in USERS:
        email = f"{user.hex}@example.org"
        await create_user(Register(user_id=user, email=email, name="Ada", at=now), admin, ports)
        for number in range(NAMES - 1):
            ask = ChangeProfile(user_id=user, name=f"Ada {number}", email=None, asker=admin, at=now)
            await execute(user_domain, ports.users, user, ask)


async def get(port: int, path: str, seconds: float) -> dict[str, float]:
    """Get on all connections, each of an administrator of its own."""
    tokens = shared_key_tokens(load())
    connections = [await connect(port) for _ in range(CONNECTIONS)]
    asked = [_requests(tokens, path) for _ in connections]
    await hammer(connections, asked, 0.3, wanted=200)  # warm
    took = await hammer(connections, asked, seconds, wanted=200)
    for each in connections:
        each.transport.close()
    return {"rate": len(took) / seconds, "p99_ms": percentile(took, 0.99) * 1000}


def _requests(tokens: SharedKeyTokens, path: str) -> Iterator[bytes]:
    token = tokens.issue(uuid4(), ("admin",))
    return cycle([request("GET", f"{path}{user}", token, b"") for user in USERS])
