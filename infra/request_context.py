"""What surrounds every REST request: its id and cause, a limit on its body, an answer to what nobody caught (docs/http.md)."""

import re
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from http import HTTPStatus
from types import MappingProxyType
from uuid import uuid4

import structlog
from fastapi.responses import JSONResponse
from fastapi.security.utils import get_authorization_scheme_param
from starlette.exceptions import HTTPException
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from infra.access_tokens import AccessTokens, Unauthenticated
from infra.envelope import TRACEPARENT
from infra.problems import CONTENT_TYPE, RETRY_AFTER_S, problem
from infra.rate_limit import ALLOWANCE
from shared_kernel.causation import Cause, because

BODY_LIMIT = 1 << 20  # bytes
UNKNOWN_BODY_LIMIT = 65_536  # bytes that are read before a token is asked for
BODIES_LIMIT = 256 << 20  # bytes of all bodies that a process holds at once
PROTECTION = [
    (b"x-content-type-options", b"nosniff"),
    (b"referrer-policy", b"no-referrer"),
    (b"cross-origin-resource-policy", b"same-site"),
]
ANSWER_POLICY = b"default-src 'none'; frame-ancestors 'none'"
# Swagger UI and the demo have a script and styles in the page.
PAGE_POLICY = (
    b"default-src 'self'; script-src 'self' 'unsafe-inline'; style-src 'self' 'unsafe-inline'; img-src 'self' data:; "
    b"frame-ancestors 'none'"
)
HSTS = (b"strict-transport-security", b"max-age=31536000")
OWN = frozenset(name for name, _ in (*PROTECTION, HSTS)) | {b"content-security-policy", b"x-request-id"}
LINES = "application/x-ndjson"
NO_LARGE_BODIES: Mapping[str, int] = MappingProxyType({})
REQUEST_ID = re.compile(r"[A-Za-z0-9._-]{1,100}")

log = structlog.get_logger()


class RequestContext:
    """ASGI: a request id and a cause for everything a request does, a limit on its body, a problem for what nobody caught."""

    def __init__(
        self,
        app: ASGIApp,
        tokens: AccessTokens,
        large_bodies: Mapping[str, int] = NO_LARGE_BODIES,
        held_bodies: Mapping[str, int] = NO_LARGE_BODIES,
        line_bodies: Mapping[str, int] = NO_LARGE_BODIES,
    ) -> None:
        """`large_bodies` are paths whose bodies are not held, with the bytes that they may have; `held_bodies` those whose
        bodies may be larger than others' and are held as these are; `line_bodies` are paths where those in lines are not."""
        self._app = app
        self._large_bodies, self._held_bodies, self._line_bodies = large_bodies, held_bodies, line_bodies
        self._tokens = tokens
        self._held = 0  # bytes of the bodies of all requests that run

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        headers = {name: value.decode("latin-1") for name, value in scope["headers"]}
        given = headers.get(b"x-request-id", "")
        request_id = given if REQUEST_ID.fullmatch(given) else str(uuid4())
        scope["request_id"] = request_id
        started = False

        async def sending(message: Message) -> None:
            nonlocal started
            if message["type"] == "http.response.start":
                started = True
                own = [(b"x-request-id", request_id.encode()), *_protection(scope)]
                if allowance := scope.get(ALLOWANCE):
                    own += allowance.headers
                message["headers"] = [*_of_body(message), *own]
            await send(message)

        traceparent = headers.get(b"traceparent", "")
        with because(Cause(request_id, request_id, traceparent if TRACEPARENT.fullmatch(traceparent) else None)):
            try:
                length = headers.get(b"content-length", "") or "0"
                if not length.isdecimal():
                    await self._refuse(scope, sending, 400, "bad_request", "Content-Length is no number")
                    return
                is_lines = scope["path"] in self._line_bodies and _media_type(headers) == LINES
                unheld = self._line_bodies if is_lines else self._large_bodies
                is_held = scope["path"] not in unheld
                limit = (self._held_bodies if is_held else unheld).get(scope["path"], BODY_LIMIT)
                if int(length) > limit:
                    raise _TooLarge(limit)
                async with self._limited(receive, headers, limit, is_held=is_held) as body:
                    await self._app(scope, body, sending)
            except _TooLarge as error:
                await self._refuse(scope, sending, 413, "payload_too_large", error.detail)
            except Exception:
                log.exception("http.failed", path=scope["path"], request_id=request_id)
                if started:
                    raise
                await self._refuse(scope, sending, 500, "internal", "the failure was logged under the request id")

    @asynccontextmanager
    async def _limited(
        self, receive: Receive, headers: Mapping[bytes, str], limit: int, *, is_held: bool
    ) -> AsyncIterator[Receive]:
        """Lend a `receive` that refuses what is too much: of one body, of one from nobody known, of all together that are
        held."""
        seen = held = 0
        is_known = False

        async def receiving() -> Message:
            nonlocal seen, held, is_known
            message = await receive()
            size = len(message.get("body", b""))
            seen += size
            if is_held:
                held += size
                self._held += size
            if seen > limit:
                raise _TooLarge(limit)
            if seen > UNKNOWN_BODY_LIMIT and not is_known:
                await self._know(headers.get(b"authorization", ""), headers.get(b"x-api-key"))
                is_known = True
            if self._held > BODIES_LIMIT:
                raise HTTPException(503, "too much is being sent to this process", {"retry-after": str(RETRY_AFTER_S)})
            return message

        try:
            yield receiving
        finally:
            self._held -= held

    async def _know(self, authorization: str, key: str | None) -> None:
        scheme, token = ("bearer", key) if key and not authorization else get_authorization_scheme_param(authorization)
        if scheme.lower() != "bearer":
            raise Unauthenticated("unauthenticated", f"a body of over {UNKNOWN_BODY_LIMIT} bytes takes an access token")
        await self._tokens.verify(token)

    async def _refuse(self, scope: Scope, send: Send, status: int, code: str, detail: str) -> None:
        document = problem(status, code, detail, instance=scope["path"], request_id=scope["request_id"])

        async def nothing() -> Message:
            return {"type": "http.request", "body": b"", "more_body": False}

        await JSONResponse(document, status, media_type=CONTENT_TYPE)(scope, nothing, send)


def _of_body(start: Message) -> list[tuple[bytes, bytes]]:
    """Return the fields of an answer; of one that has no content none says what that is (RFC 9110, 8.3)."""
    fields = list(start.get("headers", ()))
    return (
        [each for each in fields if each[0] != b"content-type"] if start["status"] == HTTPStatus.NO_CONTENT else fields
    )


def _media_type(headers: Mapping[bytes, str]) -> str:
    return headers.get(b"content-type", "").partition(";")[0].strip().lower()


def _protection(scope: Scope) -> list[tuple[bytes, bytes]]:
    """Return what keeps browsers from doing more with an answer than is meant (OWASP REST security cheat sheet)."""
    is_page = scope["path"] == "/demo" or scope["path"].startswith("/docs")
    policy = PAGE_POLICY if is_page else ANSWER_POLICY
    headers = [(b"content-security-policy", policy), *PROTECTION]
    return [*headers, HSTS] if scope.get("scheme") == "https" else headers


class _TooLarge(HTTPException):
    """The body passed the limit. FastAPI lets an HTTPException through while it parses, nothing else."""

    def __init__(self, limit: int) -> None:
        super().__init__(413, f"the limit is {limit} bytes")
