"""Where benches run: real servers, and a process for each side and turn."""

import asyncio
import json
import os
import secrets
import statistics
import sys
import tempfile
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import asyncpg

from headwater import wiring
from headwater.environment import load
from headwater.settings import PREFIX
from headwater.supervisor import answers
from infra.local.ports import LOOPBACK, free_port
from infra.local.state import Home
from tests.load.storing import TABLE
from tests.probes import eventually
from tests.servers import Servers

ROOT = Path(__file__).parents[2]
TURN_S = 60.0  # a side that takes longer hangs
START_S = 60.0
STACK_PREFIX = "stack."  # of the topics of `headwater up`
Figures = dict[str, float]


class Side(NamedTuple):
    """What one process measures: a function of a module in this package, and its arguments."""

    name: str
    arguments: Mapping[str, Any] = {}


@dataclass(frozen=True, slots=True)
class Field:
    """Servers with topics and schemas, and how the processes find them."""

    environment: Mapping[str, str]
    turns: int

    async def turn(self, side: Side, within: float = TURN_S) -> Figures:
        """Run the side once and return its figures. Raise `RuntimeError` with what it said when it failed."""
        process = await self._begun(side)
        try:
            said, complained = await asyncio.wait_for(process.communicate(), within)
        except TimeoutError:
            process.kill()
            said, complained = await process.communicate()
        if process.returncode:
            raise RuntimeError(f"{side}: {complained.decode()[-3000:]}")
        return dict(json.loads(said.splitlines()[-1]))  # libraries log before it

    async def in_turn(self, *sides: Side) -> list[Figures]:
        """Return the medians of each side's figures, all sides measured one after the other, several times."""
        taken = [[await self.turn(side) for side in sides] for _ in range(self.turns)]
        return [medians(each) for each in zip(*taken, strict=True)]

    @asynccontextmanager
    async def serving(self, side: Side) -> AsyncIterator[int]:
        """Run a side that serves a port while the block lasts."""
        port = free_port()
        process = await self._begun(Side(side.name, {**side.arguments, "port": port}))
        try:
            await _answering(process, port)
            yield port
        finally:
            await _end(process)

    @asynccontextmanager
    async def stack(self) -> AsyncIterator[int]:
        """Run `headwater up` on these servers while the block lasts; yield its port."""
        port = free_port()
        with tempfile.TemporaryDirectory() as directory:
            own = {f"{PREFIX}HOME": directory, f"{PREFIX}PORT": str(port), f"{PREFIX}TOPIC_PREFIX": STACK_PREFIX}
            process = await asyncio.create_subprocess_exec(
                sys.executable, "-m", "headwater", "up", env={**self.environment, **own}, cwd=ROOT,
                stdout=asyncio.subprocess.DEVNULL,
            )  # fmt: skip
            try:

                async def ready() -> bool:
                    assert process.returncode is None, "headwater up has ended"
                    found = Home(Path(directory)).read()
                    return bool(found and found.is_ready)

                await eventually(ready, within=START_S)
                yield port
            finally:
                await _end(process)

    async def _begun(self, side: Side) -> asyncio.subprocess.Process:
        command = (sys.executable, "-m", "tests.load.side", side.name, json.dumps(side.arguments))
        return await asyncio.create_subprocess_exec(
            *command,
            env=self.environment,
            cwd=ROOT,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
        )


async def prepared(servers: Servers, secret: str, turns: int) -> Field:
    """Return the field with migrated databases, topics and schemas."""
    own = {
        "KAFKA_BOOTSTRAP_SERVERS": servers.kafka_bootstrap_servers,
        "DATABASE_URL": servers.database_url,
        "SCHEMA_REGISTRY_URL": servers.schema_registry_url,
        "SECRET_KEY": secret,
        "JWT_HS256_SECRET": secret,
        "TOPIC_PREFIX": f"bench{secrets.token_hex(4)}.",
    }
    clean = {name: value for name, value in os.environ.items() if not name.startswith(PREFIX)}
    field = Field(clean | {PREFIX + name: value for name, value in own.items()}, turns)
    await asyncio.to_thread(wiring.prepare, load(field.environment))
    async with _owner(field.environment) as connection:
        await connection.execute(TABLE)
    return field


def medians(turns: Sequence[Figures]) -> Figures:
    """Return the median of each figure."""
    return {name: statistics.median(turn[name] for turn in turns) for name in turns[0]}


@asynccontextmanager
async def _owner(environment: Mapping[str, str]) -> AsyncIterator["asyncpg.Connection[asyncpg.Record]"]:
    connection = await asyncpg.connect(environment[f"{PREFIX}DATABASE_URL"])
    try:
        yield connection
    finally:
        await connection.close()


async def _answering(process: asyncio.subprocess.Process, port: int) -> None:
    async def ready() -> bool:
        if process.returncode is not None:
            assert process.stderr
            raise AssertionError((await process.stderr.read()).decode()[-3000:])
        return await asyncio.to_thread(answers, LOOPBACK, port)

    await eventually(ready, within=START_S)


async def _end(process: asyncio.subprocess.Process) -> None:
    with suppress(ProcessLookupError):
        process.terminate()
    try:
        await asyncio.wait_for(process.communicate(), START_S)
    except TimeoutError:
        process.kill()
        await process.communicate()
