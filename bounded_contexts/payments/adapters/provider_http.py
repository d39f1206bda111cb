"""Port `PaymentProvider` over HTTP (docs/payments.md has the requests).

Each request has an idempotency key and can be repeated, so it is, a little later and while that does not add to an outage. All
attempts together keep to a time budget. What is not a clear answer is `Unknown`.
"""

import asyncio
import ssl
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from http import HTTPStatus
from typing import Annotated, Any, Literal
from uuid import UUID

import httpx
import msgspec
import structlog
from limits import RateLimitItemPerSecond
from limits.storage import MemoryStorage
from limits.strategies import MovingWindowRateLimiter
from prometheus_client import Histogram
from tenacity import AsyncRetrying, RetryCallState, retry_if_exception_type, stop_after_attempt, wait_exponential_jitter

from bounded_contexts.payments.application.ports import REFERENCE, Instruction, Statement, Unknown
from bounded_contexts.payments.application.settling import outcome_of
from bounded_contexts.payments.domain.commands import Declined, Outcome
from infra import tracing
from infra.circuit_breaker import CircuitBreaker, Refusing
from infra.metrics import LATENCY_S

ATTEMPTS = 3
PAUSE_S = (0.05, 1.0)  # before the second attempt, and the longest
RETRIES = RateLimitItemPerSecond(
    20, 10
)  # of all payments together: an outage is not answered with three times the traffic
FAILURES = 5  # in a row
OPEN_S = 5.0
PROBES = 2
LIMIT = 64 * 1024  # bytes of an answer
NOT_TAKEN = (HTTPStatus.BAD_REQUEST, HTTPStatus.UNPROCESSABLE_ENTITY)  # a request that it does not take, now or later
REASONS = frozenset({"insufficient_funds", "card_declined", "invalid_amount", "expired"})

ASKED = Histogram(
    "headwater_payment_provider_seconds",
    "How long the provider took, retries included.",
    ("step", "outcome"),
    buckets=LATENCY_S,
)

log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class Patience:
    """How long the provider may take, in seconds, and how many calls may be under way."""

    attempt_s: float = 2.0
    all_s: float = 6.0  # every attempt and the pauses between them
    concurrency: int = 16
    open_s: float = OPEN_S


class Answer(msgspec.Struct, frozen=True):
    """A payment as the provider writes it."""

    id: Annotated[str, msgspec.Meta(pattern=REFERENCE)]
    reference: UUID  # our id of the payment
    state: Literal["authorized", "declined", "captured", "voided", "refunded"]
    amount: int
    currency: str
    reason: str = ""


class ProviderAway(Exception):
    """The provider has not given a clear answer."""


class HttpProvider:
    """The provider at `url`. Connections are made when first needed."""

    def __init__(self, url: str, key: str, patience: Patience) -> None:
        self._url = url.rstrip("/")
        self._server = _server(httpx.URL(url))
        self._headers = {"Authorization": f"Bearer {key}", "Accept-Encoding": "identity"}
        self._patience = patience
        self._client: httpx.AsyncClient | None = None
        self._retries = MovingWindowRateLimiter(MemoryStorage())
        self.breaker = CircuitBreaker(
            "payment_provider",
            failures=FAILURES,
            open_s=patience.open_s,
            probes=PROBES,
            concurrency=patience.concurrency,
        )

    async def ask(self, instruction: Instruction) -> Outcome | Unknown:
        amount = {"amount": instruction.amount_minor, "currency": instruction.currency}
        if instruction.step == "authorize":
            path, body = "/v1/payments", {"reference": str(instruction.payment_id), **amount}
        else:
            path, body = f"/v1/payments/{instruction.payment_id}/{instruction.step}", amount
        headers = {"Idempotency-Key": str(instruction.key)}
        answer = await self._asked(instruction.step, "POST", path, json=body, headers=headers)
        return answer if isinstance(answer, Unknown) else _outcome(instruction, answer)

    async def look_up(self, payment_id: UUID) -> Statement | Unknown | None:
        answer = await self._asked("look_up", "GET", f"/v1/payments/{payment_id}")
        if isinstance(answer, Unknown):
            return answer
        status, found = answer
        if status == HTTPStatus.NOT_FOUND:
            return None
        if found is None or found.reference != payment_id:
            return Unknown("it speaks of another payment")
        return _statement(found)

    async def close(self) -> None:
        """Let go of the connections."""
        if self._client:
            await self._client.aclose()

    async def _asked(self, step: str, method: str, path: str, **request: Any) -> "tuple[int, Answer | None] | Unknown":
        began = asyncio.get_running_loop().time()
        found: tuple[int, Answer | None] | Unknown
        try:
            async with asyncio.timeout(self._patience.all_s):
                found = await self._insisted(method, path, request)
        except (ProviderAway, Refusing, TimeoutError) as error:
            found = Unknown(str(error) or "no answer in time")
        took = asyncio.get_running_loop().time() - began
        ASKED.labels(step, "unknown" if isinstance(found, Unknown) else "answered").observe(took)
        return found

    async def _insisted(self, method: str, path: str, request: Mapping[str, Any]) -> "tuple[int, Answer | None]":
        retrying = AsyncRetrying(
            retry=retry_if_exception_type(ProviderAway),
            stop=self._is_enough,
            wait=wait_exponential_jitter(multiplier=PAUSE_S[0], max=PAUSE_S[1], jitter=PAUSE_S[0]),
            reraise=True,
        )
        answer: tuple[int, Answer | None] = await retrying(self._attempt, method, path, request)
        return answer

    def _is_enough(self, state: RetryCallState) -> bool:
        return stop_after_attempt(ATTEMPTS)(state) or not self._retries.hit(RETRIES, "retries")

    async def _attempt(self, method: str, path: str, request: Mapping[str, Any]) -> "tuple[int, Answer | None]":
        """Ask once. Raise `ProviderAway` or `Refusing`."""
        async with self.breaker.call():
            try:
                status, body = await self._received(method, path, request)
            except (httpx.HTTPError, TimeoutError) as error:
                raise ProviderAway(type(error).__name__) from error
            return status, _read(status, body)

    async def _received(self, method: str, path: str, request: Mapping[str, Any]) -> tuple[int, bytes]:
        """Return status and body, in a span that the provider is told of."""
        url = self._url + path
        with tracing.calling(method, {"url.full": url, **self._server}) as span:
            headers = {**request.get("headers", {}), **tracing.onward(span)}
            body = b""
            async with (
                asyncio.timeout(self._patience.attempt_s),
                self._connected().stream(method, url, **{**request, "headers": headers}) as answer,
            ):
                span.set("http.response.status_code", answer.status_code)
                async for part in answer.aiter_raw():
                    body += part
                    if len(body) > LIMIT:
                        raise ProviderAway(f"more than {LIMIT} bytes")
            if answer.is_error:
                span.failed(str(answer.status_code))
            return answer.status_code, body

    def _connected(self) -> httpx.AsyncClient:
        if self._client is None:
            self._client = httpx.AsyncClient(
                headers=self._headers, follow_redirects=False, timeout=self._patience.attempt_s, verify=_trust()
            )
        return self._client


