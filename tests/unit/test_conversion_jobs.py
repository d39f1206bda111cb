"""Conversion jobs from upload to tidying: whatever comes in between, one outcome and no blob too many."""

import asyncio
from collections.abc import AsyncIterator, Callable, Coroutine
from dataclasses import replace
from datetime import timedelta
from typing import Any
from uuid import uuid4

import pytest

from bounded_contexts.documents.application import removing
from bounded_contexts.documents.application.places import LARGE, Places
from bounded_contexts.documents.application.ports import Task
from bounded_contexts.documents.application.reading import job_for, result_for
from bounded_contexts.documents.application.tidying import GRACE, tidy
from bounded_contexts.documents.application.uploading import upload
from bounded_contexts.documents.application.working import convert_requested
from bounded_contexts.documents.domain.conversion import DEATHS
from bounded_contexts.documents.domain.errors import Unreadable
from infra.blobs_memory import PIECE
from schemas.documents.events import ConversionProgressed, ConversionRequested
from shared_kernel.blobs import BlobName, BlobTooLarge
from shared_kernel.errors import Exhausted, Gone, NotFound, Refused, Taken, Unavailable
from tests.probes import eventually
from tests.unit.memory_jobs import World, pieces
from tests.virtual_time import skip_waits


@pytest.fixture
def world() -> World:
    return World()


def at_once(story: Callable[[], Coroutine[Any, Any, None]]) -> None:
    """Run what waits for seconds, without the seconds."""

    async def told() -> None:
        skip_waits(asyncio.get_running_loop())
        await story()

    with asyncio.Runner() as runner:
        runner.run(told())


async def convert(world: World, event: ConversionRequested) -> None:
    await convert_requested(event, world.ports, Places(4))


async def test_what_comes_out_is_stored_and_the_input_is_not_kept(world: World) -> None:
    event = await world.uploaded(b"text")

    await convert(world, event)

    job, result = await result_for(event.document_id, world.user, world.ports)
    assert (job.status, world.contents, result.size) == ("converted", [b"TEXT"], 4)
    assert (result.losses, result.first_losses[0].pointer) == ({"null_as_text": 2}, "/0/a")
    assert [task.read for task in world.converter.tasks] == ["json"]


async def test_a_second_delivery_converts_nothing(world: World) -> None:
    event = await world.uploaded()

    for _ in range(3):
        await convert(world, event)

    assert await world.said(event.document_id) == ["ConversionRequested", "ConversionBegun", "DocumentConverted"]
    assert len(world.converter.tasks) == 1
    assert world.contents == [b"TEXT"]


async def test_two_that_work_side_by_side_leave_one_result_and_its_blob(world: World) -> None:
    event = await world.uploaded()
    both = asyncio.Barrier(2)

    async def wait(_: bytes) -> None:
        await both.wait()

    world.converter.before = wait
    await asyncio.gather(convert(world, event), convert(world, event))

    _, result = await result_for(event.document_id, world.user, world.ports)
    assert (await world.said(event.document_id)).count("DocumentConverted") == 1
    assert list(world.blobs.kept) == [BlobName(event.document_id, result.id)]


async def test_bad_input_fails_at_once_with_its_place(world: World) -> None:
    event = await world.uploaded()

    async def refuse(_: bytes) -> None:
        raise Unreadable("bad_json", "no value", line=3, column=7)

    world.converter.before = refuse
    await convert(world, event)

    job = await job_for(event.document_id, world.user, world.ports)
    assert job.failure
    assert (job.status, job.attempts) == ("failed", 1)
    assert (job.failure.code, job.failure.place) == ("bad_json", {"line": "3", "column": "7"})
    assert world.contents == []
    with pytest.raises(Taken, match="conversion_without_result"):
        await result_for(event.document_id, world.user, world.ports)


