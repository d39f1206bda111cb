"""The route of an older chat service about connections: switched on by `HEADWATER_COMPAT_ROUTES`."""

from collections.abc import Callable
from typing import Annotated
from uuid import UUID

from fastapi import APIRouter
from pydantic import BaseModel, Field

from infra.http import Body, SignedIn, problems

MOST_USERS = 100


class Users(Body):
    user_ids: Annotated[list[UUID], Field(min_length=1, max_length=MOST_USERS)]


class Connections(BaseModel):
    connections: dict[UUID, int]  # open sockets on the process that answers


def compat_routes(connections: Callable[[UUID], int]) -> APIRouter:
    """Return the old route; `connections` counts a user's."""
    routes = APIRouter(prefix="/api/connections", tags=["compatibility"], responses=problems(401, 422, 503))

    @routes.post("")
    async def count(asked: Users, _: SignedIn) -> Connections:
        """Count the open sockets of users, Socket.IO and plain, on this process."""
        return Connections(connections={user: connections(user) for user in asked.user_ids})

    return routes
