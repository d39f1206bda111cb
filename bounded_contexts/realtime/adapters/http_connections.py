"""REST face of realtime: whose sockets are open, on whatever node, their channels and their end; for administrators and
services."""

from datetime import UTC, datetime, timedelta
from typing import Annotated, Literal
from uuid import UUID

from fastapi import APIRouter, Depends, Query
from pydantic import BaseModel, Field

from bounded_contexts.realtime.adapters.channel_tokens import require_grant
from bounded_contexts.realtime.application.channels import NAME
from bounded_contexts.realtime.application.ports import Connections
from infra.access_tokens import User, require_scope
from infra.http import Body, Known, problems
from shared_kernel.permissions import CONNECTIONS, SERVICE, require

MOST_SHOWN = 1_000
MOST_CHANNELS = 30  # of one request: they go to all nodes in one signal, which has 8,000 bytes at most
LIFETIME_S = 3_600
MOST_LIFETIME_S = 86_400


class ConnectionAnswer(BaseModel):
    sid: str
    user_id: UUID
    node_id: UUID
    connected_at: datetime


class ConnectionList(BaseModel):
    data: list[ConnectionAnswer]


class Whose(Body):
    """All sockets of a user, or one of them."""

    user_id: UUID
    sid: Annotated[str | None, Field(max_length=64)] = None


class Ending(Whose):
    reason: Annotated[str, Field(pattern=r"^[a-z0-9_]{1,64}$", description="What the client is told.")] = "disconnected"


class OfChannels(Whose):
    channels: Annotated[
        list[Annotated[str, Field(pattern=f"^{NAME.pattern}$")]], Field(min_length=1, max_length=MOST_CHANNELS)
    ]


class Giving(OfChannels):
    ttl_s: Annotated[int, Field(ge=1, le=MOST_LIFETIME_S, description="Afterwards the channels are closed.")] = (
        LIFETIME_S
    )


class Taking(OfChannels):
    reason: Annotated[str, Field(pattern=r"^[a-z0-9_]{1,64}$", description="What the client is told.")] = "unsubscribed"


class Accepted(BaseModel):
    status: Literal["accepted"] = "accepted"


async def in_charge(user: Known) -> User:
    """Access policy: an administrator, or a service account; a program has the scope. Raise `Forbidden` for everybody else."""
    if user.scopes is None or SERVICE not in user.roles:  # anybody may give a key of theirs any scope
        require(user.roles, CONNECTIONS)
    require_scope(user, CONNECTIONS)
    return user


def connection_routes(connections: Connections) -> APIRouter:
    """Return the routes under /api/v1/realtime/connections."""
    routes = APIRouter(
        prefix="/connections",
        responses=problems(401, 403, 422, 503),
        dependencies=[Depends(in_charge)],
    )

    @routes.get("")
    async def list_connections(user_id: Annotated[UUID, Query()]) -> ConnectionList:
        """List a user's open sockets on all nodes, the oldest 1,000; one that came or went within two seconds may be missing."""
        found = await connections.of_user(user_id, MOST_SHOWN)
        data = [ConnectionAnswer.model_validate(each, from_attributes=True) for each in found]
        return ConnectionList(data=data)

    @routes.post("/disconnect", status_code=202)
    async def disconnect(asked: Ending) -> Accepted:
        """End a user's sockets on all nodes: each client is told the reason and does not come back by itself."""
        await connections.end(asked.user_id, asked.sid, asked.reason)
        return Accepted()

    @routes.post("/subscribe", status_code=202)
    async def subscribe(asked: Giving, who: Annotated[User, Depends(in_charge)]) -> Accepted:
        """Subscribe a user's open sockets of UI updates on all nodes, from now on, whatever they may ask for themselves. A
        program needs the scope `realtime:grant`, too."""
        for channel in asked.channels if who.scopes is not None else ():
            require_grant(who, channel)
        until = datetime.now(UTC) + timedelta(seconds=asked.ttl_s)
        await connections.give(asked.user_id, asked.sid, asked.channels, until)
        return Accepted()

    @routes.post("/unsubscribe", status_code=202)
    async def unsubscribe(asked: Taking) -> Accepted:
        """Close channels of a user's sockets on all nodes; who may have them may subscribe again."""
        await connections.take(asked.user_id, asked.sid, asked.channels, asked.reason)
        return Accepted()

    return routes