def test_a_worker_that_dies_is_tried_again_so_many_times_and_then_it_has_failed() -> None:
    async def story() -> None:
        world = World()
        event = await world.uploaded()

        async def die(_: bytes) -> None:
            raise Unavailable("conversion_worker_died")

        world.converter.before = die
        await convert(world, event)

        job = await job_for(event.document_id, world.user, world.ports)
        assert job.failure
        assert (job.failure.code, len(world.converter.tasks)) == ("conversion_worker_died", DEATHS + 1)
        assert (await world.said(event.document_id)).count("ConversionBegun") == DEATHS
        assert world.contents == []

    at_once(story)


def test_a_worker_that_dies_once_costs_nothing_but_time() -> None:
    async def story() -> None:
        world = World()
        event = await world.uploaded()

        async def die_once(_: bytes) -> None:
            if len(world.converter.tasks) == 1:
                raise Unavailable("conversion_worker_died")

        world.converter.before = die_once
        await convert(world, event)

        assert await world.said(event.document_id) == [
            "ConversionRequested",
            "ConversionBegun",
            "ConversionBegun",
            "DocumentConverted",
        ]
        assert world.contents == [b"TEXT"]

    at_once(story)


async def test_without_a_free_worker_it_waits_and_that_is_no_attempt(world: World) -> None:
    event = await world.uploaded()
    world.converter.refusal = Unavailable("workers_busy")

    for _ in range(DEATHS + 1):
        with pytest.raises(Unavailable, match="workers_busy"):
            await convert(world, event)
    world.converter.refusal = None
    await convert(world, event)

    assert (await job_for(event.document_id, world.user, world.ports)).attempts == 1


async def test_interrupted_in_the_middle_it_is_begun_anew_by_the_next(world: World) -> None:
    event = await world.uploaded()
    begun = asyncio.Event()

    async def hang(_: bytes) -> None:
        begun.set()
        await asyncio.Event().wait()

    world.converter.before = hang
    first = asyncio.create_task(convert(world, event))
    await begun.wait()
    first.cancel()
    await asyncio.wait([first])

    assert first.cancelled()
    assert world.converter.running == 0
    assert world.contents == [b"text"]
    world.converter.before = lambda _: asyncio.sleep(0)
    await convert(world, event)
    assert world.contents == [b"TEXT"]


@pytest.mark.parametrize("end", [removing.cancel, removing.delete])
def test_what_nobody_wants_any_more_stops_while_it_runs(end: Callable[..., Coroutine[Any, Any, object]]) -> None:
    async def story() -> None:
        world = World()
        event = await world.uploaded()
        begun = asyncio.Event()

        async def hang(_: bytes) -> None:
            begun.set()
            await asyncio.Event().wait()

        world.converter.before = hang
        running = asyncio.create_task(convert(world, event))
        await begun.wait()
        await end(event.document_id, world.user, world.ports)
        await running

        assert world.converter.running == 0
        assert world.contents == []

    at_once(story)


def test_progress_is_told_once_a_second_and_only_where_there_is_some() -> None:
    async def story() -> None:
        world = World()
        event = await world.uploaded(bytes(10 * PIECE))

        async def slowly(_: bytes) -> None:
            await asyncio.sleep(1.5)

        world.converter.before = slowly
        await convert(world, event)

        told = [each for each in world.log.events if isinstance(each, ConversionProgressed)]
        read = [each.read_bytes for each in told]
        assert read == sorted(set(read))
        assert 5 <= len(read) <= 10
        assert {each.input_bytes for each in told} == {10 * PIECE}

    at_once(story)


def test_large_documents_leave_places_for_small_ones() -> None:
    async def story() -> None:
        world, places = World(), Places(4)
        large = await world.uploaded(b"large")
        small = await world.uploaded(b"small")

        async def hang(piece: bytes) -> None:
            if piece == b"large":
                await asyncio.Event().wait()

        world.converter.before = hang
        many = [replace(large, document_id=(await world.uploaded(b"large")).document_id) for _ in range(6)]
        running = [
            asyncio.create_task(convert_requested(replace(each, input_bytes=LARGE), world.ports, places))
            for each in many
        ]

        async def at_work() -> int:
            return world.converter.running

        await eventually(at_work, until=lambda count: count == 2)
        await convert_requested(small, world.ports, places)

        assert await world.said(small.document_id) == ["ConversionRequested", "ConversionBegun", "DocumentConverted"]
        assert world.converter.most == 3
        for each in running:
            each.cancel()
        await asyncio.wait(running)

    at_once(story)


