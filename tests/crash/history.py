"""What clients meant to do and what they were told: a file of JSON lines, on the disk before the request leaves."""

import asyncio
import json
import os
from dataclasses import dataclass
from pathlib import Path
from time import monotonic
from typing import Any, Literal

Kind = Literal["send", "edit", "delete", "rename", "mark", "place", "cancel", "ship", "return", "receive"]
# ok: it has its effect, once. fail: it has none. unknown: once or not at all, for ever.
Outcome = Literal["ok", "fail", "unknown"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Operation:
    """One request of one client, however often it was repeated. Times are seconds of one clock for all clients."""

    kind: Kind
    name: str  # unique: a message's `client_id` and text, an edit's new text, a group's new title, an order's price
    actor: str  # user id
    target: str = ""  # the message's or the order's name, the group's id, the SKU
    begun: float
    ended: float | None = None  # when it was answered
    outcome: Outcome = "unknown"


class History:
    """The file. What is awaited is on the disk; those who wait at the same time share one sync."""

    def __init__(self, path: Path) -> None:
        self._file = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
        self._waiting: list[tuple[bytes, asyncio.Future[None]]] = []
        self._writer: asyncio.Task[None] | None = None

    async def intent(self, kind: Kind, name: str, actor: str, target: str = "") -> None:
        """Note what is about to be asked."""
        await self._write({"kind": kind, "name": name, "actor": actor, "target": target, "begun": monotonic()})

    async def answer(self, name: str, outcome: Outcome) -> None:
        """Note what became of it."""
        await self._write({"name": name, "ended": monotonic(), "outcome": outcome})

    async def _write(self, line: dict[str, Any]) -> None:
        synced: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiting.append((json.dumps(line).encode() + b"\n", synced))
        if self._writer is None or self._writer.done():
            self._writer = asyncio.create_task(self._sync())
        await synced

    async def _sync(self) -> None:
        while self._waiting:
            lines, self._waiting = self._waiting, []
            await asyncio.to_thread(self._append, b"".join(line for line, _ in lines))
            for _, synced in lines:
                if not synced.done():
                    synced.set_result(None)

    def _append(self, lines: bytes) -> None:
        os.write(self._file, lines)
        os.fsync(self._file)

    def close(self) -> None:
        os.close(self._file)


def operations(path: Path) -> list[Operation]:
    """Return what the file says. An intent without an answer is an operation whose outcome is unknown."""
    found: dict[str, dict[str, Any]] = {}
    for line in path.read_text(encoding="utf-8").splitlines():
        said = json.loads(line)
        found.setdefault(said["name"], {}).update(said)
    return [Operation(**fields) for fields in found.values()]
