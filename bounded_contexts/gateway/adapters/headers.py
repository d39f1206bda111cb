"""Which headers go on to the next hop, and what is said about the one before (RFC 9110, 7.6; RFC 7239)."""

from collections.abc import Iterable, Iterator, Mapping
from functools import cache
from secrets import token_hex

from multidict import CIMultiDict
from starlette.types import Scope

Header = tuple[bytes, bytes]

# `trailer`: trailers end here. `expect`: the server in front has answered it.
HOP_BY_HOP = frozenset(
    (b"connection", b"proxy-connection", b"keep-alive", b"te", b"transfer-encoding", b"upgrade", b"trailer", b"expect")
)


def end_to_end(headers: Iterable[Header], but: frozenset[bytes] = frozenset()) -> Iterator[Header]:
    """Yield the headers that are for the other end, in lower case: none of a hop, none that `Connection` lists."""
    found = [(name.lower(), value) for name, value in headers]
    listed = (value for name, value in found if name == b"connection")
    hop = HOP_BY_HOP.union(but, (word.strip().lower() for value in listed for word in value.split(b",")))
    return ((name, value) for name, value in found if name not in hop)


def onward(scope: Scope, but: frozenset[bytes] = frozenset()) -> CIMultiDict[str]:
    """Return the request's headers for the upstream, which learns of the client from us alone: what others said about it
    was heard before this, if they are trusted, and is in the scope."""
    given: Mapping[bytes, bytes] = dict(reversed(scope["headers"]))
    headers: CIMultiDict[str] = CIMultiDict()
    for name, value in end_to_end(scope["headers"], but):
        headers.add(name.decode("latin-1"), text(value))
    host = text(given.get(b"host", b""))
    public = text(given.get(b"x-forwarded-host", b"")) or host
    scheme = scope["scheme"].replace("ws", "http")
    headers["host"] = host
    headers["x-forwarded-proto"] = scheme
    headers["x-forwarded-host"] = public
    if client := scope.get("client"):
        headers["x-forwarded-for"] = client[0]
        node = f"[{client[0]}]" if ":" in client[0] else client[0]
        headers["forwarded"] = f"for={_quoted(node)};host={_quoted(public)};proto={scheme}"
    headers.add("via", f"{scope['http_version']} {pseudonym()}")
    if "request_id" in scope:
        headers["x-request-id"] = scope["request_id"]
    return headers


def goes_in_circles(scope: Scope) -> bool:
    """Return whether this process has forwarded the request before."""
    own = pseudonym().encode()
    return any(name == b"via" and own in value.replace(b",", b" ").split() for name, value in scope["headers"])


@cache
def pseudonym() -> str:
    """Return this process's name in `Via`: made when it is needed, since processes are forks that would share it."""
    return f"headwater-{token_hex(8)}"


def target(scope: Scope) -> str:
    """Return path and query as they were sent."""
    query = scope["query_string"].decode("latin-1")
    path: str = scope["raw_path"].decode("latin-1")
    return f"{path}?{query}" if query else path


def _quoted(word: str) -> str:
    return '"' + word.replace("\\", "\\\\").replace('"', '\\"') + '"'


def text(value: bytes) -> str:
    """Return a header's value as the libraries take it, which write UTF-8."""
    return value.decode("utf-8", "replace")
