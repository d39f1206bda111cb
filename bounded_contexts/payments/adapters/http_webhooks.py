"""What the payment provider tells by itself: signed by Standard Webhooks, at most five minutes old, each request taken once."""

import re
from collections.abc import Awaitable, Callable
from typing import Annotated, Literal
from uuid import UUID

from fastapi import APIRouter, Depends, Header, Request
from pydantic import BaseModel, Field

from bounded_contexts.payments.adapters.provider_http import known_reason
from bounded_contexts.payments.application.ports import REFERENCE, Ports, Statement
from bounded_contexts.payments.application.telling import Told, told
from infra.access_tokens import Unauthenticated
from infra.http import anybody, open_to_all, problems
from infra.webhooks import TOLERANCE, is_signed

WEBHOOK_ID = re.compile(r"[A-Za-z0-9_-]{1,128}")  # no dot: it would move the border to the timestamp
TIMESTAMP = re.compile(r"[0-9]{1,12}")

WebhookId = Annotated[str, Header(max_length=200, description="The same for every attempt at one event.")]
Timestamp = Annotated[str, Header(max_length=200, description="Unix time of the attempt in seconds.")]
Signature = Annotated[str, Header(max_length=1000, description="`v1,<base64>` of `id.timestamp.body`.")]


class ProviderPayment(BaseModel):
    """A payment as the provider has it; what else it says is not read."""

    id: Annotated[str, Field(pattern=REFERENCE)]
    reference: UUID
    state: Literal["authorized", "declined", "captured", "voided", "refunded"]
    amount: int
    currency: str
    reason: str = ""


class ProviderEvent(BaseModel):
    type: str
    data: ProviderPayment


def webhooks(ports: Ports, secret: bytes | None) -> APIRouter:
    """Return the provider's route. Without a secret nothing is taken."""
    routes = APIRouter(tags=["payments"])
    signed = Depends(_who_signed(ports, secret))

    @routes.post(
        "/payments/webhooks",
        status_code=204,
        dependencies=[Depends(open_to_all), signed],
        responses=problems(401, 409, 413, 422, 429, 503),
    )
    async def hear_provider(event: ProviderEvent, webhook_id: WebhookId, webhook_timestamp: Timestamp) -> None:
        """Hear what became of a payment; for the payment provider alone. An event that comes again changes nothing."""
        payment = event.data
        statement = Statement(payment.id, payment.state, known_reason(payment.reason), payment.amount, payment.currency)
        await told(webhook_id, int(webhook_timestamp), Told(payment.reference, statement), ports)

    return routes


def _who_signed(ports: Ports, secret: bytes | None) -> Callable[..., Awaitable[None]]:
    async def signed(
        request: Request,
        webhook_id: WebhookId = "",
        webhook_timestamp: Timestamp = "",
        webhook_signature: Signature = "",
    ) -> None:
        try:
            body = await request.body()
            _require_signature(secret, webhook_id, webhook_timestamp, webhook_signature, body)
            if abs(ports.now().timestamp() - int(webhook_timestamp)) > TOLERANCE.total_seconds():
                raise Unauthenticated("stale_timestamp", "webhook-timestamp is more than five minutes from our clock")
        except Unauthenticated:
            await anybody(request)  # what fails is counted by address
            raise

    return signed


def _require_signature(secret: bytes | None, id_: str, timestamp: str, given: str, body: bytes) -> None:
    if not (WEBHOOK_ID.fullmatch(id_) and TIMESTAMP.fullmatch(timestamp)):
        raise Unauthenticated("invalid_signature", "webhook-id or webhook-timestamp is missing, or not of its form")
    if secret is None or not is_signed(f"{id_}.{timestamp}.".encode() + body, given, [secret]):
        raise Unauthenticated("invalid_signature", "the signature is wrong")
