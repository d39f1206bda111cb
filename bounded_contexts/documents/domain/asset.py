"""Asset: an image, font or PDF under a name, with versions, which documents use. Pure: no clock, no I/O, no randomness.

As with templates, a version never changes, what is stored again as it is makes none, and numbers go on beyond a removal.
"""

import re
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Final, Literal, cast
from uuid import NAMESPACE_URL, UUID, uuid5

from bounded_contexts.documents.domain.template import REFERENCE, VERSIONS
from schemas.documents.events import AssetRemoved, AssetStored
from shared_kernel.errors import NotFound, Refused

MediaType = Literal["image/png", "image/jpeg", "image/webp", "image/svg+xml", "font/ttf", "font/otf", "application/pdf"]
Kind = Literal["image", "font", "pdf"]
KINDS: Final[dict[MediaType, Kind]] = {
    "image/png": "image",
    "image/jpeg": "image",
    "image/webp": "image",
    "image/svg+xml": "image",
    "font/ttf": "font",
    "font/otf": "font",
    "application/pdf": "pdf",
}
AssetEvent = AssetStored | AssetRemoved


@dataclass(frozen=True, slots=True, kw_only=True)
class StoreAsset:
    """The content is stored and has been looked through; have it be the newest version."""

    asset_id: UUID
    name: str
    media_type: MediaType
    content_id: UUID
    content_bytes: int
    content_sha256: str
    user_id: UUID
    at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class RemoveAsset:
    asset_id: UUID
    user_id: UUID
    at: datetime


AssetCommand = StoreAsset | RemoveAsset


@dataclass(frozen=True, slots=True)
class AssetVersion:
    """One version; size in bytes."""

    number: int
    media_type: MediaType
    content_id: UUID
    size: int
    sha256: str
    stored_at: datetime


@dataclass(frozen=True, slots=True)
class Asset:
    """`versions` are those that are there, oldest first; `last_number` was given last."""

    name: str
    versions: tuple[AssetVersion, ...] = ()
    last_number: int = 0


INITIAL: Asset | None = None


def decide(state: Asset | None, ask: AssetCommand) -> tuple[AssetEvent, ...]:
    """Return what happens, nothing for the content that is the newest version already. Raise `NotFound` for what is not there,
    `Refused` for too many versions."""
    if isinstance(ask, RemoveAsset):
        found = present(state)
        removed = AssetRemoved(asset_id=ask.asset_id, name=found.name, user_id=ask.user_id, removed_at=ask.at)
        return (removed,)
    newest = state.versions[-1] if state and state.versions else None
    if newest and (newest.sha256, newest.media_type) == (ask.content_sha256, ask.media_type):
        return ()
    number = state.last_number + 1 if state else 1
    if number > VERSIONS:
        raise Refused("too_many_versions", f"a name has {VERSIONS} versions at most; take another")
    stored = AssetStored(
        asset_id=ask.asset_id,
        name=ask.name,
        version=number,
        media_type=ask.media_type,
        content_id=ask.content_id,
        content_bytes=ask.content_bytes,
        content_sha256=ask.content_sha256,
        user_id=ask.user_id,
        stored_at=ask.at,
    )
    return (stored,)


def evolve(state: Asset | None, event: AssetEvent) -> Asset:
    if isinstance(event, AssetRemoved):
        return replace(state or Asset(event.name), versions=())
    before = state or Asset(event.name)
    version = AssetVersion(
        event.version,
        cast("MediaType", event.media_type),
        event.content_id,
        event.content_bytes,
        event.content_sha256,
        event.stored_at,
    )
    return replace(before, versions=(*before.versions, version), last_number=event.version)


def present(state: Asset | None) -> Asset:
    """Return the asset. Raise `NotFound` where there is none, or none any more."""
    if state is None or not state.versions:
        raise NotFound("asset_not_found")
    return state


def version_of(state: Asset | None, number: int | None) -> AssetVersion:
    """Return a version by its number, or the newest. Raise `NotFound`."""
    for each in reversed(present(state).versions):
        if number in (None, each.number):
            return each
    raise NotFound("asset_not_found")


def kept(state: Asset | None) -> frozenset[UUID]:
    """Return the blobs of the asset that somebody still needs."""
    return frozenset(each.content_id for each in state.versions) if state else frozenset()


def asset_id_of(name: str) -> UUID:
    """Return the id of the asset of a name (docs/adr/0007)."""
    return uuid5(NAMESPACE_URL, f"headwater:asset:{name}")


def content_id_of(asset_id: UUID, sha256: str) -> UUID:
    """Return the id of the asset's blob with content of this hash: no other asset's."""
    return uuid5(asset_id, f"content:{sha256}")


def referred(reference: str) -> tuple[str, int | None]:
    """Return name and number of `logo@3` or `logo`. Raise `NotFound` for what is neither."""
    match = re.fullmatch(REFERENCE, reference, re.ASCII)
    if match is None:
        raise NotFound("asset_not_found")
    return match[1], int(match[2]) if match[2] else None
