"""Assets under names: versions, what is kept, and which of them go into instructions."""

import json
from collections.abc import AsyncIterable
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from uuid import UUID, uuid4

import pytest

from bounded_contexts.documents.adapters.asset_instructions import REFERENCES, packed, references, unpacked
from bounded_contexts.documents.application import assets
from bounded_contexts.documents.application.asset_ports import AssetPorts, Facts, ListedAsset
from bounded_contexts.documents.application.job_ports import Place
from bounded_contexts.documents.domain.asset import AssetEvent, MediaType, asset_id_of
from bounded_contexts.documents.domain.errors import TooLarge
from bounded_contexts.documents.domain.template import VERSIONS
from infra.blobs_memory import MemoryBlobs
from infra.memory import MemoryEventStore
from shared_kernel.blobs import BlobTooLarge
from shared_kernel.errors import NotFound, Refused
from tests.unit.memory_jobs import NOW


class ToyExaminer:
    """Takes what does not begin with x."""

    async def examined(self, media_type: MediaType, source: AsyncIterable[bytes]) -> Facts:
        if b"".join([piece async for piece in source]).startswith(b"x"):
            raise Refused("bad_image", "x")
        return {"width": 1}


class NoList:
    async def changed(self, event: AssetEvent) -> None: ...

    async def newest(self, limit: int, before: Place | None = None) -> list[ListedAsset]:
        return []


@dataclass
class World:
    now: datetime = NOW
    user: UUID = field(default_factory=uuid4)

    def __post_init__(self) -> None:
        self.store: MemoryEventStore[AssetEvent] = MemoryEventStore()
        self.blobs = MemoryBlobs(lambda: self.now)
        listed = NoList()
        self.ports = AssetPorts(
            self.store, self.blobs, ToyExaminer(), listed, listed, input_bytes=10, used_bytes=12, now=lambda: self.now
        )

    async def stored(self, content: bytes, name: str = "logo", media_type: MediaType = "image/png") -> int:
        version, _ = await assets.store(name, media_type, content, self.user, self.ports)
        return version.number


async def test_what_is_stored_is_the_next_version_and_the_same_again_is_none() -> None:
    world = World()

    numbers = [await world.stored(content) for content in (b"1", b"1", b"2", b"1")]
    numbers.append(await world.stored(b"1", media_type="image/jpeg"))

    assert numbers == [1, 1, 2, 3, 4]
    assert await assets.contents(["logo", "logo@2"], world.ports) == {"logo": b"1", "logo@2": b"2"}


@pytest.mark.parametrize("reference", ["logo@5", "other", "Logo", "logo@0", "../logo", "logo/../logo", "logo\n", ""])
async def test_what_is_no_reference_leads_to_nothing(reference: str) -> None:
    world = World()
    await world.stored(b"1")

    with pytest.raises(NotFound):
        await assets.version_for(reference, world.ports)
    assert await assets.contents([reference], world.ports) == {}


async def test_what_is_refused_or_too_large_is_not_stored() -> None:
    world = World()

    with pytest.raises(Refused):
        await world.stored(b"x")
    with pytest.raises(BlobTooLarge):
        await world.stored(b"1" * 11)

    assert (world.blobs.kept, (await world.store.load(asset_id_of("logo")))[0]) == ({}, ())


async def test_a_removed_asset_is_gone_and_its_numbers_go_on() -> None:
    world = World()
    await world.stored(b"1")
    await world.stored(b"2")

    await assets.remove("logo", world.user, world.ports)
    assert await assets.contents(["logo", "logo@1"], world.ports) == {}
    with pytest.raises(NotFound):
        await assets.remove("logo", world.user, world.ports)

    assert await world.stored(b"1") == 3
    world.now += timedelta(days=1)
    await assets.sweep(world.ports)
    assert [kept for kept, _ in world.blobs.kept.values()] == [b"1"]
    assert await assets.contents(["logo@3"], world.ports) == {"logo@3": b"1"}


async def test_a_document_uses_so_much_of_assets() -> None:
    world = World()
    for name in ("a", "b"):
        await world.stored(b"1234567", name)

    with pytest.raises(TooLarge, match="asset bytes"):
        await assets.contents(["a", "b"], world.ports)


async def test_a_name_has_so_many_versions() -> None:
    world = World()
    for number in range(VERSIONS):
        await world.stored(b"%d" % number)

    with pytest.raises(Refused, match="too_many_versions"):
        await world.stored(b"more")


def declaring(**stored: object) -> bytes:
    return json.dumps({"assets": {name: {"stored": each} for name, each in stored.items()}, "body": []}).encode()


def test_what_a_document_has_stored_is_known_without_reading_it() -> None:
    assert references(declaring(a="logo@2", b="font", c="logo@2")) == ["font", "logo@2"]
    assert references(b'{"template": %b, "data": {"assets": {"a": {"stored": "no"}}}}' % declaring(a="logo")) == [
        "logo"
    ]
    assert references(b'{"assets": {"a": {"mediaType": "image/png", "data": "eA=="}}}') == []
    for nothing in (b"", b"[]", b"{", b'{"assets": 1}', declaring(a=1), b"[" * 100_000, b'{"template": "x"}'):
        assert references(nothing) == []
    with pytest.raises(TooLarge, match="stored assets"):
        references(declaring(**{f"a{number}": f"b{number}" for number in range(REFERENCES + 1)}))


def test_instructions_come_out_of_the_pack_as_they_went_in() -> None:
    given = packed(b'{"version"', {"b": b"2", "a": b"1"})

    assert given == packed(b'{"version"', {"a": b"1", "b": b"2"})
    assert unpacked(given) == (b'{"version"', {"a": b"1", "b": b"2"})
    assert packed(b"{}", {}) == b"{}"
    assert unpacked(b"{}") == (b"{}", {})
