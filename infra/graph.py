"""What the contexts' parts of the GraphQL schema share: who asks, scopes, pages, joins by id (docs/graphql.md)."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from enum import Enum
from typing import Annotated, Any, Generic, NewType, TypeVar
from uuid import UUID

import strawberry
from pydantic import Field
from strawberry.dataloader import DataLoader
from strawberry.extensions import FieldExtension

from infra.access_tokens import User, require_scope
from infra.http import WAIT_LIMIT_S, Body, ReadState, open_place, open_position, seal_place, wait_until_stored
from infra.opaque import OpaqueTokens
from shared_kernel.errors import Refused
from shared_kernel.events import Position
from shared_kernel.permissions import SCOPES

FIRST = 20  # of a list, where nobody says how many
MOST = 200

Money = NewType("Money", int)  # minor units; GraphQL's own Int ends at 32 bits

T = TypeVar("T")
K = TypeVar("K")
R = TypeVar("R", bound=Callable[..., object])


@dataclass(slots=True)
class Context:
    """Who asks, for the time of one operation."""

    user: User
    tokens: OpaqueTokens
    _loaders: dict[Any, DataLoader[Any, Any]] = field(default_factory=dict)

    async def load(self, batch: Callable[[list[K]], Awaitable[Sequence[T]]], key: K) -> T:
        """Return what `batch` has for the key; it is called once for all that are asked for at the same time."""
        loader = self._loaders.get(batch)
        if loader is None:
            loader = self._loaders[batch] = DataLoader(load_fn=batch)
        found: T = await loader.load(key)
        return found


Info = strawberry.Info[Context, None]


@dataclass(frozen=True, slots=True)
class Part:
    """What one context offers to the schema."""

    query: type | None = None
    mutation: type | None = None
    subscription: type | None = None


@dataclass(frozen=True, slots=True)
class Users:
    """Users as other contexts name them, by id. Nobody is left out: of one who is not known there is the id."""

    type: object  # both may be null: for who may not see them, nothing else is lost
    connection: object
    one: Callable[[Context, UUID], Awaitable[Any]]  # as far as who asks may see them; many at once are one query

    async def page(
        self, context: Context, ids: Sequence[UUID], first: int, after: str | None, of: str
    ) -> "Connection[Any]":
        """Return a page of the users, by id."""
        begin = UUID(context.tokens.open("cursor", after, of)) if after else None
        rest = [id_ for id_ in sorted(ids) if begin is None or id_ > begin]
        found = await asyncio.gather(*(self.one(context, id_) for id_ in rest[: checked(first)]))
        nodes = [(each, context.tokens.seal("cursor", str(id_), of)) for each, id_ in zip(found, rest, strict=False)]
        return connection(nodes, after, more=len(rest) > first)


class Scoped(FieldExtension):
    """What an API key has to have for a field."""

    def __init__(self, scope: str) -> None:
        if scope not in SCOPES:
            raise ValueError(f"there is no scope {scope}")
        self.scope = scope

    async def resolve_async(self, next_: Callable[..., Awaitable[Any]], source: Any, info: Info, **given: Any) -> Any:
        require_scope(info.context.user, self.scope)
        return await next_(source, info, **given)


def scoped(scope: str, description: str | None = None, *, graphql_type: object = None) -> Callable[[R], R]:
    """Make the resolver a field, for API keys of this scope; `graphql_type` says what a foreign type is."""
    made: Callable[[R], R] = strawberry.field(
        description=description, extensions=[Scoped(scope)], graphql_type=graphql_type
    )
    return made


@strawberry.type
class PageInfo:
    has_next_page: bool
    has_previous_page: bool
    start_cursor: str | None
    end_cursor: str | None


@strawberry.type
class Edge(Generic[T]):
    node: T
    cursor: str


@strawberry.type
class Connection(Generic[T]):
    edges: list[Edge[T]]
    page_info: PageInfo


@strawberry.enum(name="CommandStatus", description="How far a command has come: the broker has it, or reads show it.")
class Status(Enum):
    ACCEPTED = "accepted"
    STORED = "stored"


def connection(nodes: Sequence[tuple[T, str]], after: str | None, *, more: bool) -> Connection[T]:
    """Return the page of nodes, each with its cursor."""
    return Connection(
        edges=[Edge(node=node, cursor=cursor) for node, cursor in nodes],
        page_info=PageInfo(
            has_next_page=more,
            has_previous_page=after is not None,
            start_cursor=nodes[0][1] if nodes else None,
            end_cursor=nodes[-1][1] if nodes else None,
        ),
    )


class Named(Body):
    """What clients may call what they make, so that it is made once."""

    client_id: Annotated[str | None, Field(min_length=1, max_length=128)] = None


async def page_by_place(
    context: Context,
    read: Callable[[int, tuple[datetime, UUID] | None], Awaitable[Sequence[K]]],
    shown: Callable[[K], T],
    place: Callable[[K], tuple[datetime, UUID]],
    first: int,
    after: str | None,
    of: str,
) -> Connection[T]:
    """Return a page of what `read` gives in the order of moment and id, with cursors that REST takes, too."""
    found = await read(checked(first) + 1, open_place(context.tokens, after, of))
    nodes = [(shown(each), seal_place(context.tokens, *place(each), of)) for each in found[:first]]
    return connection(nodes, after, more=len(found) > first)


def checked(first: int) -> int:
    """Return how many are asked for. Raise `Refused`."""
    if not 1 <= first <= MOST:
        raise Refused("validation_failed", f"first: 1 to {MOST}")
    return first


async def seen(context: Context, min_position: str | None, stored: ReadState) -> None:
    """Return once what a read must have seen is stored. Raise `Refused`, or `Unavailable`."""
    if min_position is not None:
        await wait_until_stored(open_position(context.tokens, min_position), stored)


async def status_of(position: Position, wait_s: int, stored: ReadState) -> Status:
    """Wait as long as the client says, within `WAIT_LIMIT_S`."""
    wait = min(wait_s, WAIT_LIMIT_S)
    return Status.STORED if wait > 0 and await stored.reached(position, wait) else Status.ACCEPTED
