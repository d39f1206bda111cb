"""Conversions in workers: what comes out is what the converter makes in one process, errors with their places, packed bodies."""

import gzip
import zlib
from collections.abc import AsyncIterator, Callable

import brotli
import pytest
from backports import zstd

from bounded_contexts.documents.adapters import catalogue
from bounded_contexts.documents.adapters.isolated import WORK, IsolatedConverter
from bounded_contexts.documents.application.ports import Packing, Report, Task
from bounded_contexts.documents.domain.errors import TooLarge, Unreadable
from bounded_contexts.documents.domain.limits import Limits
from infra.worker_pool import PoolLimits, TaskLimits, WorkerPool
from shared_kernel.errors import Malformed, Refused, Unavailable

RECORDS = b'[{"a": 1, "b": {"c": null}}, {"a": 2, "b": {"c": "x"}}]'
CSV = b"a,b.c\r\n1,\r\n2,x\r\n"


@pytest.fixture(scope="module")
async def pool() -> AsyncIterator[WorkerPool]:
    pool = WorkerPool(WORK, PoolLimits(at_once=2, wait_s=60), TaskLimits(memory_bytes=300 << 20, cpu_s=60))
    yield pool
    await pool.close()


@pytest.fixture
def converter(pool: WorkerPool) -> IsolatedConverter:
    return IsolatedConverter(pool, Limits())


async def converted(converter: IsolatedConverter, task: Task, *body: bytes) -> tuple[bytes, Report]:
    async def source() -> AsyncIterator[bytes]:
        for piece in body:
            yield piece

    async with converter.converting(task, source()) as running:
        result = b"".join([piece async for piece in running.pieces()])
        return result, running.report


async def test_a_worker_converts_and_tells_what_was_lost(converter: IsolatedConverter) -> None:
    result, report = await converted(converter, Task("json", "csv"), RECORDS[:20], RECORDS[20:])

    assert result == CSV
    assert report.read_bytes == len(RECORDS)
    assert report.written_bytes == len(CSV)
    assert report.losses
    assert report.first[0].pointer.startswith("/0/")


async def test_an_error_keeps_its_kind_and_its_place(converter: IsolatedConverter) -> None:
    with pytest.raises(Unreadable) as raised:
        await converted(converter, Task("json", "csv"), b'[{"a": 1},\n {"a": oops}]')

    assert raised.value.code == "bad_json"
    assert raised.value.more["line"] == 2


async def test_a_wrong_option_is_malformed_there_too(converter: IsolatedConverter) -> None:
    with pytest.raises(Malformed, match="unknown_option"):
        await converted(converter, Task("json", "csv", {"nothing": "x"}), RECORDS)


PACKED: dict[Packing, Callable[[bytes], bytes]] = {
    "identity": bytes,
    "gzip": gzip.compress,
    "deflate": zlib.compress,
    "br": brotli.compress,
    "zstd": zstd.compress,
}


@pytest.mark.parametrize("packing", PACKED)
async def test_packed_documents_are_unpacked(converter: IsolatedConverter, packing: Packing) -> None:
    packed = PACKED[packing](RECORDS)

    result, report = await converted(
        converter, Task("json", "csv", packing=packing), *(bytes([each]) for each in packed)
    )

    assert result == CSV
    assert report.read_bytes == len(packed)


async def test_deflate_without_its_frame_and_several_members_are_read(converter: IsolatedConverter) -> None:
    bare = zlib.compressobj(wbits=-zlib.MAX_WBITS)
    halves = RECORDS[:20], RECORDS[20:]

    for packing, body in (
        ("deflate", bare.compress(RECORDS) + bare.flush()),
        ("gzip", b"".join(map(gzip.compress, halves))),
        ("zstd", b"".join(map(zstd.compress, halves))),
    ):
        assert (await converted(converter, Task("json", "csv", packing=packing), body))[0] == CSV  # type: ignore[arg-type]


@pytest.mark.parametrize("packing", [name for name in PACKED if name != "identity"])
async def test_a_packed_document_that_is_cut_off_is_refused(converter: IsolatedConverter, packing: Packing) -> None:
    body = PACKED[packing](RECORDS * 100)[:-1]

    with pytest.raises(Unreadable) as raised:
        await converted(converter, Task("json", "csv", packing=packing), body)

    assert raised.value.code in ("bad_packing", "bad_json")


@pytest.mark.parametrize("packing", [name for name in PACKED if name != "identity"])
async def test_a_body_that_swells_is_refused(converter: IsolatedConverter, packing: Packing) -> None:
    bomb = PACKED[packing](b"[" + b" " * (100 << 20))

    with pytest.raises(TooLarge) as raised:
        await converted(converter, Task("json", "csv", packing=packing), bomb)

    assert raised.value.more["limit"] == "inflation_ratio"


async def test_a_result_can_be_packed(converter: IsolatedConverter) -> None:
    result, report = await converted(converter, Task("json", "csv", packed="zstd"), RECORDS)

    assert zstd.decompress(result) == CSV
    assert report.written_bytes == len(result)


@pytest.mark.parametrize(
    ("head", "name"),
    [
        (b'{"a": 1}', "json"),
        (b"\xef\xbb\xbf [1]", "json"),
        (b'{"a": 1}\n{"a": 2}\n', "ndjson"),
        (b"<?xml version='1.0'?><a/>", "xml"),
        ("<a/>".encode("utf-16"), "xml"),
        (b"a: 1\nb: 2\n", "yaml"),
        (b"--- 1\n", "yaml"),
        (b"a,b\n1,2\n", "csv"),
        (b"a\tb\n1\t2\n", "tsv"),
        (b"\x81\xa1a\x01", "msgpack"),
        (b"PK\x03\x04", "xlsx"),
        (b"Obj\x01", "avro"),
    ],
)
def test_first_bytes_tell_formats(head: bytes, name: str) -> None:
    assert catalogue.of_content(head).name == name


@pytest.mark.parametrize("head", [b"", b"hello", b"a = 1\n"])
def test_first_bytes_that_could_be_anything_tell_none(head: bytes) -> None:
    with pytest.raises(Refused, match="unknown_format"):
        catalogue.of_content(head)


async def test_without_a_format_the_worker_looks(converter: IsolatedConverter) -> None:
    result, report = await converted(converter, Task(None, "csv", packing="gzip"), gzip.compress(RECORDS))

    assert result == CSV
    assert report.notes["from"] == "json"


async def test_a_document_that_takes_too_much_memory_is_refused(pool: WorkerPool) -> None:
    limits = Limits(item_bytes=1 << 30)
    body = [b"[" + b"[]," * 1_000_000, *(b"[]," * 1_000_000 for _ in range(60)), b"1]"]

    with pytest.raises((TooLarge, Unavailable)):
        await converted(IsolatedConverter(pool, limits), Task("yaml", "json"), *body)
