"""Documents in workers: the same bytes as in one process, all that is wrong, pages as images, limits that hold."""

import io
import json
from collections.abc import AsyncIterator
from typing import Any

import pytest
from PIL import Image

from bounded_contexts.documents.adapters import lines_instructions
from bounded_contexts.documents.adapters.engines import rendering
from bounded_contexts.documents.adapters.engines.rendering import Rendering
from bounded_contexts.documents.adapters.rendering_isolated import WORK, IsolatedRenderer
from bounded_contexts.documents.application.document_ports import RenderReport
from bounded_contexts.documents.domain.errors import TooLarge, Unreadable
from bounded_contexts.documents.domain.rendering.fidelity import TARGETS, Target, fidelity
from bounded_contexts.documents.domain.rendering.limits import RenderLimits
from bounded_contexts.documents.domain.rendering.media_types import MEDIA_TYPES
from bounded_contexts.documents.domain.rendering.problems import Invalid
from infra.worker_pool import PoolLimits, TaskLimits, WorkerPool
from shared_kernel.errors import NotFound

TWO_PAGES = {
    "version": "1.0",
    "strictness": "warn",
    "body": [
        {"type": "heading", "level": 1, "text": "One"},
        {"type": "paragraph", "text": [{"text": "red", "color": "#ff0000"}]},
        {"type": "pageBreak"},
        {"type": "paragraph", "text": "{{nothing.here}}"},
    ],
}


def document(*body: Any, **more: Any) -> bytes:
    return json.dumps({"version": "1.0", "body": [*body], **more}).encode()


async def source(content: bytes) -> AsyncIterator[bytes]:
    yield content


@pytest.fixture(scope="module")
async def pool() -> AsyncIterator[WorkerPool]:
    pool = WorkerPool(WORK, PoolLimits(at_once=2, wait_s=60), TaskLimits(memory_bytes=400 << 20, cpu_s=60))
    yield pool
    await pool.close()


@pytest.fixture
def renderer(pool: WorkerPool) -> IsolatedRenderer:
    return IsolatedRenderer(pool, RenderLimits())


async def rendered(renderer: IsolatedRenderer, target: Target, content: bytes) -> tuple[bytes, RenderReport]:
    async with renderer.rendering(target, source(content)) as running:
        made = b"".join([piece async for piece in running.pieces()])
        return made, running.report


async def test_a_worker_writes_the_bytes_that_are_written_without_one(renderer: IsolatedRenderer) -> None:
    content = json.dumps(TWO_PAGES).encode()

    for target in TARGETS:
        made, report = await rendered(renderer, target, content)

        assert made == b"".join(rendering.render(content, target, Rendering()))
        assert report.media_type == MEDIA_TYPES[target]
        assert report.warnings["missing_value"] == 1
        assert "missing_value" in {each.code for each in report.first}
        assert report.pages == (2 if target == "pdf" else None)
        assert report.engine
        assert report.engine_version


async def test_a_document_of_standards_says_by_what_it_was_set(renderer: IsolatedRenderer) -> None:
    archived = TWO_PAGES | {
        "output": {"pdf": {"standard": ["a-2b"]}},
        "meta": {"title": "x", "language": "en", "created": "2026-11-22T12:00:00Z"},
    }

    content = json.dumps(archived).encode()

    made, report = await rendered(renderer, "pdf", content)

    assert (report.engine, report.pages) == ("typst", 2)
    assert made == b"".join(rendering.render(content, "pdf", Rendering()))


async def test_a_worker_has_the_fonts_of_all_scripts(renderer: IsolatedRenderer) -> None:
    _, report = await rendered(renderer, "pdf", document({"type": "paragraph", "text": "你好 שלום سلام"}))

    assert (report.engine, dict(report.warnings)) == ("typst", {})


