"""Requests in lines: the first is what would be sent as JSON, the following ones are rows of its document. docs/generation.md"""

from collections.abc import AsyncIterator, Mapping
from typing import Final

from starlette.requests import Request

from bounded_contexts.documents.adapters import lines_instructions
from bounded_contexts.documents.adapters.http_taking_in import pieces_of
from bounded_contexts.documents.domain.errors import TooLarge
from infra.request_context import BODY_LIMIT, LINES

FIRST_LINE: Final = BODY_LIMIT  # bytes: it is held, as other bodies are


def are_lines(request: Request) -> bool:
    """Return whether a request says that its body is lines."""
    return request.headers.get("content-type", "").partition(";")[0].strip().lower() == LINES


class Lines:
    """The body of a request, of which the first line is held."""

    def __init__(self, request: Request) -> None:
        self._pieces = pieces_of(request)
        self._rest = b""
        self._first = b""

    async def first(self) -> bytes:
        """Return the first line. Raise `TooLarge`."""
        begun, end = bytearray(), 0
        async for piece in self._pieces:
            begun += piece
            end = begun.find(b"\n", len(begun) - len(piece)) + 1
            if end or len(begun) > FIRST_LINE:
                break
        end = end or len(begun)
        if end > FIRST_LINE:
            raise TooLarge("first_line_bytes", FIRST_LINE)
        self._first, self._rest = bytes(begun[:end]), bytes(begun[end:])
        return self._first

    async def instructions(self, document: bytes, assets: Mapping[str, bytes]) -> AsyncIterator[bytes]:
        """Yield what is to be rendered: the document, which stood in the first line, and the rows. It takes as much room as that
        line did, so that errors tell the places of the request."""
        yield lines_instructions.head(assets) + document.ljust(len(self._first.rstrip(b"\r\n"))) + b"\n"
        yield self._rest
        async for piece in self._pieces:
            yield piece
