"""The official Socket.IO client, in Node, for tests."""

import asyncio
import json
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from tests.npm import installed
from tests.probes import eventually

PROJECT = Path(__file__).parent / "e2e" / "node"
LINE_LIMIT = 1 << 20  # bytes

Told = dict[str, Any]


class OfficialClient:
    """A Node process that holds any number of sockets by name. `told` is everything it has said so far."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self._process = process
        self.told: list[Told] = []
        self._refs = 0

    async def listen(self) -> None:
        """Note what it says, until it ends."""
        assert self._process.stdout
        async for line in self._process.stdout:
            self.told.append(json.loads(line))

    def do(self, command: str, socket: str, **more: Any) -> None:
        """Have it do something, as chat.mjs describes."""
        assert self._process.stdin
        self._process.stdin.write(json.dumps({"do": command, "id": socket, **more}).encode() + b"\n")

    async def call(self, socket: str, event: str, data: Any) -> Any:
        """Emit and return the ack."""
        self._refs += 1
        ref = self._refs
        self.do("emit", socket, event=event, data=data, ref=ref)
        return (await self.until(lambda told: told["what"] == "ack" and told["ref"] == ref))["answer"]

    async def until(self, wanted: Callable[[Told], bool], count: int = 1) -> Told:
        """Wait until it has told `count` things that are wanted; return the last of them."""

        async def found() -> list[Told]:
            assert self._process.returncode is None
            return [told for told in self.told if wanted(told)]

        return (await eventually(found, until=lambda hits: len(hits) >= count))[count - 1]

    def events(self, socket: str, name: str) -> list[Any]:
        """Return what a socket heard by that name."""
        heard = [told for told in self.told if told["what"] == "event" and told["id"] == socket]
        return [told["args"][0] for told in heard if told["name"] == name]


@asynccontextmanager
async def official_client() -> AsyncIterator[OfficialClient]:
    """Run it while the block lasts."""
    project = await asyncio.to_thread(installed, PROJECT)
    pipe = asyncio.subprocess.PIPE
    process = await asyncio.create_subprocess_exec(
        "node", "chat.mjs", cwd=project, stdin=pipe, stdout=pipe, limit=LINE_LIMIT
    )
    client = OfficialClient(process)
    listening = asyncio.create_task(client.listen())
    try:
        yield client
    finally:
        assert process.stdin
        process.stdin.close()
        await process.wait()
        await listening