async def test_what_is_wrong_comes_back_whole(renderer: IsolatedRenderer) -> None:
    wrong = document({"type": "paragraph", "text": "x", "colour": 1}, {"type": "nothing"})

    with pytest.raises(Invalid) as refused:
        await rendered(renderer, "pdf", wrong)
    with pytest.raises(Unreadable, match="bad_json"):
        await rendered(renderer, "pdf", b"{")
    findings = await renderer.findings(TARGETS, source(wrong))

    assert [each.pointer for each in refused.value.problems] == ["/body/0/colour", "/body/1/type"]
    assert findings.problems == refused.value.problems
    assert (findings.pages, findings.targets) == (None, {})


async def test_validating_tells_pages_and_what_each_target_would_do(renderer: IsolatedRenderer) -> None:
    content = json.dumps(TWO_PAGES | {"stamps": [{"text": "COPY"}]}).encode()

    kind = await renderer.findings(TARGETS, source(content))
    strict = await renderer.findings(TARGETS[2:], source(content.replace(b'"warn"', b'"error"')))

    assert (kind.problems, kind.pages) == ((), 2)
    assert {target: "dropped" in each.warnings for target, each in kind.targets.items()} == {
        target: fidelity("stamp", target) == "dropped" for target in TARGETS
    }
    assert strict.targets["xlsx"].refusal
    assert strict.pages is None


async def test_a_page_is_shown_as_an_image(renderer: IsolatedRenderer) -> None:
    content = json.dumps(TWO_PAGES).encode()

    image, pages = await renderer.preview(1, 300, source(content))
    with pytest.raises(NotFound, match="page_not_found"):
        await renderer.preview(3, 300, source(content))

    with Image.open(io.BytesIO(image)) as opened:
        assert (opened.format, opened.width, pages) == ("PNG", 300, 2)
        pixels = opened.convert("RGB").tobytes()
        assert max(red - green for red, green in zip(pixels[::3], pixels[1::3], strict=True)) > 60


async def test_a_page_is_shown_within_the_limit_of_pixels(renderer: IsolatedRenderer) -> None:
    image, _ = await renderer.preview(1, 4000, source(document({"type": "paragraph", "text": "x"})))

    with Image.open(io.BytesIO(image)) as opened:
        assert opened.width < 4000
        assert 15_000_000 < opened.width * opened.height <= 16_100_000


async def test_too_much_is_refused_by_its_limit() -> None:
    small = WorkerPool(WORK, PoolLimits(at_once=1, wait_s=60), TaskLimits(memory_bytes=400 << 20, cpu_s=2))
    try:
        with pytest.raises(TooLarge, match="input bytes"):
            await rendered(IsolatedRenderer(small, RenderLimits(input_bytes=100)), "pdf", b" " * 101)
        long = document(*[{"type": "paragraph", "text": "word " * 2_000}] * 3_000)
        with pytest.raises(TooLarge, match="cpu seconds"):
            await rendered(IsolatedRenderer(small, RenderLimits()), "pdf", long)
    finally:
        await small.close()


async def test_rows_pass_through_a_worker_that_has_less_memory_than_they_have_bytes() -> None:
    memory, count = 64 << 20, 80
    pool = WorkerPool(WORK, PoolLimits(at_once=1, spare=1, wait_s=60), TaskLimits(memory_bytes=memory, cpu_s=60))
    frugal = IsolatedRenderer(pool, RenderLimits())
    table = {"type": "table", "columns": [{"value": {"path": "r.no"}}], "rows": {"$stream": "rows", "as": "r"}}

    async def lines(long: int) -> AsyncIterator[bytes]:
        yield lines_instructions.head({}) + document(table) + b"\n"
        for number in range(count):
            yield json.dumps({"no": number, "unused": "x" * long}).encode() + b"\n"

    async def made(long: int) -> bytes:
        async with frugal.rendering("docx", lines(long)) as running:
            return b"".join([piece async for piece in running.pieces()])

    try:
        assert 900_000 * count > memory
        assert await made(900_000) == await made(1)
    finally:
        await pool.close()
