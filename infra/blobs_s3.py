"""Port `Blobs` in a bucket of Amazon S3 or of what speaks its protocol; the extra `s3` has the client.

Endpoint, region and credentials are AWS's own variables, files and roles, as its other programs read them. What is larger than
`PART` comes as an upload in parts, which is there whole or not at all. Who is killed in between leaves such an upload:
`before` tells of it, and `delete` ends it. The client is not asynchronous: each request is a thread's turn.
"""

import asyncio
import base64
import hashlib
import os
from collections.abc import AsyncIterable, AsyncIterator, Callable, Iterator
from contextlib import suppress
from datetime import datetime
from threading import Lock
from typing import TYPE_CHECKING, Any, TypeVar
from urllib.parse import urlsplit
from uuid import UUID

from shared_kernel.blobs import BlobName, BlobTooLarge, Stored
from shared_kernel.errors import NotFound, Unavailable

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client
    from mypy_boto3_s3.type_defs import CompletedPartTypeDef

PIECE = 1 << 20  # bytes that are read at a time
PART = 8 << 20  # bytes of a part of an upload; the protocol takes 5 MiB and more, and 10,000 of them
CONNECT_S, ANSWER_S = 5.0, 30.0
ATTEMPTS = 4  # of each request, by the client itself, with growing pauses
CONNECTIONS = 32
ABSENT = frozenset({"NoSuchKey", "NoSuchUpload", "404"})
ENDPOINTS = ("AWS_ENDPOINT_URL_S3", "AWS_ENDPOINT_URL")

T = TypeVar("T")


class S3Blobs:
    """`url` is `s3://bucket/prefix`; several may share a bucket under prefixes of which none begins with another."""

    def __init__(self, url: str) -> None:
        parts = urlsplit(url)
        self._bucket = parts.netloc
        self._prefix = f"{path}/" if (path := parts.path.strip("/")) else ""
        self._making = Lock()
        self._made: S3Client | None = None

    async def put(self, name: BlobName, pieces: AsyncIterable[bytes], limit: int) -> Stored:
        key = self._key(name)
        digest, size = hashlib.sha256(), 0
        upload: _Upload | None = None
        buffer = bytearray()
        try:
            async for piece in pieces:
                size += len(piece)
                if size > limit:
                    raise BlobTooLarge(limit)
                digest.update(piece)
                buffer += piece
                while len(buffer) > PART:
                    if upload is None:
                        upload = await _attempted(lambda: _Upload(self._client, self._bucket, key))
                    await upload.add(bytes(buffer[:PART]))
                    del buffer[:PART]
            if upload is None:
                await _attempted(lambda: self._stored(key, bytes(buffer)))
            else:
                await upload.add(bytes(buffer))
                await upload.complete()
                upload = None
        finally:
            if upload is not None:  # also when it is cancelled
                await asyncio.shield(upload.give_up())
        return Stored(size, digest.hexdigest())

    async def read(self, name: BlobName, start: int = 0, end: int | None = None) -> AsyncIterator[bytes]:
        if end is not None and start >= end:
            await _attempted(lambda: self._client.head_object(Bucket=self._bucket, Key=self._key(name)))
            return
        body = await _attempted(lambda: self._opened(self._key(name), start, end))
        if body is None:
            return
        try:
            while piece := await _attempted(lambda: body.read(PIECE)):
                yield piece
        finally:
            body.close()

    async def delete(self, name: BlobName) -> None:
        await _attempted(lambda: self._deleted(self._key(name)))

    async def before(self, moment: datetime) -> AsyncIterator[BlobName]:
        pages = await _attempted(lambda: self._listed(moment))
        while names := await _attempted(lambda: next(pages, None)):
            for name in names:
                yield name

    @property
    def _client(self) -> "S3Client":
        with self._making:
            if self._made is None:
                self._made = _client()
            return self._made

    def _key(self, name: BlobName) -> str:
        return f"{self._prefix}{name.owner.hex}/{name.part.hex}"

    def _name(self, key: str) -> BlobName | None:
        with suppress(ValueError):  # no name of ours
            owner, part = key.removeprefix(self._prefix).split("/")
            return BlobName(UUID(hex=owner), UUID(hex=part))
        return None

    def _stored(self, key: str, content: bytes) -> None:
        self._client.put_object(Bucket=self._bucket, Key=key, Body=content, ContentMD5=_md5(content))

    def _opened(self, key: str, start: int, end: int | None) -> Any:
        """Return what is left to be read, or None where nothing is."""
        from botocore.exceptions import ClientError

        part = {"Range": f"bytes={start}-{'' if end is None else end - 1}"} if start or end is not None else {}
        try:
            return self._client.get_object(Bucket=self._bucket, Key=key, **part)["Body"]  # type: ignore[arg-type]
        except ClientError as error:
            if error.response["Error"]["Code"] == "InvalidRange":  # behind its end
                return None
            raise

    def _deleted(self, key: str) -> None:
        self._client.delete_object(Bucket=self._bucket, Key=key)
        for upload in self._client.list_multipart_uploads(Bucket=self._bucket, Prefix=key).get("Uploads", ()):
            self._client.abort_multipart_upload(Bucket=self._bucket, Key=key, UploadId=upload["UploadId"])

    def _listed(self, moment: datetime) -> Iterator[list[BlobName]]:
        """Return pages of names; of objects first, then of uploads that are not finished. Empty ones end nothing."""
        client = self._client

        def pages() -> Iterator[list[BlobName]]:
            bucket, prefix = self._bucket, self._prefix
            for page in client.get_paginator("list_objects_v2").paginate(Bucket=bucket, Prefix=prefix):
                yield self._old([(each["Key"], each["LastModified"]) for each in page.get("Contents", ())], moment)
            for uploads in client.get_paginator("list_multipart_uploads").paginate(Bucket=bucket, Prefix=prefix):
                yield self._old([(each["Key"], each["Initiated"]) for each in uploads.get("Uploads", ())], moment)

        return filter(None, pages())

    def _old(self, found: list[tuple[str, datetime]], moment: datetime) -> list[BlobName]:
        return [name for key, since in found if since < moment and (name := self._name(key))]


