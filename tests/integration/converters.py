"""The web role of a house that converts documents, and those who send them there by hand."""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any
from uuid import uuid4

from prometheus_client import REGISTRY
from pydantic import SecretStr

from bounded_contexts.documents.adapters.isolated import WORK
from headwater import wiring
from headwater.web import application
from infra.access_tokens import SharedKeyTokens
from infra.health import Health
from tests.conftest import SECRET
from tests.integration.serving import served

CONVERT = "/api/v1/documents/convert"
LINE = json.dumps({"a": 1, "text": "x" * 1000}).encode() + b"\n"


@asynccontextmanager
async def a_web(**settings: Any) -> AsyncIterator[int]:
    """Serve the web role of a house whose other servers are nowhere; give its port."""
    more = {"secret_key": SecretStr(SECRET), "jwt_hs256_secret": SecretStr(SECRET), **settings}
    house = wiring.build(wiring.SHAPE.model_copy(update=more))
    (documents,) = [module for module in house.modules if module.name == "documents"]
    assert documents.begin
    assert documents.close
    documents.begin()
    async with served(application(house, {"web"}, Health(("web",), {}))) as port:
        yield port
    await documents.close()


def headers() -> dict[str, str]:
    return {"authorization": f"Bearer {SharedKeyTokens(SECRET).issue(uuid4(), ())}"}


def busy() -> float:
    return REGISTRY.get_sample_value("headwater_workers", {"work": WORK, "state": "busy"}) or 0.0


async def none_busy() -> bool:
    return busy() == 0


class Raw:
    """One connection, by hand."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader, self.writer = reader, writer

    @classmethod
    async def to(cls, port: int, query: str, *more: str) -> "Raw":
        raw = cls(*await asyncio.open_connection("127.0.0.1", port, limit=1 << 24))
        own = [f"POST {CONVERT}?{query} HTTP/1.1", "host: x", "transfer-encoding: chunked", *more]
        own += [f"{name}: {value}" for name, value in headers().items()]
        raw.writer.write("\r\n".join([*own, "", ""]).encode())
        return raw

    async def send(self, piece: bytes) -> None:
        self.writer.write(b"%x\r\n%s\r\n" % (len(piece), piece))
        await self.writer.drain()

    async def rest(self) -> bytes:
        """Return all that comes until the connection ends, however it does."""
        found = b""
        try:
            while piece := await self.reader.read(1 << 16):
                found += piece
        except ConnectionResetError:
            pass
        return found
