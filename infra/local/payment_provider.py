"""A payment provider for development and tests: a real process over HTTP that keeps a ledger, fails on demand and moves no money
(docs/payments.md)."""

import asyncio
import hmac
import json
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from uuid import NAMESPACE_URL, uuid5

import uvicorn
from starlette.applications import Starlette
from starlette.requests import Request as HttpRequest
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from infra.local.payment_faults import Faults, faults_of
from infra.local.payment_ledger import OPERATIONS, KeyReused, Ledger, Line, NoSuchPayment, Request
from infra.local.payment_webhooks import Event, Webhooks

HANG_S = 120.0  # longer than anybody waits


class PaymentProvider:
    """The provider's HTTP interface. `/ledger` and `/faults` are for tests, everything else for its customer."""

    def __init__(self, ledger: Ledger, key: str, webhooks: Webhooks | None) -> None:
        self._ledger = ledger
        self._key = key
        self._webhooks = webhooks
        self._faults = Faults()

    def application(self) -> Starlette:
        """Return the ASGI application."""
        return Starlette(
            routes=[
                Route("/health/ready", self._ready),
                Route("/v1/payments", self._authorize, methods=["POST"]),
                Route("/v1/payments/{reference}", self._show),
                Route("/v1/payments/{reference}/{operation}", self._change, methods=["POST"]),
                Route("/ledger", self._show_ledger),
                Route("/faults", self._set_faults, methods=["PUT"]),
            ]
        )

    async def _ready(self, _: HttpRequest) -> Response:
        return Response()

    async def _authorize(self, http: HttpRequest) -> Response:
        return await self._answered(http, "authorize", str((await http.json()).get("reference")))

    async def _change(self, http: HttpRequest) -> Response:
        return await self._answered(http, http.path_params["operation"], http.path_params["reference"])

    async def _answered(self, http: HttpRequest, operation: str, reference: str) -> Response:
        if not self._is_customer(http):
            return Response(status_code=401)
        body, key = await http.json(), http.headers.get("idempotency-key")
        if operation not in OPERATIONS or not key or not isinstance(body.get("amount"), int):
            return _error(400, "an operation with its Idempotency-Key and an amount is wanted")
        fault = self._faults.of(operation, key)
        if fault == "refuse":
            return _error(503, "out of order")
        if fault == "hang":
            await asyncio.sleep(HANG_S)
        try:
            request = Request(key, operation, reference, body["amount"], str(body.get("currency")))
            line, is_new = self._ledger.apply(request, decline=fault == "decline")
        except KeyReused:
            return _error(422, "the key was used for another request")
        except NoSuchPayment:
            return _error(404, "there is no such payment")
        if self._webhooks and is_new and line.status != 409:
            self._webhooks.send(_event(line, http.headers.get("traceparent", "")), self._faults)
        if fault == "late":
            await asyncio.sleep(self._faults.late_s)
        return _error(500, "out of order") if fault == "lost" else JSONResponse(_shown(line), line.status)

    async def _show(self, http: HttpRequest) -> Response:
        if not self._is_customer(http):
            return Response(status_code=401)
        reference = http.path_params["reference"]
        fault = self._faults.of("look_up", reference)
        if fault == "refuse":
            return _error(503, "out of order")
        if fault == "hang":
            await asyncio.sleep(HANG_S)
        line = self._ledger.payment(reference)
        return JSONResponse(_shown(line)) if line else _error(404, "there is no such payment")

    async def _show_ledger(self, _: HttpRequest) -> Response:
        return JSONResponse(
            [{**asdict(line.request), **_shown(line), "status": line.status} for line in self._ledger.lines()]
        )

    async def _set_faults(self, http: HttpRequest) -> Response:
        try:
            self._faults = faults_of(await http.json())
        except (ValueError, TypeError) as error:
            return _error(422, str(error))
        return Response(status_code=204)

    def _is_customer(self, http: HttpRequest) -> bool:
        return hmac.compare_digest(http.headers.get("authorization", "").encode(), f"Bearer {self._key}".encode())


def serve(port: int, ledger: Path, key: str, webhook_url: str | None, webhook_secret: bytes) -> None:
    """Serve on loopback until a signal comes. Raise `OSError` where the ledger cannot be opened."""
    webhooks = Webhooks(webhook_url, webhook_secret) if webhook_url else None
    provider = PaymentProvider(Ledger(ledger), key, webhooks)
    uvicorn.run(provider.application(), host="127.0.0.1", port=port, log_level="warning", timeout_graceful_shutdown=1)


def _event(line: Line, traceparent: str) -> Event:
    """Return the event of an operation that was asked for in this trace. Its id is the same for one operation for ever."""
    id_ = f"evt_{uuid5(NAMESPACE_URL, line.request.key).hex}"
    event: Mapping[str, object] = {"type": f"payment.{line.state}", "data": _shown(line)}
    return Event(id_, json.dumps(event).encode(), traceparent)


def _shown(line: Line) -> dict[str, object]:
    return {
        "id": line.id,
        "reference": line.request.reference,
        "state": line.state,
        "amount": line.request.amount,
        "currency": line.request.currency,
        "reason": line.reason,
    }


def _error(status: int, detail: str) -> Response:
    return JSONResponse({"detail": detail}, status)
