"""Template: a form under a name, with versions, from which documents are made. Pure: no clock, no I/O, no randomness.

A version never changes. What is stored again as it is makes none. Numbers go on beyond a removal: `invoice@3` is one thing for
good.
"""

import re
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Final, Literal, cast
from uuid import NAMESPACE_URL, UUID, uuid5

from schemas.documents.events import TemplateRemoved, TemplateStored
from shared_kernel.errors import NotFound, Refused

VERSIONS: Final = 1_000  # of one name: all of them are read with its events
NAME: Final = r"[a-z0-9][a-z0-9-]{0,63}"
REFERENCE: Final = rf"({NAME})(?:@([1-9][0-9]{{0,5}}))?"

Kind = Literal["json", "docx", "xlsx"]
TemplateEvent = TemplateStored | TemplateRemoved


@dataclass(frozen=True, slots=True, kw_only=True)
class StoreTemplate:
    """The content is stored; have it be the newest version."""

    template_id: UUID
    name: str
    kind: Kind
    content_id: UUID
    content_bytes: int
    content_sha256: str
    user_id: UUID
    at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class RemoveTemplate:
    template_id: UUID
    user_id: UUID
    at: datetime


TemplateCommand = StoreTemplate | RemoveTemplate


@dataclass(frozen=True, slots=True)
class Version:
    """One version; size in bytes."""

    number: int
    kind: Kind
    content_id: UUID
    size: int
    sha256: str
    stored_at: datetime


@dataclass(frozen=True, slots=True)
class Template:
    """`versions` are those that are there, oldest first; `last_number` was given last."""

    name: str
    versions: tuple[Version, ...] = ()
    last_number: int = 0


INITIAL: Template | None = None


def decide(state: Template | None, ask: TemplateCommand) -> tuple[TemplateEvent, ...]:
    """Return what happens, nothing for the content that is the newest version already. Raise `NotFound` for what is not there,
    `Refused` for too many versions."""
    if isinstance(ask, RemoveTemplate):
        found = present(state)
        removed = TemplateRemoved(template_id=ask.template_id, name=found.name, user_id=ask.user_id, removed_at=ask.at)
        return (removed,)
    if state and state.versions and state.versions[-1].sha256 == ask.content_sha256:
        return ()
    number = state.last_number + 1 if state else 1
    if number > VERSIONS:
        raise Refused("too_many_versions", f"a name has {VERSIONS} versions at most; take another")
    stored = TemplateStored(
        template_id=ask.template_id,
        name=ask.name,
        version=number,
        kind=ask.kind,
        content_id=ask.content_id,
        content_bytes=ask.content_bytes,
        content_sha256=ask.content_sha256,
        user_id=ask.user_id,
        stored_at=ask.at,
    )
    return (stored,)


def evolve(state: Template | None, event: TemplateEvent) -> Template:
    if isinstance(event, TemplateRemoved):
        return replace(state or Template(event.name), versions=())
    before = state or Template(event.name)
    version = Version(
        event.version,
        cast("Kind", event.kind),
        event.content_id,
        event.content_bytes,
        event.content_sha256,
        event.stored_at,
    )
    return replace(before, versions=(*before.versions, version), last_number=event.version)


def present(state: Template | None) -> Template:
    """Return the template. Raise `NotFound` where there is none, or none any more."""
    if state is None or not state.versions:
        raise NotFound("template_not_found")
    return state


def version_of(state: Template | None, number: int | None) -> Version:
    """Return a version by its number, or the newest. Raise `NotFound`."""
    for each in reversed(present(state).versions):
        if number in (None, each.number):
            return each
    raise NotFound("template_not_found")


def kept(state: Template | None) -> frozenset[UUID]:
    """Return the blobs of the template that somebody still needs."""
    return frozenset(each.content_id for each in state.versions) if state else frozenset()


def template_id_of(name: str) -> UUID:
    """Return the id of the template of a name (docs/adr/0007)."""
    return uuid5(NAMESPACE_URL, f"headwater:template:{name}")


def content_id_of(template_id: UUID, sha256: str) -> UUID:
    """Return the id of the template's blob with content of this hash."""
    return uuid5(template_id, f"content:{sha256}")


def referred(reference: str) -> tuple[str, int | None]:
    """Return name and number of `invoice@3` or `invoice`. Raise `NotFound` for what is neither."""
    match = re.fullmatch(REFERENCE, reference, re.ASCII)
    if match is None:
        raise NotFound("template_not_found")
    return match[1], int(match[2]) if match[2] else None
