"""Requests to addresses that users name: not to what only we can reach.

What is looked at is the address of the very socket that is about to connect, so that it does not matter what a name is resolved
to, how often, or how an address is written."""

import ipaddress
import socket
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from typing import Any
from urllib.parse import urlsplit

import aiohttp

LIMIT_S = 10.0  # for all of a request
ANSWER_BYTES = 64 * 1024  # most that is read of an answer's body
LONGEST_URL = 2_000
EMBEDDING = (
    ipaddress.IPv6Network("64:ff9b::/96"),
    ipaddress.IPv6Network("::/96"),
)  # an IPv4 address is their last 32 bits


class RefusedAddress(OSError):
    """Nobody outside may have us connect there."""


def is_public(address: str) -> bool:
    """Return whether anybody could reach the address as well as we do. An IPv6 address counts as the IPv4 address in it."""
    found = ipaddress.ip_address(address)
    if isinstance(found, ipaddress.IPv6Address):
        inner = found.ipv4_mapped or found.sixtofour or (found.teredo and found.teredo[1])
        if not inner and any(found in network for network in EMBEDDING):
            inner = ipaddress.IPv4Address(int(found) & 0xFFFF_FFFF)
        if inner:
            return is_public(str(inner))
        if found.is_site_local:
            return False
    return found.is_global and not (found.is_multicast or found.is_reserved or found.is_unspecified)


def checked_url(url: str, *, private: bool) -> str:
    """Return the URL. Raise `ValueError`, with the reason, for one that is not asked: `private` allows http and addresses of
    ours."""
    parts = urlsplit(url)
    if len(url) > LONGEST_URL or not url.isascii() or not url.isprintable() or " " in url:
        raise ValueError(f"at most {LONGEST_URL} ASCII characters, without blanks")
    if parts.scheme not in (("https", "http") if private else ("https",)):
        raise ValueError("an https URL is needed")
    if not parts.hostname or parts.username is not None or parts.password is not None or parts.fragment:
        raise ValueError("a host is needed, and neither a user nor a fragment")
    _ = parts.port  # raises for one that is none
    try:
        reachable = private or is_public(parts.hostname)
    except ValueError:  # a name, which is looked at when it is connected to
        return url
    if not reachable:
        raise ValueError("its address is not a public one")
    return url


class Outgoing:
    """What posts to URLs that users gave; `private` allows http and addresses of ours."""

    def __init__(self, *, private: bool) -> None:
        self.private = private

    @asynccontextmanager
    async def session(self) -> AsyncIterator[aiohttp.ClientSession]:
        """Lend connections while the block lasts."""
        connector = aiohttp.TCPConnector(socket_factory=self._socket, use_dns_cache=False)
        async with aiohttp.ClientSession(
            connector=connector,
            timeout=aiohttp.ClientTimeout(total=LIMIT_S),
            cookie_jar=aiohttp.DummyCookieJar(),
            auto_decompress=False,
            trust_env=False,
        ) as session:
            yield session

    async def post(
        self, session: aiohttp.ClientSession, url: str, body: bytes, headers: Mapping[str, str]
    ) -> str | None:
        """Return None if the answer is 2xx, otherwise what came of it, in a few words. Redirects are not followed."""
        try:
            checked_url(url, private=self.private)
        except ValueError as error:
            return str(error)
        try:
            async with session.post(url, data=body, headers=headers, allow_redirects=False) as answer:
                await answer.content.read(ANSWER_BYTES)
                return None if answer.status // 100 == 2 else f"HTTP {answer.status}"
        except TimeoutError:
            return f"no answer within {LIMIT_S:.0f} s"
        except aiohttp.ClientConnectorError as error:
            refused = isinstance(error.os_error, RefusedAddress) or "not a public address" in str(error)
            return "not a public address" if refused else "could not connect"
        except (aiohttp.ClientError, OSError) as error:
            return type(error).__name__

    def _socket(self, info: Any) -> socket.socket:
        """Return a socket for the address, which it is then connected to. Raise `RefusedAddress`."""
        family, kind, protocol, _, address = info
        if not self.private and not is_public(address[0]):
            raise RefusedAddress("not a public address")
        return socket.socket(family, kind, protocol)
