"""Files that are downloaded out of blobs, whole or in ranges."""

from collections.abc import AsyncIterator, Mapping

from fastapi import Request, Response
from fastapi.responses import StreamingResponse

from infra.http import STATIC
from infra.http_ranges import wanted
from shared_kernel.blobs import BlobName, Blobs


async def download(
    request: Request, blobs: Blobs, blob: BlobName, size: int, sha256: str, told: Mapping[str, str]
) -> Response:
    """Return the answer that is a blob of so many bytes and this hash, which is its ETag, to a GET perhaps a part of it; `told`
    are the fields that say what it is. Raise `NotFound`, `Unavailable`, `HTTPException` 416."""
    part = wanted(request.headers if request.method in STATIC else {}, size, f'"{sha256}"')
    headers = {**part.headers, **told, "Cache-Control": "private, no-cache"}
    if part.status == 304:
        return Response(status_code=304, headers=headers)
    return StreamingResponse(await _begun(blobs.read(blob, part.start, part.end)), part.status, headers)


async def _begun(pieces: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
    """Return the pieces once the first is there: what is wrong comes out while there is no answer yet."""
    first = await anext(pieces, b"")

    async def all_of_them() -> AsyncIterator[bytes]:
        yield first
        async for piece in pieces:
            yield piece

    return all_of_them()
