"""Parts of what can be downloaded (RFC 9110, 13 and 14): one range, and what a client already has."""

import re
from collections.abc import Mapping
from dataclasses import dataclass

from starlette.exceptions import HTTPException

ONE = re.compile(r"bytes=(\d{0,18})-(\d{0,18})", re.ASCII)


@dataclass(frozen=True, slots=True)
class Wanted:
    """What is to be sent: status, the bytes from `start` up to `end`, not included, and the fields that say so."""

    status: int
    start: int
    end: int
    headers: Mapping[str, str]


def wanted(headers: Mapping[str, str], size: int, etag: str) -> Wanted:
    """Return what a GET with these fields is answered with, of something of so many bytes whose strong ETag, with its quotes, is
    that. Several ranges, and what is none, are answered with the whole. Raise `HTTPException` 416."""
    own = {"ETag": etag, "Accept-Ranges": "bytes"}
    if _has(headers.get("if-none-match", ""), etag):
        return Wanted(304, 0, 0, own)
    found = ONE.fullmatch(headers.get("range", "").replace(" ", ""))
    first, last = found.groups() if found else ("", "")
    if not (first or last) or headers.get("if-range", etag) != etag:
        return Wanted(200, 0, size, {**own, "Content-Length": str(size)})
    if first and last and int(first) > int(last):
        return Wanted(200, 0, size, {**own, "Content-Length": str(size)})
    start = int(first) if first else max(size - int(last), 0)
    end = min(int(last) + 1, size) if first and last else size
    if start >= end:
        raise HTTPException(416, f"it has {size} bytes", {**own, "Content-Range": f"bytes */{size}"})
    part = {"Content-Range": f"bytes {start}-{end - 1}/{size}", "Content-Length": str(end - start)}
    return Wanted(206, start, end, {**own, **part})


def _has(field: str, etag: str) -> bool:
    """Return whether `If-None-Match` names the ETag, by weak comparison."""
    return field.strip() == "*" or etag in (each.strip().removeprefix("W/") for each in field.split(","))
