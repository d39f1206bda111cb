"""The shapes that the addresses of servers may have. No refusal repeats a value: there may be a password in it."""

import re
from urllib.parse import SplitResult, unquote, urlsplit

LOOPBACK = ("127.0.0.1", "::1", "localhost")
DATABASE_PORT = 5432
# As SQLAlchemy reads it, where a password may hold what urlsplit takes for an end: "/", "?" and "#".
DATABASE = re.compile(
    r"postgres(?:ql)?://(?:[^@]*@)?(?P<host>\[[^\]]+\]|[^/?:@,\s]*)(?::(?P<port>\d{1,5}))?(?:/[^?@\s]*)?(?:\?[^@\s]*)?"
)

Address = tuple[str, int]


def brokers(servers: str) -> list[Address]:
    """Return the addresses of `host:port,…`. Raise `ValueError` saying what to write."""
    return [_broker(each.strip()) for each in servers.split(",")]


def database(url: str) -> Address | None:
    """Return the address in a PostgreSQL URL, None where it names no host. Raise `ValueError` saying what to write."""
    found = DATABASE.fullmatch(url)
    if not found or not 0 < int(found["port"] or DATABASE_PORT) < 65536:
        raise ValueError("write postgresql://user:password@host:port/name")
    return (found["host"].strip("[]"), int(found["port"] or DATABASE_PORT)) if found["host"] else None


def registry(url: str) -> Address:
    """Return the address in the URL of a schema registry. Raise `ValueError` saying what to write."""
    parts = _split(url)
    if not parts or parts.scheme not in ("http", "https") or not parts.hostname:
        raise ValueError("write http://host:port/path or https://host/path")
    return parts.hostname, parts.port or (443 if parts.scheme == "https" else 80)


def redis(url: str) -> Address:
    """Return the address in the URL of a Redis or Valkey. Raise `ValueError` saying what to write."""
    parts = _split(url)
    known = parts and parts.scheme in ("redis", "rediss") and parts.hostname and re.fullmatch(r"/?\d{0,5}", parts.path)
    if not parts or not parts.hostname or not known or parts.query or parts.fragment:
        raise ValueError("write redis[s]://[user:password@]host[:port][/number], with a password's `/?#@%` as %XX")
    return parts.hostname, parts.port or 6379


def upstreams(urls: str) -> list[Address]:
    """Return the addresses in comma-separated base URLs. Raise `ValueError` saying what to write."""
    return [_upstream(each) for each in listed(urls) or [""]]


def listed(values: str) -> list[str]:
    """Return the comma-separated values."""
    return [value for each in values.split(",") if (value := each.strip())]


def provider(url: str) -> tuple[str, str, str]:
    """Return issuer, client id and secret of an OpenID provider. Raise `ValueError` saying what to write."""
    parts = _split(url)
    is_plain = parts is not None and parts.scheme == "http" and parts.hostname in LOOPBACK
    if (
        not parts
        or not (parts.scheme == "https" or is_plain)
        or not (parts.hostname and parts.username and parts.password)
        or set(url) & {"?", "#"}
        or not url.isprintable()
    ):
        raise ValueError(
            "write https://client_id:client_secret@host/path, its parts percent-encoded; http on loopback only"
        )
    issuer = f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}{parts.path}"
    return issuer, unquote(parts.username), unquote(parts.password)


def payment_provider(url: str) -> Address:
    """Return the address in the base URL of a payment provider. Raise `ValueError` saying what to write."""
    parts = _split(url)
    is_plain = parts is not None and parts.scheme == "http" and parts.hostname in LOOPBACK
    is_guarded = parts is not None and (parts.scheme == "https" or is_plain)
    if not parts or not is_guarded or not parts.hostname or set(url) & {"?", "#", "@"} or not url.isprintable():
        raise ValueError("write https://host/path, without a key in it; http on loopback only")
    return parts.hostname, parts.port or (443 if parts.scheme == "https" else 80)


def without_password(url: str) -> str:
    """Return the URL without the password in it, and without its query, which may hold another."""
    scheme, slashes, rest = url.partition("://")
    user, at, address = rest.rpartition("@")
    return f"{scheme}{slashes}{user.partition(':')[0]}{at}{address.partition('?')[0]}"


def _upstream(url: str) -> Address:
    parts = _split(url)
    is_whole = parts and parts.scheme in ("http", "https") and f"{parts.scheme}://{parts.netloc}" == url
    if not parts or not is_whole or not parts.hostname or "@" in parts.netloc:
        raise ValueError("write http://host:port or https://host, several with commas between")
    return parts.hostname, parts.port or (443 if parts.scheme == "https" else 80)


def _broker(server: str) -> Address:
    parts = _split(f"//{server}")
    if not parts or parts.netloc != server or "@" in server or not parts.hostname or not parts.port:
        raise ValueError("write host:port, several with commas between")
    return parts.hostname, parts.port


def _split(url: str) -> SplitResult | None:
    try:
        parts = urlsplit(url)
        return parts if parts.port != 0 else None
    except ValueError:  # a port that is no number, or an open bracket
        return None
