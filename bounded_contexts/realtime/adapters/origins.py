"""Which web pages may connect: those of the own host, and those that were allowed."""

from starlette.types import Scope


def is_allowed(origin: str, scope: Scope, allowed: frozenset[str]) -> bool:
    """Return whether a page of `origin` may open a connection; behind a proxy the own host is what the proxy says."""
    headers = {name: value.decode("latin-1").split(",")[0].strip() for name, value in reversed(scope["headers"])}
    host = headers.get(b"x-forwarded-host") or headers.get(b"host", "")
    schemes = (headers.get(b"x-forwarded-proto", "http"), scope["scheme"].replace("ws", "http"))
    return origin in {f"{scheme}://{host}" for scheme in schemes} or not allowed.isdisjoint((origin, "*"))
