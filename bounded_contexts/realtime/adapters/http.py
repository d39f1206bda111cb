"""REST face of realtime: who publishes what to user interfaces."""

from collections.abc import Sequence
from datetime import timedelta
from typing import Annotated, Any
from uuid import UUID

from fastapi import APIRouter, Depends, Header
from pydantic import BaseModel, ConfigDict, Field, Strict, model_validator

from bounded_contexts.realtime.adapters.channel_tokens import channel_token_routes
from bounded_contexts.realtime.adapters.http_connections import connection_routes
from bounded_contexts.realtime.adapters.http_keys import key_routes
from bounded_contexts.realtime.adapters.http_webhooks import webhook_routes
from bounded_contexts.realtime.adapters.signed_requests import SignedRequest, who_signed
from bounded_contexts.realtime.application.channels import named
from bounded_contexts.realtime.application.ports import Connections
from bounded_contexts.realtime.application.publish_keys import KeyPorts
from bounded_contexts.realtime.application.publishing import (
    MOST_AT_ONCE,
    PublishPorts,
    Update,
    json_of,
    pointing_to,
    publish,
    publisher,
)
from bounded_contexts.realtime.application.webhooks import WebhookPorts
from infra.access_tokens import User
from infra.http import Body, Tokens, problems, seal_position
from infra.opaque import OpaqueTokens
from schemas.realtime.events import UiUpdatePublished
from shared_kernel.events import Position

LONGEST_TTL_S = 604_800  # as long as updates are kept
IdempotencyKey = Annotated[
    str | None,
    Header(min_length=1, max_length=128, description="Stands for `idempotency_key` where that is absent."),
]


class Addressed(Body):
    """To whom, and how; exactly one of `channel`, `user_id`, `role` and `tenant`."""

    channel: Annotated[str | None, Field(examples=["news"])] = None
    user_id: UUID | None = None
    role: str | None = None
    tenant: str | None = None
    public: Annotated[bool, Strict(), Field(description="For clients without login, and for nobody else.")] = False
    ttl_s: Annotated[
        int | None, Strict(), Field(ge=1, le=LONGEST_TTL_S, description="Afterwards it is not delivered.")
    ] = None
    idempotency_key: Annotated[
        str | None, Field(min_length=1, max_length=128, description="The same one of a publisher is one update.")
    ] = None
    version: Annotated[
        int | None, Strict(), Field(ge=0, lt=2**63, description="Not delivered unless greater than the channel's last.")
    ] = None
    keep: Annotated[bool, Strict(), Field(description="Sent first to whoever subscribes later.")] = False
    region: Annotated[str | None, Field(pattern=r"^[A-Za-z0-9._-]{1,64}$")] = None


class NewUpdate(Addressed):
    payload: Annotated[Any, Field(description="JSON of at most 64 KiB.")]


class Publication(Addressed):
    """One update, or several as `updates`."""

    model_config = ConfigDict(json_schema_extra={"examples": [{"channel": "news", "payload": {"headline": "Hello"}}]})
    payload: Annotated[Any, Field(description="JSON of at most 64 KiB; needed without `updates`.")] = None
    updates: Annotated[list[NewUpdate] | None, Field(min_length=1, max_length=MOST_AT_ONCE)] = None

    @model_validator(mode="after")
    def _one_or_several(self) -> "Publication":
        if self.updates is None and "payload" not in self.model_fields_set:
            raise ValueError("give a payload, or updates")
        if self.updates is not None and self.model_fields_set != {"updates"}:
            raise ValueError("what is said beside `updates` belongs into each of them")
        return self


class PublishedAnswer(BaseModel):
    update_id: UUID
    channel: str
    position: str


class Publishings(BaseModel):
    updates: list[PublishedAnswer]  # in the order of the request


def router(ports: PublishPorts, keys: KeyPorts, connections: Connections, webhooks: WebhookPorts) -> APIRouter:
    """Return the routes under /api/v1/realtime."""
    routes = APIRouter(prefix="/realtime", tags=["realtime"], responses=problems(401, 403, 409, 422, 503))
    asked_by = who_signed(keys)

    @routes.post("/publish", status_code=202)
    async def publish_updates(
        new: Publication,
        asker: Annotated[User | SignedRequest, Depends(asked_by)],
        tokens: Tokens,
        idempotency_key: IdempotencyKey = None,
    ) -> Publishings:
        """Publish to a channel, a user, a role or a tenant. Accepted once the broker has all of it.

        By a token of an administrator or with the scope `realtime:publish`, or signed with a publish key."""
        if isinstance(asker, User):
            by = publisher(asker.id, asker.roles, asker.scopes)
            return answer(await publish(updates_of(new, idempotency_key), by, ports), tokens)
        async with keys.seen.once(asker.key_id, asker.id, ports.now()):
            updates = updates_of(new, idempotency_key or asker.id)
            return answer(await publish(updates, asker.publisher, ports), tokens)

    routes.include_router(key_routes(keys))
    routes.include_router(webhook_routes(webhooks))
    routes.include_router(connection_routes(connections))
    routes.include_router(channel_token_routes())
    return routes


def updates_of(new: Publication, key: str | None) -> list[Update]:
    """Return what is asked for; `key` stands for the idempotency key that an update does not have. Raise `Refused`."""
    if new.updates is None:
        return [_update(new, key)]
    return [_update(each, key and f"{key}/{place}", f"/updates/{place}") for place, each in enumerate(new.updates)]


def answer(made: Sequence[tuple[UiUpdatePublished, Position]], tokens: OpaqueTokens) -> Publishings:
    """Return the ids and positions of what was published."""
    return Publishings(
        updates=[
            PublishedAnswer(update_id=event.update_id, channel=event.channel, position=seal_position(tokens, position))
            for event, position in made
        ]
    )


def _update(new: NewUpdate | Publication, key: str | None, pointer: str = "") -> Update:
    with pointing_to(pointer):
        channel, payload = named(new.channel, new.user_id, new.role, new.tenant), json_of(new.payload)
    return Update(
        channel=channel,
        payload=payload,
        is_public=new.public,
        ttl=None if new.ttl_s is None else timedelta(seconds=new.ttl_s),
        idempotency_key=new.idempotency_key or key,
        version=new.version,
        is_kept=new.keep,
        region=new.region,
        pointer=pointer,
    )
