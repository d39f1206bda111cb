"""Port `Blobs`: the twin, the directory and the bucket keep the same promises."""

import asyncio
import hashlib
import os
import stat
from collections.abc import AsyncIterator, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from uuid import uuid4

import boto3
import pytest
from moto.server import ThreadedMotoServer

from infra.blobs_directory import PIECE, DirectoryBlobs
from infra.blobs_memory import MemoryBlobs
from infra.blobs_s3 import PART, S3Blobs
from shared_kernel.blobs import BlobName, Blobs, BlobTooLarge, Stored
from shared_kernel.errors import NotFound, Unavailable

CONTENT = os.urandom(PIECE + 12_345)
LATER = timedelta(minutes=1)


async def pieces(content: bytes = CONTENT, size: int = 70_000) -> AsyncIterator[bytes]:
    for at in range(0, len(content), size):
        yield content[at : at + size]


async def broken(content: bytes = CONTENT) -> AsyncIterator[bytes]:
    yield content
    raise ConnectionError("the client has gone")


async def read(blobs: Blobs, name: BlobName, start: int = 0, end: int | None = None) -> bytes:
    return b"".join([piece async for piece in blobs.read(name, start, end)])


async def listed(blobs: Blobs, moment: datetime) -> list[BlobName]:
    return [name async for name in blobs.before(moment)]


def name() -> BlobName:
    return BlobName(uuid4(), uuid4())


class BlobsContract:
    async def test_what_is_stored_is_read_whole_and_in_parts(self, blobs: Blobs) -> None:
        of = name()

        stored = await blobs.put(of, pieces(), len(CONTENT))

        assert stored == Stored(len(CONTENT), hashlib.sha256(CONTENT).hexdigest())
        assert await read(blobs, of) == CONTENT
        assert await read(blobs, of, 5) == CONTENT[5:]
        assert await read(blobs, of, 5, PIECE + 5) == CONTENT[5 : PIECE + 5]
        assert await read(blobs, of, len(CONTENT)) == b""

    async def test_an_empty_one_is_there(self, blobs: Blobs) -> None:
        of = name()

        assert (await blobs.put(of, pieces(b""), 0)).size == 0
        assert await read(blobs, of) == b""

    async def test_one_byte_too_much_leaves_nothing_new(self, blobs: Blobs) -> None:
        of = name()

        with pytest.raises(BlobTooLarge):
            await blobs.put(of, pieces(), len(CONTENT) - 1)

        with pytest.raises(NotFound):
            await read(blobs, of)
        assert await listed(blobs, datetime.now(UTC) + LATER) == []

    async def test_what_breaks_off_leaves_the_former_one(self, blobs: Blobs) -> None:
        of = name()
        await blobs.put(of, pieces(b"former"), 100)

        with pytest.raises(ConnectionError):
            await blobs.put(of, broken(), len(CONTENT))

        assert await read(blobs, of) == b"former"
        assert await listed(blobs, datetime.now(UTC) + LATER) == [of]

    async def test_a_second_one_of_the_name_replaces_the_first(self, blobs: Blobs) -> None:
        of = name()
        await blobs.put(of, pieces(b"first"), 100)
        await blobs.put(of, pieces(b"second"), 100)

        assert await read(blobs, of) == b"second"

    async def test_deleting_takes_away_one_part_and_is_safe_to_repeat(self, blobs: Blobs) -> None:
        of = name()
        other = BlobName(of.owner, uuid4())
        for each in (of, other):
            await blobs.put(each, pieces(b"text"), 100)

        for _ in range(2):
            await blobs.delete(of)

        with pytest.raises(NotFound):
            await read(blobs, of)
        assert await read(blobs, other) == b"text"

    async def test_what_is_deleted_while_it_is_read_is_read_to_its_end(self, blobs: Blobs) -> None:
        of = name()
        await blobs.put(of, pieces(), len(CONTENT))

        reading = blobs.read(of)
        first = await anext(reading)
        await blobs.delete(of)

        assert first + b"".join([piece async for piece in reading]) == CONTENT

    async def test_what_was_stored_before_a_moment_is_listed(self, blobs: Blobs) -> None:
        names = [name() for _ in range(3)]
        for each in names:
            await blobs.put(each, pieces(b"text"), 100)

        assert await listed(blobs, datetime.now(UTC) - LATER) == []
        assert sorted(await listed(blobs, datetime.now(UTC) + LATER)) == sorted(names)


class TestMemoryBlobs(BlobsContract):
    @pytest.fixture
    def blobs(self) -> Blobs:
        return MemoryBlobs()


