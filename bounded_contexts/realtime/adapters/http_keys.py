"""REST face of realtime: publish keys, for administrators."""

from datetime import datetime
from typing import Annotated
from uuid import UUID, uuid4

from fastapi import APIRouter, Response
from pydantic import BaseModel, Field, Strict, StringConstraints

from bounded_contexts.realtime.application import publish_keys
from bounded_contexts.realtime.application.publish_keys import KeyPorts, ListedKey
from bounded_contexts.realtime.domain.publish_key import PERMISSION, Asker, MakeKey, RevokeKey, RotateKey
from infra.access_tokens import User
from infra.http import Body, SignedIn, problems
from infra.webhooks import shown
from shared_kernel.permissions import require

Name = Annotated[
    str, StringConstraints(strip_whitespace=True, min_length=1, max_length=100, pattern=r"^[^\x00-\x1f\x7f]+$")
]
Glob = Annotated[str, Field(pattern=r"^[A-Za-z0-9._:/*-]{1,200}$")]


class NewPublishKey(Body):
    name: Annotated[Name, Field(examples=["Shop backend"])]
    channels: Annotated[list[Glob], Field(min_length=1, max_length=100, examples=[["orders/*", "user:*"]])]
    public: Annotated[bool, Strict(), Field(description="Whether also to clients without login.")] = False


class PublishKeyAnswer(BaseModel):
    id: UUID
    name: str
    channels: list[str]
    public: bool
    created_at: datetime
    rotated_at: datetime | None


class NewPublishKeyAnswer(PublishKeyAnswer):
    secret: Annotated[str, Field(description="Shown this once.")]


class PublishKeyList(BaseModel):
    data: list[PublishKeyAnswer]


def key_routes(ports: KeyPorts) -> APIRouter:
    """Return the routes under /realtime/keys."""
    routes = APIRouter(prefix="/keys")

    @routes.post("", status_code=201)
    async def make_a_publish_key(new: NewPublishKey, user: SignedIn, response: Response) -> NewPublishKeyAnswer:
        """Give a backend a key to sign its requests with; it takes having signed in within ten minutes."""
        require(user.roles, PERMISSION)
        await ports.require_recent(user.id, user.session, ports.now())
        ask = MakeKey(
            key_id=uuid4(),
            name=new.name,
            channels=tuple(new.channels),
            may_public=new.public,
            asker=_asker(user),
            at=ports.now(),
        )
        return _shown_once(await publish_keys.make(ask, ports), response)

    @routes.get("")
    async def list_publish_keys(user: SignedIn) -> PublishKeyList:
        """The keys, first made first, without their secrets."""
        require(user.roles, PERMISSION)
        return PublishKeyList(data=[_answer(each) for each in await ports.keys.listed()])

    @routes.post("/{key_id:uuid}/secrets", status_code=201, responses=problems(404, 409))
    async def rotate_a_publish_key(key_id: UUID, user: SignedIn, response: Response) -> NewPublishKeyAnswer:
        """Give a key another secret. The former one holds for a day beside it, the one before no more. It takes having signed
        in within ten minutes."""
        require(user.roles, PERMISSION)
        await ports.require_recent(user.id, user.session, ports.now())
        ask = RotateKey(key_id=key_id, asker=_asker(user), at=ports.now())
        return _shown_once(await publish_keys.rotate(ask, ports), response)

    @routes.delete("/{key_id:uuid}", status_code=204, responses=problems(404))
    async def revoke_a_publish_key(key_id: UUID, user: SignedIn) -> None:
        """Refuse a key, everywhere within seconds and for good; twice is once."""
        await publish_keys.revoke(RevokeKey(key_id=key_id, asker=_asker(user), at=ports.now()), ports)

    return routes


def _asker(user: User) -> Asker:
    return Asker(user.id, user.roles)


def _answer(key: ListedKey) -> PublishKeyAnswer:
    return PublishKeyAnswer(
        id=key.key_id,
        name=key.name,
        channels=list(key.channels),
        public=key.may_public,
        created_at=key.made_at,
        rotated_at=key.rotated_at,
    )


def _shown_once(made: tuple[ListedKey, bytes], response: Response) -> NewPublishKeyAnswer:
    listed, secret = made
    response.headers["Cache-Control"] = "no-store"
    return NewPublishKeyAnswer(**_answer(listed).model_dump(), secret=shown(secret))