def _client() -> "S3Client":
    import boto3  # half a second that who has a directory need not wait
    from botocore.config import Config

    has_own_endpoint = any(os.environ.get(each) for each in ENDPOINTS)  # few of them have a name for each bucket
    config = Config(
        connect_timeout=CONNECT_S,
        read_timeout=ANSWER_S,
        max_pool_connections=CONNECTIONS,
        retries={"total_max_attempts": ATTEMPTS, "mode": "standard"},
        s3={"addressing_style": "path" if has_own_endpoint else "auto"},
        # Not all that speak the protocol know the newer checksums; each of our parts has one of the oldest kind.
        request_checksum_calculation="when_required",
        response_checksum_validation="when_required",
    )
    client: S3Client = boto3.session.Session().client("s3", config=config)
    return client


class _Upload:
    """An upload in parts. Made, and used, in the turns of threads."""

    def __init__(self, client: "S3Client", bucket: str, key: str) -> None:
        self._client = client
        self._bucket, self._key = bucket, key
        self._id = client.create_multipart_upload(Bucket=bucket, Key=key)["UploadId"]
        self._parts: list[CompletedPartTypeDef] = []

    async def add(self, content: bytes) -> None:
        number = len(self._parts) + 1

        def sent() -> str:
            return self._client.upload_part(
                Bucket=self._bucket,
                Key=self._key,
                UploadId=self._id,
                PartNumber=number,
                Body=content,
                ContentMD5=_md5(content),
            )["ETag"]

        self._parts.append({"PartNumber": number, "ETag": await _attempted(sent)})

    async def complete(self) -> None:
        def completed() -> None:
            self._client.complete_multipart_upload(
                Bucket=self._bucket, Key=self._key, UploadId=self._id, MultipartUpload={"Parts": self._parts}
            )

        await _attempted(completed)

    async def give_up(self) -> None:
        """Have nothing of it there; where that cannot be done now, `before` tells of it."""
        with suppress(Unavailable, NotFound):
            await _attempted(
                lambda: self._client.abort_multipart_upload(Bucket=self._bucket, Key=self._key, UploadId=self._id)
            )


async def _attempted(work: Callable[[], T]) -> T:
    """Have a thread do it. Raise `NotFound` for what is not there, `Unavailable` for all else that is wrong."""
    return await asyncio.to_thread(_told, work)


def _told(work: Callable[[], T]) -> T:
    try:
        from botocore.exceptions import BotoCoreError, ClientError
    except ImportError:
        raise Unavailable("storage_unavailable", "a bucket needs the extra: pip install 'headwater[s3]'") from None
    try:
        return work()
    except ClientError as error:
        code = error.response["Error"]["Code"]
        if code in ABSENT:
            raise NotFound("blob_not_found", "there is no such blob, or not any more") from None
        raise Unavailable("storage_unavailable", code) from error
    except (BotoCoreError, OSError) as error:
        raise Unavailable("storage_unavailable", type(error).__name__) from error


def _md5(content: bytes) -> str:
    """Return the checksum that the protocol has always had (RFC 1864), against damage on the way."""
    return base64.b64encode(hashlib.md5(content, usedforsecurity=False).digest()).decode()