async def test_the_same_upload_again_is_the_same_job_and_leaves_nothing(world: World) -> None:
    event = await world.uploaded(b"text")

    again = await world.uploaded(b"text", event.document_id)

    assert again == event
    assert world.contents == [b"text"]
    with pytest.raises(Refused, match="idempotency_mismatch"):
        await world.uploaded(b"another text", event.document_id)
    assert world.contents == [b"text"]


async def test_an_upload_that_breaks_off_or_is_too_large_is_no_job(world: World) -> None:
    id_ = uuid4()
    with pytest.raises(BlobTooLarge):
        await world.uploaded(bytes(world.ports.terms.input_bytes + 1), id_)

    assert (await world.said(id_), world.contents) == ([], [])


async def test_an_upload_whose_sender_leaves_is_no_job_and_leaves_nothing(world: World) -> None:
    async def leaving() -> AsyncIterator[bytes]:
        yield bytes(PIECE)
        raise ConnectionResetError

    id_ = uuid4()
    with pytest.raises(ConnectionResetError):
        await upload(id_, world.user, Task("json", "csv"), None, leaving(), world.ports)

    assert (await world.said(id_), world.contents) == ([], [])


async def test_who_has_too_much_waits(world: World) -> None:
    terms = world.ports.terms
    world.list.used = replace(world.list.used, waiting=terms.waiting_per_user)
    with pytest.raises(Exhausted, match="too_many_conversions"):
        await world.uploaded()
    world.list.used = replace(world.list.used, waiting=0, stored=terms.stored_per_user - 3)
    with pytest.raises(Taken, match="storage_exhausted"):
        await world.uploaded(b"text")
    world.list.used = replace(world.list.used, stored=terms.stored_per_user)
    with pytest.raises(Taken, match="storage_exhausted"):
        await world.uploaded(b"")

    assert world.contents == []


async def test_a_result_is_gone_after_its_time_and_tidied_away(world: World) -> None:
    event = await world.uploaded()
    await convert(world, event)
    lifetime = world.ports.terms.lifetime

    world.now += lifetime - timedelta(seconds=1)
    await tidy(world.ports)
    assert world.contents == [b"TEXT"]
    world.now += timedelta(seconds=1)
    with pytest.raises(Gone, match="result_expired"):
        await result_for(event.document_id, world.user, world.ports)
    world.now += timedelta(seconds=1)
    await tidy(world.ports)
    await tidy(world.ports)

    assert world.contents == []
    assert (await world.said(event.document_id)).count("ResultExpired") == 1
    with pytest.raises(Gone, match="result_expired"):
        await result_for(event.document_id, world.user, world.ports)


async def test_tidying_takes_what_nobody_needs_and_leaves_what_waits(world: World) -> None:
    waiting = await world.uploaded(b"waiting")
    orphan = BlobName(uuid4(), uuid4())
    stray = BlobName(waiting.document_id, uuid4())
    for name in (orphan, stray):
        await world.blobs.put(name, pieces(b"left"), 100)

    await tidy(world.ports)
    assert len(world.contents) == 3
    world.now += GRACE + timedelta(seconds=1)
    await tidy(world.ports)

    assert world.contents == [b"waiting"]


async def test_a_job_is_nobody_elses(world: World) -> None:
    event = await world.uploaded()
    stranger = uuid4()

    for ask in (job_for, result_for, removing.cancel, removing.delete):
        with pytest.raises(NotFound, match="conversion_not_found"):
            await ask(event.document_id, stranger, world.ports)
