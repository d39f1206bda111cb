"""What assets need from elsewhere."""

from collections.abc import AsyncIterable, Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol
from uuid import UUID

from bounded_contexts.documents.application.job_ports import Place
from bounded_contexts.documents.domain.asset import AssetEvent, MediaType
from shared_kernel.blobs import Blobs
from shared_kernel.events import EventStore

Facts = Mapping[str, str | int]


class Examiner(Protocol):
    """Looks assets through apart from this process, as `Renderer` does with instructions."""

    async def examined(self, media_type: MediaType, source: AsyncIterable[bytes]) -> Facts:
        """Return what is known of it: size in pixels, family of a font, pages. Raise `Unwritable` for what is not what it is
        said to be or what no document may have, `TooLarge`, `Unavailable`."""
        ...


@dataclass(frozen=True, slots=True)
class ListedAsset:
    """The newest version of an asset; size in bytes."""

    asset_id: UUID
    name: str
    version: int
    media_type: MediaType
    size: int
    sha256: str
    stored_at: datetime


class AssetWriter(Protocol):
    """The list of assets. Events come in the order of their topic; one that comes again changes nothing."""

    async def changed(self, event: AssetEvent) -> None:
        """Take the event over."""
        ...


class AssetReader(Protocol):
    """What has been listed of assets."""

    async def newest(self, limit: int, before: Place | None = None) -> list[ListedAsset]:
        """Return the newest versions, last stored first, those after `before`."""
        ...


@dataclass(frozen=True, slots=True)
class AssetPorts:
    store: EventStore[AssetEvent]
    blobs: Blobs
    examiner: Examiner
    writer: AssetWriter
    assets: AssetReader
    input_bytes: int  # of an asset
    used_bytes: int  # of all assets of one document
    now: Callable[[], datetime]  # time-zone aware, UTC
