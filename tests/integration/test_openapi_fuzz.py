"""Every operation of the OpenAPI document with data that fits and data that does not, on the real servers, by Schemathesis:
no 5xx, nothing that is not declared, each error a problem document with a listed code."""

import asyncio
import os
import sys
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path
from uuid import UUID, uuid4

import httpx
import pytest

from headwater.web import application
from headwater.wiring import House
from infra.access_tokens import SharedKeyTokens
from infra.health import Health
from shared_kernel.permissions import ROLES
from tests.fuzz import hooks
from tests.integration.serving import served

CONFIG = Path(hooks.__file__).with_name("schemathesis.toml")
EXAMPLES = os.environ.get("FUZZ_EXAMPLES", "2")
# What a user may do is tried as one; everything, and every odd value of every parameter, as who may do everything.
OF_USERS = ("users", "conversations", "messages", "notifications")
OPTIONS = {
    "a user": ((), ("--phases", "fuzzing,stateful", *(each for tag in OF_USERS for each in ("--include-tag", tag)))),
    "who may everything": (tuple(ROLES), ("--phases", "coverage,fuzzing,stateful")),
}


@pytest.fixture(scope="module")
async def url(web_house: House, groups: None) -> AsyncIterator[str]:
    """Where every route is served, with no limit on how often one asks."""
    settings = web_house.settings.model_copy(update={"rate_limit_per_minute": 0, "compat_routes": True})
    async with served(application(replace(web_house, settings=settings), {"web"}, Health(("web",), {}))) as port:
        yield f"http://127.0.0.1:{port}"
    for group in web_house.group_operations.names:  # some were paused
        await web_house.group_operations.resume(group)


async def tried(url: str, user: UUID, token: str, options: tuple[str, ...]) -> tuple[int, str]:
    """Return how Schemathesis ended and what it said."""
    command = (
        *(sys.executable, "-m", "schemathesis.cli", "--config-file", str(CONFIG), "run", f"{url}/openapi.json"),
        *("--header", f"Authorization: Bearer {token}", "--max-examples", EXAMPLES, "--no-color"),
        *options,
    )
    environment = {**os.environ, "SCHEMATHESIS_HOOKS": hooks.__name__, hooks.USER: str(user)}
    running = await asyncio.create_subprocess_exec(
        *command, cwd=hooks.ROOT, env=environment, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT
    )
    said, _ = await running.communicate()
    return running.returncode or 0, said.decode()


@pytest.mark.parametrize(("roles", "options"), OPTIONS.values(), ids=OPTIONS)
async def test_nothing_is_answered_that_the_document_does_not_say(
    url: str, tokens: SharedKeyTokens, roles: tuple[str, ...], options: tuple[str, ...]
) -> None:
    async with httpx.AsyncClient(base_url=url) as anybody:
        body = {"email": f"{uuid4().hex}@example.org", "name": "Ada", "password": "correct horse battery"}
        user = UUID((await anybody.post("/api/v1/auth/register", json=body)).json()["id"])
        document = (await anybody.get("/openapi.json")).json()

    code, said = await tried(url, user, tokens.issue(user, roles), options)

    assert code == 0, said
    if roles:
        assert f"Tested: {sum(map(len, document['paths'].values()))}\n" in said
