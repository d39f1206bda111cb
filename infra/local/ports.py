"""Ports on this machine: is one free, who has it, and which one may be taken."""

import errno
import random
import socket
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

from infra.local.errors import StackError

LOOPBACK = "127.0.0.1"
# Below 32768, where Linux starts to hand out ports of outgoing connections (ip_local_port_range).
FREE_PORTS = range(20_000, 32_000)
_given: set[int] = set()  # what is chosen first is often bound last
LISTENING = "0A"  # state column of /proc/net/tcp, see proc_net_tcp(5)


def is_free(port: int, host: str = LOOPBACK) -> bool:
    """Return whether a server could be bound to the port now. Raise `StackError` if the host is not ours."""
    try:
        found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
    except (socket.gaierror, UnicodeError):
        raise _not_ours(host) from None
    return all(_can_bind(family, address, host) for family, _, _, _, address in found)


def free_port() -> int:
    """Return a free loopback port below 32768, never one that this process was given before.

    Another process may still be quicker to bind it.
    """
    for port in random.sample(FREE_PORTS, k=500):
        if port not in _given and is_free(port):
            _given.add(port)
            return port
    raise StackError(f"no free port between {FREE_PORTS.start} and {FREE_PORTS.stop}")


def choose(wanted: int, what: str, variable: str, host: str = LOOPBACK) -> int:
    """Return `wanted` if it is free, any free port for 0. Raise `StackError` naming the holder and the setting."""
    if wanted == 0:
        return free_port()
    if is_free(wanted, host):
        _given.add(wanted)
        return wanted
    by = f" by {holder}" if (holder := holder_of(wanted)) else ""
    raise StackError(f"port {wanted} for {what} is taken{by}: stop that, or set {variable} to another port (0 = any)")


def holder_of(port: int) -> str | None:
    """Return `name (pid N)` of the process that listens on the port, or None where the system does not tell."""
    sockets = set(_listening_sockets(port))
    for descriptor in Path("/proc").glob("[0-9]*/fd/*") if sockets else ():
        with suppress(OSError):
            if str(descriptor.readlink()) in sockets:
                process = descriptor.parent.parent
                return f"{(process / 'comm').read_text().strip()} (pid {process.name})"
    return None


def accepts(port: int) -> bool:
    """Return whether something on the loopback port accepts a connection."""
    try:
        with socket.create_connection((LOOPBACK, port), timeout=1):
            return True
    except OSError:
        return False


def _can_bind(family: int, address: tuple[Any, ...], host: str) -> bool:
    try:
        probe = socket.socket(family, socket.SOCK_STREAM)
    except OSError:  # a machine without IPv6: servers pass over such an address, too
        return True
    with probe:
        # As servers do: without the first the remains of closed connections would look like a server.
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if family == socket.AF_INET6:
            probe.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
        try:
            probe.bind(address)
        except PermissionError:
            raise StackError(f"port {address[1]} needs more rights: choose one above 1023") from None
        except OSError as error:
            if error.errno == errno.EADDRNOTAVAIL:
                raise _not_ours(host) from None
            return False
    return True


def _not_ours(host: str) -> StackError:
    return StackError(f"{host} is not an address of this machine: set HEADWATER_HOST")


def _listening_sockets(port: int) -> Iterator[str]:
    for table in (Path("/proc/net/tcp"), Path("/proc/net/tcp6")):
        with suppress(OSError):
            for line in table.read_text().splitlines()[1:]:
                columns = line.split()
                if columns[3] == LISTENING and int(columns[1].rpartition(":")[2], 16) == port:
                    yield f"socket:[{columns[9]}]"
