"""Documents from request to sweeping: whatever comes in between, one outcome, the same bytes and no blob too many."""

import asyncio
from collections.abc import AsyncIterator, Callable, Coroutine
from dataclasses import replace
from datetime import timedelta
from hashlib import sha256
from typing import Any
from uuid import uuid4

import pytest

from bounded_contexts.documents.application import discarding
from bounded_contexts.documents.application.delivering import document_for, file_for, linked_file
from bounded_contexts.documents.application.job_ports import Usage
from bounded_contexts.documents.application.places import Places
from bounded_contexts.documents.application.rendering import render_requested
from bounded_contexts.documents.domain.document import DEATHS
from bounded_contexts.documents.domain.rendering.problems import Invalid, Problem
from schemas.documents.events import DocumentRequested
from shared_kernel.blobs import BlobName, BlobTooLarge
from shared_kernel.errors import Exhausted, Gone, NotFound, Refused, Taken, Unavailable
from tests.unit.memory_documents import LIFETIME, TERMS, DocumentWorld
from tests.unit.memory_jobs import pieces
from tests.unit.test_conversion_jobs import at_once

DONE = ["DocumentRequested", "RenderingBegun", "DocumentRendered"]


@pytest.fixture
def world() -> DocumentWorld:
    return DocumentWorld()


async def render(world: DocumentWorld, event: DocumentRequested) -> None:
    await render_requested(event, world.ports, Places(4))


async def test_the_file_is_stored_beside_its_instructions(world: DocumentWorld) -> None:
    event = await world.requested(b"text")

    await render(world, event)

    found, file = await file_for(event.document_id, world.user, world.ports)
    assert (found.status, found.attempts, world.contents) == ("rendered", 1, [b"TEXT", b"text"])
    assert (file.pages, file.warnings, file.engine, file.size) == (2, {"approximated": 1}, "toy", 4)
    assert file.expires_at == world.now + LIFETIME


async def test_a_second_delivery_renders_nothing(world: DocumentWorld) -> None:
    event = await world.requested()

    for _ in range(3):
        await render(world, event)

    assert await world.said(event.document_id) == DONE
    assert world.renderer.count == 1


async def test_a_file_that_was_lost_is_rendered_again_and_nothing_else_happens(world: DocumentWorld) -> None:
    event = await world.requested()
    await render(world, event)
    _, file = await file_for(event.document_id, world.user, world.ports)
    await world.blobs.delete(BlobName(event.document_id, file.id))

    await render(world, event)

    assert world.contents == [b"TEXT", b"text"]
    assert BlobName(event.document_id, file.id) in world.blobs.kept
    assert await world.said(event.document_id) == DONE


async def test_other_bytes_are_not_taken_for_a_file_that_was_lost(world: DocumentWorld) -> None:
    event = await world.requested()
    await render(world, event)
    _, file = await file_for(event.document_id, world.user, world.ports)
    await world.blobs.delete(BlobName(event.document_id, file.id))
    world.blobs.kept[BlobName(event.document_id, event.input_id)] = (b"other", world.now)

    await render(world, event)

    assert world.contents == [b"other"]
    assert await world.said(event.document_id) == DONE


async def test_two_that_render_side_by_side_leave_one_file(world: DocumentWorld) -> None:
    event = await world.requested()
    both = asyncio.Barrier(2)

    async def wait(_: bytes) -> None:
        await both.wait()

    world.renderer.before = wait
    await asyncio.gather(render(world, event), render(world, event))

    assert (await world.said(event.document_id)).count("DocumentRendered") == 1
    assert world.contents == [b"TEXT", b"text"]


async def test_instructions_that_are_wrong_fail_with_every_problem_and_leave_nothing(world: DocumentWorld) -> None:
    event = await world.requested()
    problems = [Problem("/body/0/type", "not_allowed", "x"), Problem("/version", "missing_property", "y")]

    async def refuse(_: bytes) -> None:
        raise Invalid(problems)

    world.renderer.before = refuse
    await render(world, event)

    found = await document_for(event.document_id, world.user, world.ports)
    assert found.failure
    assert (found.status, found.failure.code) == ("failed", "invalid_document")
    assert (found.failure.place, found.failure.problems) == ({"pointer": "/body/0/type"}, tuple(problems))
    assert world.contents == []
    with pytest.raises(Taken, match="document_without_file"):
        await file_for(event.document_id, world.user, world.ports)


def test_a_worker_that_dies_is_tried_again_so_many_times_and_then_it_has_failed() -> None:
    async def story() -> None:
        world = DocumentWorld()
        event = await world.requested()

        async def die(_: bytes) -> None:
            raise Unavailable("worker_died")

        world.renderer.before = die
        await render(world, event)

        found = await document_for(event.document_id, world.user, world.ports)
        assert found.failure
        assert found.failure.code == "worker_died"
        assert (await world.said(event.document_id)).count("RenderingBegun") == DEATHS
        assert world.contents == []

    at_once(story)


async def test_without_a_free_worker_it_waits_and_that_is_no_attempt(world: DocumentWorld) -> None:
    event = await world.requested()
    world.renderer.refusal = Unavailable("workers_busy")

    for _ in range(DEATHS + 1):
        with pytest.raises(Unavailable, match="workers_busy"):
            await render(world, event)
    world.renderer.refusal = None
    await render(world, event)

    assert (await document_for(event.document_id, world.user, world.ports)).attempts == 1