class TestDirectoryBlobs(BlobsContract):
    @pytest.fixture
    def root(self, tmp_path: Path) -> Path:
        return tmp_path / "deep" / "blobs"

    @pytest.fixture
    def blobs(self, root: Path) -> Blobs:
        return DirectoryBlobs(root)

    async def test_nobody_else_reads_them(self, blobs: Blobs, root: Path) -> None:
        of = name()
        await blobs.put(of, pieces(b"text"), 100)

        files = [path for path in root.rglob("*") if path.is_file()]

        assert [stat.S_IMODE(path.stat().st_mode) for path in files] == [0o600]
        assert stat.S_IMODE(root.stat().st_mode) == 0o700
        assert stat.S_IMODE(files[0].parent.stat().st_mode) == 0o700

    async def test_one_that_is_cancelled_leaves_no_file(self, blobs: Blobs, root: Path) -> None:
        begun = asyncio.Event()

        async def stuck() -> AsyncIterator[bytes]:
            yield CONTENT
            begun.set()
            await asyncio.Event().wait()

        putting = asyncio.create_task(blobs.put(name(), stuck(), len(CONTENT)))
        await begun.wait()
        putting.cancel()
        await asyncio.wait([putting])

        assert [path for path in root.rglob("*") if path.is_file()] == []

    async def test_what_a_killed_process_left_is_listed_and_deleted(self, blobs: Blobs, root: Path) -> None:
        of = name()
        await blobs.put(of, pieces(b"text"), 100)
        left = root / of.owner.hex / f"{uuid4().hex}.part"
        left.write_bytes(b"half")
        foreign = root / "lost+found"
        foreign.mkdir()

        found = await listed(blobs, datetime.now(UTC) + LATER)
        for each in found:
            await blobs.delete(each)

        assert len(found) == 2
        assert [path for path in root.rglob("*") if path.is_file()] == []

    async def test_a_directory_that_cannot_be_written_is_unavailable(self, tmp_path: Path) -> None:
        occupied = tmp_path / "file"
        occupied.write_bytes(b"")

        with pytest.raises(Unavailable):
            await DirectoryBlobs(occupied).put(name(), pieces(b"text"), 100)


BUCKET = "blobs"


@pytest.fixture(scope="module")
def s3() -> Iterator[str]:
    """A server that speaks the protocol, in the variables that AWS's own programs read."""
    server = ThreadedMotoServer("127.0.0.1", 0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    url = f"http://{host}:{port}"
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("AWS_ENDPOINT_URL_S3", url)
        patch.setenv("AWS_REGION", "eu-central-1")
        patch.setenv("AWS_ACCESS_KEY_ID", "of-the-test")
        patch.setenv("AWS_SECRET_ACCESS_KEY", "of-the-test")
        boto3.client("s3", region_name="us-east-1").create_bucket(Bucket=BUCKET)
        yield url
    server.stop()


class TestS3Blobs(BlobsContract):
    @pytest.fixture
    def url(self, s3: str) -> str:
        return f"s3://{BUCKET}/{uuid4()}/deep"

    @pytest.fixture
    def blobs(self, url: str) -> Blobs:
        return S3Blobs(url)

    async def test_a_large_one_comes_in_parts(self, blobs: Blobs) -> None:
        of, content = name(), os.urandom(2 * PART + 5)

        stored = await blobs.put(of, pieces(content, PIECE), len(content))

        assert stored == Stored(len(content), hashlib.sha256(content).hexdigest())
        assert await read(blobs, of, PART - 1, 2 * PART + 1) == content[PART - 1 : 2 * PART + 1]
        assert await listed(blobs, datetime.now(UTC) + LATER) == [of]

    async def test_what_breaks_off_between_parts_leaves_the_former_one(self, blobs: Blobs) -> None:
        of = name()
        await blobs.put(of, pieces(b"former"), 100)

        with pytest.raises(ConnectionError):
            await blobs.put(of, broken(bytes(2 * PART)), 3 * PART)

        assert await read(blobs, of) == b"former"
        assert await listed(blobs, datetime.now(UTC) + LATER) == [of]

    async def test_one_that_is_cancelled_leaves_nothing(self, blobs: Blobs) -> None:
        begun = asyncio.Event()

        async def stuck() -> AsyncIterator[bytes]:
            yield bytes(2 * PART)
            begun.set()
            await asyncio.Event().wait()

        putting = asyncio.create_task(blobs.put(name(), stuck(), 3 * PART))
        await begun.wait()
        putting.cancel()
        await asyncio.wait([putting])

        assert await listed(blobs, datetime.now(UTC) + LATER) == []

    async def test_what_a_killed_process_left_is_listed_and_deleted(self, blobs: Blobs, url: str) -> None:
        left, client, prefix = name(), boto3.client("s3"), url.removeprefix(f"s3://{BUCKET}/")
        key = f"{prefix}/{left.owner.hex}/{left.part.hex}"
        client.create_multipart_upload(Bucket=BUCKET, Key=key)
        client.put_object(Bucket=BUCKET, Key=f"{prefix}/of somebody else", Body=b"")

        assert await listed(blobs, datetime.now(UTC) + LATER) == [left]
        await blobs.delete(left)

        assert await listed(blobs, datetime.now(UTC) + LATER) == []

    async def test_a_part_that_ends_where_it_begins_is_empty_and_of_a_blob_that_is_there(self, blobs: Blobs) -> None:
        of = name()
        with pytest.raises(NotFound):
            await read(blobs, of, 3, 3)

        await blobs.put(of, pieces(b"text"), 100)

        assert await read(blobs, of, 3, 3) == b""

    async def test_a_bucket_that_is_not_there_is_unavailable(self, s3: str) -> None:
        absent = S3Blobs("s3://absent-bucket/documents")

        with pytest.raises(Unavailable, match="NoSuchBucket"):
            await absent.put(name(), pieces(b"text"), 100)
        with pytest.raises(Unavailable):
            await read(absent, name())

    async def test_a_server_that_is_not_there_is_unavailable(self, s3: str, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("AWS_ENDPOINT_URL_S3", "http://127.0.0.1:1")

        with pytest.raises(Unavailable):
            await read(S3Blobs("s3://bucket"), name())
