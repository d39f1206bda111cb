"""What has been rendered for somebody is copied for the same request of theirs, and for nothing else."""

from datetime import timedelta
from uuid import uuid4

import pytest

from bounded_contexts.documents.application.delivering import file_for
from bounded_contexts.documents.application.places import Places
from bounded_contexts.documents.application.rendering import render_requested
from schemas.documents.events import DocumentRequested
from shared_kernel.blobs import BlobName
from tests.unit.memory_documents import LIFETIME, DocumentWorld
from tests.unit.memory_jobs import pieces


@pytest.fixture
def world() -> DocumentWorld:
    return DocumentWorld()


async def rendered(world: DocumentWorld, content: bytes = b"text", target: str = "pdf") -> DocumentRequested:
    event = await world.requested(content, target=target)  # type: ignore[arg-type]
    await render_requested(event, world.ports, Places(4))
    world.list.rendered.append(event.document_id)
    return event


async def test_the_same_request_is_rendered_once_and_each_has_a_file_of_its_own(world: DocumentWorld) -> None:
    events = [await rendered(world) for _ in range(3)]

    assert world.renderer.count == 1
    assert world.contents == [b"TEXT"] * 3 + [b"text"] * 3
    files = [(await file_for(event.document_id, world.user, world.ports))[1] for event in events]
    assert len({file.id for file in files}) == 3
    assert {(file.sha256, file.pages, file.engine, file.expires_at) for file in files} == {
        (files[0].sha256, 2, "toy", world.now + LIFETIME)
    }
    assert await world.said(events[1].document_id) == ["DocumentRequested", "DocumentRendered"]


async def test_another_owner_target_or_content_is_rendered_whatever_the_list_says(world: DocumentWorld) -> None:
    await rendered(world)
    await rendered(world, b"other")
    await rendered(world, target="docx")
    world.user = uuid4()
    await rendered(world)

    assert world.renderer.count == 4


async def test_what_has_expired_or_was_made_by_another_version_is_not_copied(world: DocumentWorld) -> None:
    await rendered(world)
    world.renderer.version = "2"
    await rendered(world)
    world.renderer.version = "1"
    world.list.rendered = world.list.rendered[:1]
    world.now += LIFETIME + timedelta(seconds=1)
    await rendered(world)

    assert world.renderer.count == 3


async def test_a_file_that_is_lost_or_damaged_is_not_copied(world: DocumentWorld) -> None:
    first = await rendered(world)
    _, file = await file_for(first.document_id, world.user, world.ports)
    blob = BlobName(first.document_id, file.id)
    await world.blobs.put(blob, pieces(b"damaged"), 100)
    await rendered(world)
    await world.blobs.delete(blob)
    world.list.rendered = [first.document_id]
    await rendered(world)

    assert world.renderer.count == 3
    assert world.contents == [b"TEXT"] * 2 + [b"text"] * 3


async def test_a_copy_outlives_what_it_was_copied_from(world: DocumentWorld) -> None:
    first, second = await rendered(world), await rendered(world)
    _, file = await file_for(first.document_id, world.user, world.ports)
    await world.blobs.delete(BlobName(first.document_id, file.id))

    _, copy = await file_for(second.document_id, world.user, world.ports)
    found = [piece async for piece in world.blobs.read(BlobName(second.document_id, copy.id))]

    assert found == [b"TEXT"]