@pytest.mark.parametrize("end", [discarding.cancel, discarding.delete])
def test_what_nobody_wants_any_more_stops_while_it_is_rendered(end: Callable[..., Coroutine[Any, Any, object]]) -> None:
    async def story() -> None:
        world = DocumentWorld()
        event = await world.requested()
        begun = asyncio.Event()

        async def hang(_: bytes) -> None:
            begun.set()
            await asyncio.Event().wait()

        world.renderer.before = hang
        running = asyncio.create_task(render(world, event))
        await begun.wait()
        await end(event.document_id, world.user, world.ports)
        await running

        assert world.renderer.running == 0
        assert world.contents == []

    at_once(story)


async def test_the_same_request_again_is_the_same_document(world: DocumentWorld) -> None:
    event = await world.requested(b"text")

    again = await world.requested(b"text", event.document_id)

    assert again == event
    for content, target in ((b"other", "pdf"), (b"text", "docx")):
        with pytest.raises(Refused, match="idempotency_mismatch"):
            await world.requested(content, event.document_id, target)  # type: ignore[arg-type]
    assert world.contents == [b"text"]
    await render(world, event)
    assert (await world.requested(b"text", event.document_id), world.contents) == (event, [b"TEXT", b"text"])


async def of_pieces(*pieces: bytes) -> AsyncIterator[bytes]:
    for piece in pieces:
        yield piece


async def test_instructions_come_in_pieces_and_a_repeat_leaves_nothing(world: DocumentWorld) -> None:
    event = await world.requested(of_pieces(b"te", b"xt"))
    assert (event.input_bytes, event.input_sha256) == (4, sha256(b"text").hexdigest())
    assert (await world.requested(of_pieces(b"text"), event.document_id), world.contents) == (event, [b"text"])

    with pytest.raises(Refused, match="idempotency_mismatch"):
        await world.requested(of_pieces(b"other"), event.document_id)
    with pytest.raises(Taken, match="storage_exhausted"):
        await world.requested(of_pieces(bytes(TERMS.stored_per_user), b"x"))
    world.ports = replace(world.ports, terms=replace(TERMS, stored_per_user=1 << 20))
    with pytest.raises(BlobTooLarge):
        await world.requested(of_pieces(bytes(TERMS.lines_bytes), b"x"))

    assert world.contents == [b"text"]


async def test_who_has_too_much_waits(world: DocumentWorld) -> None:
    world.list.used = Usage(TERMS.waiting_per_user, 0)
    with pytest.raises(Exhausted, match="too_many_documents"):
        await world.requested()
    world.list.used = Usage(0, TERMS.stored_per_user - 3)
    with pytest.raises(Taken, match="storage_exhausted"):
        await world.requested(b"text")
    world.list.used = Usage(0, 0)
    with pytest.raises(Taken, match="storage_exhausted"):
        await world.requested(bytes(TERMS.input_bytes + 1))

    assert world.contents == []


async def test_a_file_is_gone_after_its_time_with_its_instructions(world: DocumentWorld) -> None:
    event = await world.requested()
    await render(world, event)
    world.list.over = [event.document_id]

    world.now += LIFETIME - timedelta(seconds=1)
    await discarding.expire(world.ports)
    assert world.contents == [b"TEXT", b"text"]
    world.now += timedelta(seconds=1)
    for _ in range(2):
        await discarding.expire(world.ports)

    assert world.contents == []
    assert (await world.said(event.document_id)).count("DocumentExpired") == 1
    with pytest.raises(Gone, match="document_expired"):
        await file_for(event.document_id, world.user, world.ports)


async def test_sweeping_takes_what_nobody_needs_and_leaves_what_somebody_does(world: DocumentWorld) -> None:
    waiting, done = await world.requested(b"waiting"), await world.requested(b"done")
    await render(world, done)
    for name in (BlobName(uuid4(), uuid4()), BlobName(waiting.document_id, uuid4())):
        await world.blobs.put(name, pieces(b"left"), 100)

    await discarding.sweep(world.ports)
    assert len(world.contents) == 5
    world.now += discarding.GRACE + timedelta(seconds=1)
    await discarding.sweep(world.ports)

    assert world.contents == [b"DONE", b"done", b"waiting"]


async def test_a_document_is_nobody_elses_and_a_link_ends_with_it(world: DocumentWorld) -> None:
    event = await world.requested()
    await render(world, event)
    stranger = uuid4()

    for ask in (document_for, file_for, discarding.cancel, discarding.delete):
        with pytest.raises(NotFound, match="document_not_found"):
            await ask(event.document_id, stranger, world.ports)
    assert (await linked_file(event.document_id, world.ports))[1].size == 4
    await discarding.delete(event.document_id, world.user, world.ports)
    with pytest.raises(NotFound, match="document_not_found"):
        await linked_file(event.document_id, world.ports)


async def test_instructions_that_are_too_long_are_not_stored(world: DocumentWorld) -> None:
    world.ports = replace(world.ports, terms=replace(TERMS, input_bytes=3))
    with pytest.raises(BlobTooLarge):
        await world.requested(b"text")

    assert world.contents == []
