"""REST face of realtime: webhook endpoints, for administrators."""

from datetime import datetime
from typing import Annotated
from uuid import UUID, uuid4

from fastapi import APIRouter, Response
from pydantic import BaseModel, Field

from bounded_contexts.realtime.adapters.http_keys import Glob
from bounded_contexts.realtime.application import webhooks
from bounded_contexts.realtime.application.webhooks import PERMISSION, Endpoint, Kind, ListedEndpoint, WebhookPorts
from infra.http import Body, SignedIn, problems
from infra.outgoing import LONGEST_URL
from infra.webhooks import shown
from shared_kernel.permissions import require


class NewWebhook(Body):
    url: Annotated[str, Field(min_length=1, max_length=LONGEST_URL, examples=["https://shop.example.org/hooks"])]
    kinds: Annotated[list[Kind], Field(min_length=1, max_length=4, examples=[["channel.occupied", "channel.vacated"]])]
    channels: Annotated[
        list[Glob], Field(min_length=1, max_length=100, examples=[["orders/*"]], description="Of `channel.…`; globs.")
    ] = ["*"]  # noqa: RUF012 – pydantic copies it


class WebhookAnswer(BaseModel):
    id: UUID
    url: str
    kinds: list[Kind]
    channels: list[str]
    created_at: datetime
    waiting: Annotated[int, Field(description="Deliveries that are still to be taken.")]
    given_up: Annotated[int, Field(description="Deliveries, ever: tried for a day, or too many at once.")]
    delivered_at: Annotated[datetime | None, Field(description="The last that was taken.")]
    last_error: str | None
    failed_at: datetime | None


class NewWebhookAnswer(WebhookAnswer):
    secret: Annotated[str, Field(description="Shown this once.")]


class WebhookList(BaseModel):
    data: list[WebhookAnswer]


def webhook_routes(ports: WebhookPorts) -> APIRouter:
    """Return the routes under /realtime/webhooks."""
    routes = APIRouter(prefix="/webhooks")

    @routes.post("", status_code=201)
    async def make_a_webhook(new: NewWebhook, user: SignedIn, response: Response) -> NewWebhookAnswer:
        """Have a URL told, by requests signed by Standard Webhooks, of what changes from now on; it takes having signed in within
        ten minutes."""
        require(user.roles, PERMISSION)
        await ports.require_recent(user.id, user.session, ports.now())
        kinds, channels = tuple(dict.fromkeys(new.kinds)), tuple(sorted(set(new.channels)))
        endpoint = Endpoint(uuid4(), new.url, kinds, channels, ports.now())
        listed, secret = await webhooks.make(endpoint, user.id, user.roles, ports)
        response.headers["Cache-Control"] = "no-store"
        return NewWebhookAnswer(**_answer(listed).model_dump(), secret=shown(secret))

    @routes.get("")
    async def list_webhooks(user: SignedIn) -> WebhookList:
        """The endpoints, first made first, without their secrets, and how each fares."""
        require(user.roles, PERMISSION)
        return WebhookList(data=[_answer(each) for each in await ports.endpoints.listed()])

    @routes.delete("/{webhook_id:uuid}", status_code=204, responses=problems(404))
    async def remove_a_webhook(webhook_id: UUID, user: SignedIn) -> None:
        """Send nothing more to an endpoint, what waits for it neither; a request may be on its way for ten seconds."""
        require(user.roles, PERMISSION)
        await ports.endpoints.remove(webhook_id)

    return routes


def _answer(listed: ListedEndpoint) -> WebhookAnswer:
    endpoint = listed.endpoint
    return WebhookAnswer(
        id=endpoint.webhook_id,
        url=endpoint.url,
        kinds=list(endpoint.kinds),
        channels=list(endpoint.channels),
        created_at=endpoint.made_at,
        waiting=listed.waiting,
        given_up=listed.given_up,
        delivered_at=listed.delivered_at,
        last_error=listed.last_error,
        failed_at=listed.failed_at,
    )
