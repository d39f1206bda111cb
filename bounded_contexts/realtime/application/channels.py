"""What a channel may be called, and whose it is. Publishing and subscribing go by these names alone."""

import re
from collections.abc import Iterable
from fnmatch import fnmatchcase
from uuid import UUID

from shared_kernel.errors import Refused

LONGEST = 200  # characters
USER, ROLE, TENANT = "user:", "role:", "tenant:"
EVERYWHERE = ("*",)  # globs
OWNED = (USER, ROLE, TENANT)  # what begins so belongs to somebody: it has no public channel of its name
NAME = re.compile(rf"[A-Za-z0-9._:/-]{{1,{LONGEST}}}")
GLOB = re.compile(rf"[A-Za-z0-9._:/*-]{{1,{LONGEST}}}")


def checked(channel: str) -> str:
    """Return the channel. Raise `Refused` for what none may be called."""
    if not NAME.fullmatch(channel):
        raise Refused("invalid_channel", f"letters, digits and ._:-/, 1 to {LONGEST} of them")
    return channel


def named(
    channel: str | None = None, user_id: UUID | None = None, role: str | None = None, tenant: str | None = None
) -> str:
    """Return the one channel that is meant, not yet `checked`. Raise `Refused` for none or several, and for a name that belongs
    to somebody where it is not given as theirs."""
    owned = ((USER, user_id), (ROLE, role), (TENANT, tenant))
    meant = [f"{prefix}{owner}" for prefix, owner in owned if owner is not None]
    if len(meant) + (channel is not None) != 1:
        raise Refused("validation_failed", "give one of channel, user_id, role and tenant")
    if channel is None:
        return meant[0]
    if channel.startswith(OWNED):
        raise Refused("invalid_channel", "give user_id, role or tenant for a channel that begins so")
    return channel


def checked_globs(globs: Iterable[str]) -> tuple[str, ...]:
    """Return the globs in order. Raise `Refused` for none or one that no channel fits."""
    ordered = tuple(sorted(set(globs)))
    if not ordered or not all(GLOB.fullmatch(each) for each in ordered):
        raise Refused("invalid_channel", f"globs of letters, digits and ._:-/*, 1 to {LONGEST} of them")
    return ordered


def globs_of(scopes: Iterable[str], scope: str) -> tuple[str, ...]:
    """Return where the scopes give what `scope` stands for: everywhere, or with globs behind it where those fit."""
    held, prefix = frozenset(scopes), f"{scope}:"
    if scope in held:
        return EVERYWHERE
    return tuple(sorted(each.removeprefix(prefix) for each in held if each.startswith(prefix)))


def fits(channel: str, globs: Iterable[str]) -> bool:
    """Return whether one of the globs, in which `*` stands for anything, is the channel's."""
    return any(fnmatchcase(channel, each) for each in globs)
