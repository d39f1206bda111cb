"""Who has signed a request with a publish key (docs/realtime.md)."""

import re
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Annotated
from uuid import UUID

from fastapi import Header, Request

from bounded_contexts.realtime.application import signatures
from bounded_contexts.realtime.application.publish_keys import KeyPorts, SigningKey
from bounded_contexts.realtime.application.publishing import Publisher
from infra.access_tokens import Unauthenticated, User
from infra.http import PerhapsKnown, anybody, count_key
from infra.webhooks import TOLERANCE, is_signed
from shared_kernel.causation import identify

REQUEST_ID = re.compile(r"[A-Za-z0-9_-]{1,128}")  # no dot: it would move the border to the timestamp
TIMESTAMP = re.compile(r"[0-9]{1,12}")

KeyId = Annotated[str | None, Header(alias="X-Key-Id", max_length=200, description="Of a publish key.")]
RequestId = Annotated[str | None, Header(max_length=200, description="Another one for each request, not for a repeat.")]
Timestamp = Annotated[str | None, Header(max_length=200, description="Unix time in seconds.")]
Signature = Annotated[str | None, Header(max_length=1000, description="`v1,<base64>`.")]


@dataclass(frozen=True, slots=True)
class SignedRequest:
    id: str
    key_id: UUID
    publisher: Publisher


def who_signed(ports: KeyPorts) -> Callable[..., Awaitable[User | SignedRequest]]:
    """Return the dependency that says whose token it is, or else who has signed."""

    async def asked_by(
        request: Request,
        user: PerhapsKnown,
        x_key_id: KeyId = None,
        webhook_id: RequestId = None,
        webhook_timestamp: Timestamp = None,
        webhook_signature: Signature = None,
    ) -> User | SignedRequest:
        """Return who asks. Raise `Unauthenticated`, `RateLimited`."""
        if user is not None:
            return user
        try:
            if x_key_id is None:
                raise Unauthenticated("unauthenticated", "send `Authorization: Bearer <token>`, or sign the request")
            key = await _signing_key(x_key_id, ports)
            id_, at, given = webhook_id or "", webhook_timestamp or "", webhook_signature or ""
            await _require_signature(request, key, id_, at, given)
            if abs(ports.now().timestamp() - int(at)) > TOLERANCE.total_seconds():
                raise Unauthenticated("stale_timestamp", "webhook-timestamp is more than five minutes from our clock")
        except Unauthenticated:
            await anybody(request)  # what fails is counted by address
            raise
        await count_key(request, str(key.key_id))
        identify(key.key_id)
        return SignedRequest(id_, key.key_id, Publisher(f"key:{key.key_id}", key.channels, key.may_public))

    return asked_by


async def _signing_key(key_id: str, ports: KeyPorts) -> SigningKey:
    try:
        found = await ports.keys.signing(UUID(key_id), ports.now())
    except ValueError:
        found = None
    if found is None:
        raise Unauthenticated("invalid_signature", "key or signature is wrong")
    return found


async def _require_signature(request: Request, key: SigningKey, id_: str, timestamp: str, given: str) -> None:
    if not (REQUEST_ID.fullmatch(id_) and TIMESTAMP.fullmatch(timestamp)):
        raise Unauthenticated("invalid_signature", "webhook-id or webhook-timestamp is missing, or not of its form")
    query = request.scope["query_string"]
    target = request.scope["raw_path"] + (b"?" + query if query else b"")
    signed = signatures.content(request.method, target.decode("latin-1"), id_, timestamp, await request.body())
    if not is_signed(signed, given, key.secrets):
        raise Unauthenticated("invalid_signature", "key or signature is wrong")