class NoProvider:
    """Where no provider is configured: nothing is ever authorised, so there is nothing else to do."""

    async def ask(self, instruction: Instruction) -> Outcome | Unknown:
        return Declined("provider_unavailable") if instruction.step == "authorize" else Unknown("there is no provider")

    async def look_up(self, payment_id: UUID) -> Statement | Unknown | None:
        return Unknown("there is no provider")

    async def close(self) -> None:
        """There is nothing to let go of."""


def _server(url: httpx.URL) -> dict[str, tracing.Value]:
    return {"server.address": url.host, "server.port": url.port or (443 if url.scheme == "https" else 80)}


@cache
def _trust() -> ssl.SSLContext:
    """Return the authorities that are trusted; to read them takes 30 ms."""
    return httpx.create_ssl_context()


def _read(status: int, body: bytes) -> Answer | None:
    """Return the payment in the answer. Raise `ProviderAway` for an answer that says nothing clear."""
    if status == HTTPStatus.NOT_FOUND or status in NOT_TAKEN:
        return None
    if status not in (HTTPStatus.OK, HTTPStatus.CREATED, HTTPStatus.PAYMENT_REQUIRED, HTTPStatus.CONFLICT):
        if status in (HTTPStatus.UNAUTHORIZED, HTTPStatus.FORBIDDEN):
            log.error("payments.provider_key_refused", status=status)
        raise ProviderAway(f"status {status}")
    try:
        return msgspec.json.decode(body, type=Answer)
    except msgspec.DecodeError as error:
        raise ProviderAway("no payment in the answer") from error


def _outcome(instruction: Instruction, answer: "tuple[int, Answer | None]") -> Outcome | Unknown:
    """Return what the answer says of the step. The payment's state decides: a step is not done because a status says so, and a
    provider that has forgotten a key refuses what it did itself."""
    status, found = answer
    if found is None:
        if instruction.step == "authorize" and status in NOT_TAKEN:
            return Declined("invalid_amount")
        return Unknown(f"status {status}, and no payment")
    same = (found.reference, found.amount, found.currency)
    if same != (instruction.payment_id, instruction.amount_minor, instruction.currency):
        log.error("payments.provider_disagrees", payment_id=str(instruction.payment_id), step=instruction.step)
        return Unknown("the provider speaks of another payment or amount")
    statement = _statement(found)
    if outcome := outcome_of(instruction.step, statement):
        return outcome
    if status in (HTTPStatus.OK, HTTPStatus.CREATED) or instruction.step == "void":
        return Unknown(f"status {status}, and the payment is {found.state}")
    return Declined("voided_before" if found.state == "voided" else statement.reason)


def _statement(of: Answer) -> Statement:
    return Statement(of.id, of.state, known_reason(of.reason), of.amount, of.currency)


def known_reason(given: str) -> str:
    """Return one of the reasons we tell of, whatever words the provider has."""
    return given if given in REASONS else "card_declined"
