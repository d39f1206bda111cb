"""Channels of UI updates, and who may subscribe to which. Pure."""

from collections.abc import Iterable
from dataclasses import dataclass
from fnmatch import fnmatchcase
from uuid import UUID

from bounded_contexts.realtime.application.channels import OWNED
from shared_kernel.permissions import USER


@dataclass(frozen=True, slots=True)
class Channel:
    """Where updates go. The public and the private channel of one name have nothing in common."""

    name: str
    is_public: bool


def may_subscribe(user: UUID, roles: Iterable[str], channel: str, open_channels: Iterable[str]) -> bool:
    """Return whether the channel is the user's own, or open to everybody who is signed in.

    Who has the role `tenant:acme` is of that tenant."""
    held = {USER, *roles}
    if channel.startswith("tenant:"):
        return channel in held
    if channel.startswith("role:"):
        return channel.removeprefix("role:") in held
    if channel.startswith(OWNED):
        return channel == f"user:{user}"
    return any(fnmatchcase(channel, glob) for glob in open_channels)
