"""Every error as a problem document (RFC 9457, docs/errors.md)."""

from http import HTTPStatus
from typing import Any

import structlog
from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from fastapi.routing import iter_route_contexts
from starlette.exceptions import HTTPException
from starlette.routing import Match
from starlette.types import Receive, Scope, Send

from infra.access_tokens import Unauthenticated
from infra.http import STATIC
from infra.problems import BY_STATUS, CONTENT_TYPE, RETRY_AFTER_S, of_error, of_fields, problem
from infra.rate_limit import RateLimited
from shared_kernel.errors import Exhausted, HeadwaterError, Unavailable

CHALLENGE = {"WWW-Authenticate": 'Bearer error="invalid_token"'}  # RFC 6750, 3

log = structlog.get_logger()


def install(app: FastAPI) -> None:
    """Make every error of the application a problem document."""
    app.add_exception_handler(HeadwaterError, _on_error)
    app.add_exception_handler(RequestValidationError, _on_invalid)
    app.add_exception_handler(HTTPException, _on_http)
    app.add_exception_handler(Exception, _on_unexpected)
    app.router.default = _no_route


async def _no_route(scope: Scope, receive: Receive, send: Send) -> None:
    """Answer what no route takes, a socket's handshake too: Starlette refuses that in plain text."""
    if scope["type"] == "http":
        raise HTTPException(HTTPStatus.NOT_FOUND)
    document = problem(404, "not_found", "no socket is opened here", instance=scope["path"])
    await JSONResponse(document, 404, media_type=CONTENT_TYPE)(scope, receive, send)


def answer(
    request: Request, status: int, document: dict[str, Any], headers: dict[str, str] | None = None
) -> JSONResponse:
    """Return the problem document as an answer."""
    document |= {"instance": request.scope["path"], "request_id": request.scope.get("request_id", "")}
    return JSONResponse(document, status, headers, media_type=CONTENT_TYPE)


def error_answer(request: Request, error: HeadwaterError) -> JSONResponse:
    """Return the error as an answer, for a route that has to add to it."""
    document = of_error(error)
    return answer(request, document["status"], document, error_headers(request, error))


def error_headers(request: Request, error: HeadwaterError) -> dict[str, str]:
    """Return the fields that go with the error's status; tell the log of what is away."""
    if isinstance(error, Unauthenticated):
        return CHALLENGE
    if isinstance(error, RateLimited):
        return {"Retry-After": str(error.retry_after_s)}
    if isinstance(error, Exhausted):
        return {"Retry-After": str(RETRY_AFTER_S)}
    if isinstance(error, Unavailable):
        log.warning("http.unavailable", code=error.code, detail=error.detail, path=request.scope["path"])
        return {"Retry-After": str(RETRY_AFTER_S)}
    return {}


async def _on_error(request: Request, error: Exception) -> JSONResponse:
    assert isinstance(error, HeadwaterError)  # noqa: S101 – narrows the type Starlette widened
    return error_answer(request, error)


async def _on_invalid(request: Request, error: Exception) -> JSONResponse:
    assert isinstance(error, RequestValidationError)  # noqa: S101
    return invalid_answer(request, error)


def invalid_answer(request: Request, error: RequestValidationError, status: int = 422) -> JSONResponse:
    """Return what is answered to what is no JSON, or not the JSON that the route takes: that with `status`."""
    if any(each["type"] == "json_invalid" for each in error.errors()):
        return answer(request, 400, problem(400, "bad_request", "the body is not JSON"))
    if isinstance(error.body, bytes):  # FastAPI reads JSON by its media type only
        return answer(request, 415, problem(415, "unsupported_media_type", "send `Content-Type: application/json`"))
    found = of_fields(error.errors())
    return answer(request, status, problem(status, "validation_failed", f"{len(found)} field(s) failed", errors=found))


async def _on_http(request: Request, error: Exception) -> JSONResponse:
    assert isinstance(error, HTTPException)  # noqa: S101
    if isinstance(error.__cause__, HeadwaterError):  # from reading the body, where FastAPI calls everything a 400
        return await _on_error(request, error.__cause__)
    code = BY_STATUS.get(error.status_code, "internal")
    headers = dict(error.headers or {})
    if error.status_code == HTTPStatus.METHOD_NOT_ALLOWED:
        headers["Allow"] = ", ".join(sorted(_methods(request)))
    return answer(request, error.status_code, problem(error.status_code, code, error.detail), headers)


def _methods(request: Request) -> set[str]:
    """Return the methods of every route of the request's path; Starlette names those of the first. Where GET is, HEAD is."""
    routes = iter_route_contexts(request.app.routes)
    found = (route.methods or () for route in routes if route.matches(request.scope)[0] is not Match.NONE)
    methods = {method for methods in found for method in methods} or STATIC
    return methods | STATIC if "GET" in methods else methods


async def _on_unexpected(_: Request, error: Exception) -> JSONResponse:
    """Leave it to `RequestContext`; without this handler Starlette answers first, in plain text."""
    raise error
