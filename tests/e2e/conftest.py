"""`headwater up` as a person would start it, with two gateways and two members of a consumer group."""

import asyncio
import os
import subprocess
import sys
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from uuid import UUID

import httpx
import pytest

from headwater.token_cli import user_id
from infra.access_tokens import SharedKeyTokens
from infra.local.ports import free_port
from infra.local.state import Home
from tests.machine import Machine, listening
from tests.oidc_provider import OpenIdProvider, openid_provider
from tests.probes import eventually

HEADWATER = (sys.executable, "-m", "headwater")
ROOT = Path(__file__).parents[2]
START_S = 120.0
SCALE = ("--scale", "realtime.delivery=2", "--scale", "messaging.history=2")


class Stack:
    """A running stack and the commands one types beside it."""

    def __init__(self, directory: Path, **environment: str) -> None:
        self.home = Home(directory / "home")
        self.port = free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        own = {"HEADWATER_HOME": str(self.home.directory), "HEADWATER_PORT": str(self.port), "PYTHONPATH": str(ROOT)}
        own |= {f"HEADWATER_LOCAL_{name}_PORT": "0" for name in ("KAFKA", "DATABASE", "REGISTRY")} | environment
        self.environment = {
            name: value for name, value in os.environ.items() if not name.startswith("HEADWATER_")
        } | own

    def headwater(self, *arguments: str) -> str:
        """Run a command and return what it prints; it must succeed."""
        done = subprocess.run(
            (*HEADWATER, *arguments), env=self.environment, capture_output=True, text=True, timeout=60, check=False
        )
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    def process(self, name: str) -> dict[str, Any]:
        """Return pid, port and roles of a running process."""
        found = self.home.read()
        assert found is not None
        return next({"pid": each.pid, "port": each.port} for each in found.processes if each.name == name)

    def kill(self, name: str) -> None:
        """End a process as `kill -9` does; the supervisor starts it again."""
        os.kill(self.process(name)["pid"], 9)

    def token(self, user: str | UUID, *roles: str) -> str:
        """Return an access token."""
        found = self.home.read()
        assert found is not None
        return SharedKeyTokens(found.jwt_hs256_secret).issue(user_id(str(user)), roles)


@pytest.fixture(scope="package")
def planned(tmp_path_factory: pytest.TempPathFactory) -> Stack:
    """The stack, whose port is chosen."""
    return Stack(tmp_path_factory.mktemp("stack"))


@pytest.fixture(scope="package")
def provider(planned: Stack) -> Iterator[OpenIdProvider]:
    """The OpenID provider that the stack's users sign in by as `acme`."""
    with openid_provider(f"{planned.url}/api/v1/auth/oidc/acme/callback") as running:
        yield running


@pytest.fixture(scope="package")
def stack(planned: Stack, provider: OpenIdProvider) -> Iterator[Stack]:
    """The stack, up and ready; every process is ended with the session."""
    planned.environment["HEADWATER_OIDC_ACME"] = provider.url
    with up(planned, *SCALE) as running:
        yield running


@contextmanager
def up(running: Stack, *arguments: str) -> Iterator[Stack]:
    """Run `headwater up` while the block lasts; enter when it is ready."""
    log = running.home.directory.with_name("up.log")
    with log.open("w") as output:
        command = (*HEADWATER, "up", *arguments)
        process = subprocess.Popen(command, env=running.environment, stdout=output, stderr=subprocess.STDOUT)
    try:
        _wait_until_ready(running, process, log)
        yield running
    finally:
        process.terminate()
        assert process.wait(60) == 0, log.read_text()
        running.headwater("reset", "--yes")


@pytest.fixture
def machine(tmp_path: Path) -> Iterator[Machine]:
    """A user whose configured servers listen and do nothing else."""
    with listening() as server:
        machine = Machine(tmp_path, server)
        yield machine
        machine.end()


@pytest.fixture
async def api(stack: Stack) -> AsyncIterator[Callable[[str | UUID], httpx.AsyncClient]]:
    """Return a REST client of a user, through the public port."""
    opened: list[httpx.AsyncClient] = []

    def of(user: str | UUID) -> httpx.AsyncClient:
        headers = {"authorization": f"Bearer {stack.token(user)}"}
        opened.append(httpx.AsyncClient(base_url=f"{stack.url}/api/v1", headers=headers, timeout=30))
        return opened[-1]

    yield of
    for each in opened:
        await each.aclose()


@pytest.fixture
async def outside(stack: Stack) -> AsyncIterator[httpx.AsyncClient]:
    """A REST client of nobody, through the public port."""
    async with httpx.AsyncClient(base_url=f"{stack.url}/api/v1", timeout=30) as api:
        yield api


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if "stack" in getattr(item, "fixturenames", ()):
            item.add_marker(pytest.mark.connected)


def _wait_until_ready(stack: Stack, process: "subprocess.Popen[bytes]", log: Path) -> None:
    async def ready() -> bool:
        assert process.poll() is None, log.read_text()
        found = stack.home.read()
        return bool(found and found.is_ready)

    asyncio.run(eventually(ready, within=START_S))
