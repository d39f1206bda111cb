"""Keep assets, and have those ready that a document uses."""

from collections.abc import AsyncIterator, Iterable
from contextlib import suppress
from datetime import timedelta
from hashlib import sha256
from uuid import UUID

from bounded_contexts.documents.application.asset_ports import AssetPorts, Facts
from bounded_contexts.documents.application.commands import change_asset
from bounded_contexts.documents.domain import asset
from bounded_contexts.documents.domain.asset import (
    Asset,
    AssetVersion,
    MediaType,
    RemoveAsset,
    StoreAsset,
    asset_id_of,
    content_id_of,
    kept,
    present,
    referred,
    version_of,
)
from bounded_contexts.documents.domain.errors import TooLarge
from shared_kernel.blobs import BlobName
from shared_kernel.decider import state_of
from shared_kernel.errors import NotFound

GRACE = timedelta(hours=6)  # in which a request may end whose blob no event names yet


async def store(
    name: str, media_type: MediaType, content: bytes, user_id: UUID, ports: AssetPorts
) -> tuple[AssetVersion, Facts]:
    """Store an asset that has been looked through. Return the version that it is, which is the newest one where that has the
    same content, and what is known of it. Raise as `Examiner` says, `BlobTooLarge`, `Refused` for too many versions."""
    facts = await ports.examiner.examined(media_type, _once(content))
    id_, digest = asset_id_of(name), sha256(content).hexdigest()
    blob = BlobName(id_, content_id_of(id_, digest))
    await ports.blobs.put(blob, _once(content), ports.input_bytes)
    ask = StoreAsset(
        asset_id=id_,
        name=name,
        media_type=media_type,
        content_id=blob.part,
        content_bytes=len(content),
        content_sha256=digest,
        user_id=user_id,
        at=ports.now(),
    )
    return version_of(await change_asset(ask, ports), None), facts


async def remove(name: str, user_id: UUID, ports: AssetPorts) -> None:
    """Remove an asset with all versions. Their contents are deleted when they are swept up. Raise `NotFound`."""
    await change_asset(RemoveAsset(asset_id=asset_id_of(name), user_id=user_id, at=ports.now()), ports)


async def asset_for(name: str, ports: AssetPorts) -> Asset:
    """Return the asset as its events say. Raise `NotFound`."""
    return present((await state_of(asset, ports.store, asset_id_of(name)))[0])


async def version_for(reference: str, ports: AssetPorts) -> tuple[str, AssetVersion]:
    """Return name and version of `logo@3`, or of the newest for `logo`. Raise `NotFound`."""
    name, number = referred(reference)
    return name, version_of(await asset_for(name, ports), number)


async def content_of(name: str, version: AssetVersion, ports: AssetPorts) -> bytes:
    """Return what was stored. Raise `NotFound` when it is not there any more."""
    blob = BlobName(asset_id_of(name), version.content_id)
    return b"".join([piece async for piece in ports.blobs.read(blob)])


async def contents(references: Iterable[str], ports: AssetPorts) -> dict[str, bytes]:
    """Return the assets of the references as they are now, without those that there are none of: whoever reads the document
    says so, with the place. Raise `TooLarge` for too much of them, before it is read."""
    versions: dict[str, tuple[str, AssetVersion]] = {}
    for reference in references:
        with suppress(NotFound):
            versions[reference] = await version_for(reference, ports)
    if sum(version.size for _, version in versions.values()) > ports.used_bytes:
        raise TooLarge("asset_bytes", ports.used_bytes)
    found = {}
    for reference, (name, version) in versions.items():
        with suppress(NotFound):  # removed and swept up meanwhile
            found[reference] = await content_of(name, version, ports)
    return found


async def sweep(ports: AssetPorts) -> None:
    """Delete every blob that no asset needs: those of removed ones, and what processes left that died. Safe to repeat, and to
    do by several at once."""
    async for blob in ports.blobs.before(ports.now() - GRACE):
        found, _ = await state_of(asset, ports.store, blob.owner)
        if blob.part not in kept(found):
            await ports.blobs.delete(blob)


async def _once(content: bytes) -> AsyncIterator[bytes]:
    yield content
