"""Errors as problem documents (RFC 9457) with a stable `code`, the same for REST and sockets."""

from collections.abc import Sequence
from http import HTTPStatus
from typing import Any

from pydantic import ValidationError

from infra.access_tokens import Unauthenticated
from infra.rate_limit import RateLimited
from shared_kernel.blobs import BlobTooLarge
from shared_kernel.errors import (
    Conflict,
    Exhausted,
    Forbidden,
    Gone,
    HeadwaterError,
    Malformed,
    NotAcceptable,
    NotFound,
    Refused,
    Stale,
    Taken,
    Unavailable,
    Unsupported,
)

CONTENT_TYPE = "application/problem+json"
RETRY_AFTER_S = 1

# First match wins: subclasses before their parents.
STATUS: tuple[tuple[type[HeadwaterError], HTTPStatus], ...] = (
    (Unauthenticated, HTTPStatus.UNAUTHORIZED),
    (RateLimited, HTTPStatus.TOO_MANY_REQUESTS),
    (Malformed, HTTPStatus.BAD_REQUEST),
    (Forbidden, HTTPStatus.FORBIDDEN),
    (NotFound, HTTPStatus.NOT_FOUND),
    (Taken, HTTPStatus.CONFLICT),
    (Stale, HTTPStatus.PRECONDITION_FAILED),
    (Gone, HTTPStatus.GONE),
    (Exhausted, HTTPStatus.TOO_MANY_REQUESTS),
    (Unsupported, HTTPStatus.UNSUPPORTED_MEDIA_TYPE),
    (NotAcceptable, HTTPStatus.NOT_ACCEPTABLE),
    (BlobTooLarge, HTTPStatus.REQUEST_ENTITY_TOO_LARGE),
    (Refused, HTTPStatus.UNPROCESSABLE_ENTITY),
    (Conflict, HTTPStatus.CONFLICT),
    (Unavailable, HTTPStatus.SERVICE_UNAVAILABLE),
)
# Codes of answers that no HeadwaterError stands behind.
BY_STATUS = {
    400: "bad_request",
    401: "unauthenticated",
    403: "forbidden",
    404: "not_found",
    405: "method_not_allowed",
    406: "not_acceptable",
    413: "payload_too_large",
    415: "unsupported_media_type",
    416: "range_not_satisfiable",
    422: "validation_failed",
    429: "rate_limited",
    502: "bad_gateway",
    503: "dependency_unavailable",
    504: "gateway_timeout",
}


def status_of(error: HeadwaterError) -> HTTPStatus:
    """Return the HTTP status of an error."""
    return next((status for kind, status in STATUS if isinstance(error, kind)), HTTPStatus.INTERNAL_SERVER_ERROR)


def problem(
    status: int, code: str, detail: str = "", *, instance: str = "", request_id: str = "", errors: Sequence[Any] = ()
) -> dict[str, Any]:
    """Return the problem document. `errors` names each bad field by JSON Pointer."""
    document: dict[str, Any] = {
        "type": f"urn:headwater:problem:{code}",
        "title": HTTPStatus(status).phrase,
        "status": int(status),
        "code": code,
        "detail": detail,
        "instance": instance,
        "request_id": request_id,
    }
    return {name: value for name, value in document.items() if value != ""} | (
        {"errors": list(errors)} if errors else {}
    )


def of_error(error: HeadwaterError, *, instance: str = "", request_id: str = "") -> dict[str, Any]:
    """Return the problem document of an error."""
    document = problem(status_of(error), error.code, error.detail, instance=instance, request_id=request_id)
    return {**document, **error.more}


def of_validation(error: ValidationError, request_id: str = "") -> dict[str, Any]:
    """Return the problem document of what pydantic has not understood."""
    found = error.errors(include_url=False, include_context=False, include_input=False)
    fields = of_fields([{**each, "loc": ("body", *each["loc"])} for each in found])
    return problem(422, "validation_failed", f"{len(fields)} field(s) failed", request_id=request_id, errors=fields)


def of_fields(found: Sequence[Any]) -> list[dict[str, str]]:
    """Return pydantic's findings as pointer, code and detail, without repeating what was sent."""
    return [{"pointer": _pointer(each["loc"]), "code": str(each["type"]), "detail": str(each["msg"])} for each in found]


def _pointer(loc: Sequence[str | int]) -> str:
    """Return the JSON Pointer (RFC 6901) into the body, or the parameter's name behind its place."""
    parts = loc[1:] if loc and loc[0] == "body" else loc
    return "".join("/" + str(part).replace("~", "~0").replace("/", "~1") for part in parts)
