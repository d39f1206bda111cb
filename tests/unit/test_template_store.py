"""Templates under names: versions, what is kept, and what becomes of a template that is asked for."""

import io
from collections.abc import AsyncIterable
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from uuid import UUID, uuid4

import docx
import pytest

from bounded_contexts.documents.adapters.render_messages import (
    Examine,
    Find,
    Inspect,
    Inspected,
    Render,
    Wrong,
    encode,
    outcome_of,
)
from bounded_contexts.documents.adapters.render_worker import work
from bounded_contexts.documents.adapters.template_instructions import Templated, packed, unpacked
from bounded_contexts.documents.adapters.worker_messages import Failed
from bounded_contexts.documents.application import templates
from bounded_contexts.documents.application.job_ports import Place
from bounded_contexts.documents.application.template_ports import Inspection, ListedTemplate, TemplatePorts
from bounded_contexts.documents.domain.rendering.limits import RenderLimits
from bounded_contexts.documents.domain.rendering.variables import Variable
from bounded_contexts.documents.domain.template import VERSIONS, Kind, TemplateEvent, referred, template_id_of
from infra.blobs_memory import MemoryBlobs
from infra.memory import MemoryEventStore
from shared_kernel.blobs import BlobName, BlobTooLarge
from shared_kernel.errors import NotFound, Refused
from tests.unit.memory_jobs import NOW
from tests.unit.rendered import source
from tests.unit.templated import letter, texts


class ToyInspector:
    """Takes what begins with {, as JSON templates do."""

    async def inspected(self, source: AsyncIterable[bytes]) -> Inspection:
        content = b"".join([piece async for piece in source])
        if not content.startswith(b"{"):
            raise Refused("bad_template", "x")
        return Inspection("json", (Variable("x", "text", (), True),))


class NoList:
    async def changed(self, event: TemplateEvent) -> None: ...

    async def newest(self, limit: int, before: Place | None = None) -> list[ListedTemplate]:
        return []


@dataclass
class World:
    now: datetime = NOW
    user: UUID = field(default_factory=uuid4)

    def __post_init__(self) -> None:
        self.store: MemoryEventStore[TemplateEvent] = MemoryEventStore()
        self.blobs = MemoryBlobs(lambda: self.now)
        listed = NoList()
        self.ports = TemplatePorts(self.store, self.blobs, ToyInspector(), listed, listed, 100, lambda: self.now)

    async def stored(self, content: bytes, name: str = "invoice", kind: Kind = "json") -> int:
        version, _ = await templates.store(name, kind, content, self.user, self.ports)
        return version.number


async def test_what_is_stored_is_the_next_version_and_the_same_again_is_none() -> None:
    world = World()

    numbers = [await world.stored(content) for content in (b"{1}", b"{1}", b"{2}", b"{1}")]

    assert numbers == [1, 1, 2, 3]
    assert [await content(world, each) for each in ("invoice", "invoice@1", "invoice@2")] == [b"{1}", b"{1}", b"{2}"]
    for reference in ("invoice@4", "other", "Invoice", "invoice@0", "../x"):
        with pytest.raises(NotFound):
            await templates.version_for(reference, world.ports)


async def content(world: World, reference: str) -> bytes:
    return await templates.content_of(*await templates.version_for(reference, world.ports), world.ports)


async def test_what_is_no_template_or_too_large_is_not_stored() -> None:
    world = World()

    with pytest.raises(Refused):
        await world.stored(b"no")
    with pytest.raises(Refused, match="it is JSON, and said to be DOCX"):
        await world.stored(b"{}", kind="docx")
    with pytest.raises(BlobTooLarge):
        await world.stored(b"{" * 101)

    assert (world.blobs.kept, (await world.store.load(template_id_of("invoice")))[0]) == ({}, ())


async def test_a_removed_template_is_gone_and_its_numbers_go_on() -> None:
    world = World()
    await world.stored(b"{1}")
    await world.stored(b"{2}")

    await templates.remove("invoice", world.user, world.ports)
    with pytest.raises(NotFound):
        await templates.version_for("invoice@1", world.ports)
    with pytest.raises(NotFound):
        await templates.remove("invoice", world.user, world.ports)

    assert await world.stored(b"{1}") == 3
    world.now += timedelta(days=1)
    await templates.sweep(world.ports)
    assert [kept for kept, _ in world.blobs.kept.values()] == [b"{1}"]
    assert await content(world, "invoice") == b"{1}"


async def test_blobs_that_no_event_names_are_swept_once_they_are_old() -> None:
    world = World()
    await world.stored(b"{1}")
    await world.blobs.put(BlobName(template_id_of("invoice"), uuid4()), pieces(b"lost"), 10)

    await templates.sweep(world.ports)
    young = len(world.blobs.kept)
    world.now += timedelta(hours=7)
    await templates.sweep(world.ports)

    assert (young, len(world.blobs.kept)) == (2, 1)


async def pieces(content: bytes) -> AsyncIterable[bytes]:
    yield content


async def test_a_name_has_so_many_versions() -> None:
    world = World()
    for number in range(VERSIONS):
        await world.stored(b"{%d}" % number)

    with pytest.raises(Refused, match="too_many_versions"):
        await world.stored(b"{more}")


def test_references_are_names_with_or_without_a_number() -> None:
    assert (referred("a-1"), referred("a@12")) == (("a-1", None), ("a", 12))


class Given:
    """What a worker reads from."""

    def __init__(self, content: bytes) -> None:
        self._stream = io.BytesIO(content)

    def read(self, size: int, /) -> bytes:
        return self._stream.read(size)


def worked(task: Render | Find | Inspect | Examine, content: bytes) -> tuple[bytes, object]:
    """Return what a worker puts out, and what it comes to."""
    working, out = work(encode(task), Given(content)), []
    while True:
        try:
            out.append(next(working))
        except StopIteration as end:
            return b"".join(out), outcome_of(end.value)


def test_a_worker_fills_a_template_in() -> None:
    template = letter("{{name}} {{n | number(1)}}{{nothing}}")
    given = packed(Templated(template, b'{"name": "x", "n": 1.5}', locale="de"))

    made, outcome = worked(Render("docx", RenderLimits(), 10), given)

    assert texts(docx.Document(io.BytesIO(made))) == ["x 1,5"]
    assert "'missing_value': 1" in str(outcome)
    assert "engine='headwater'" in str(outcome)
    assert unpacked(given) == Templated(template, b'{"name": "x", "n": 1.5}', locale="de")
    assert unpacked(b'{"version": "1.0"}') is None


def test_a_worker_says_what_a_template_needs_or_what_is_wrong_with_it() -> None:
    def inspected(content: bytes) -> object:
        return worked(Inspect(RenderLimits()), content)[1]

    assert inspected(letter("{{n | number}}")) == Inspected(Inspection("docx", (Variable("n", "number", (), True),)))
    assert isinstance(inspected(source({"type": "nope"})), Wrong)
    assert isinstance(inspected(b"PK\x03\x04"), Failed)
