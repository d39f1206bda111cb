"""An installation of one test's own: its database, its topics, its history; the roles run where the test runs them."""

import asyncio
import contextlib
import os
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from uuid import UUID, uuid4

import asyncpg
import httpx
from pydantic import SecretStr

from headwater import wiring
from headwater.settings import Settings
from headwater.web import application
from headwater.wiring import House
from infra.access_tokens import SharedKeyTokens
from infra.health import Health
from tests.conftest import settings_for
from tests.crash import evidence
from tests.crash.checker import Violation, check
from tests.crash.evidence import Evidence, Moment, Sources
from tests.crash.history import History, operations
from tests.groups import caught_up
from tests.integration.conftest import client_of
from tests.servers import Servers
from tests.topics import delete_topics

ROOT = Path(__file__).parents[2]

_one_at_a_time = asyncio.Lock()


@dataclass(slots=True)
class Small:
    """Clients, history and evidence of the installation."""

    settings: Settings
    house: House
    sources: Sources
    path: Path
    history: History
    moments: list[Moment] = field(default_factory=list)

    @property
    def environment(self) -> dict[str, str]:
        """Return the variables with which another process joins."""
        set_ = {name: getattr(self.settings, name) for name in ("database_url", "secret_key", "jwt_hs256_secret")}
        plain = {name: secret.get_secret_value() for name, secret in set_.items()}
        plain["kafka_bootstrap_servers"] = str(self.settings.kafka_bootstrap_servers)
        plain["schema_registry_url"] = str(self.settings.schema_registry_url)
        plain["topic_prefix"] = self.settings.topic_prefix
        return {f"HEADWATER_{name.upper()}": value for name, value in plain.items()}

    @asynccontextmanager
    async def process(self, *module: str, **environment: str) -> AsyncIterator[asyncio.subprocess.Process]:
        """Run a module of Python, with its arguments, while the block lasts."""
        environment |= {"PATH": os.environ["PATH"], "PYTHONPATH": str(ROOT), **self.environment}
        with self.path.with_name("processes.log").open("ab") as log:
            process = await asyncio.create_subprocess_exec(
                sys.executable, "-m", *module, env=environment, cwd=ROOT, stdout=log, stderr=log
            )
        try:
            yield process
        finally:
            with contextlib.suppress(ProcessLookupError):
                process.kill()
            await process.wait()

    async def send(self, sender: UUID, others: list[UUID], name: str) -> str:
        """Send, note both, and return the message's id."""
        await self.history.intent("send", name, str(sender))
        body = {"participants": [str(each) for each in (sender, *others)], "body": name, "client_id": name}
        answer = (await self.sources.rest(str(sender)).post("/messages", json=body)).raise_for_status()
        await self.history.answer(name, "ok")
        return str(answer.json()["message_id"])

    async def look(self) -> None:
        """Note where the groups stand and what they have stored."""
        connection = await asyncpg.connect(self.sources.database_url)
        try:
            for group in evidence.EFFECTS:
                self.moments.append(await evidence.moment(connection, group, self.sources.prefix))
        finally:
            await connection.close()

    async def caught_up(self, *groups: str) -> None:
        """Wait until these groups have done what lies on their topics by now."""
        await caught_up(self.house, *groups)

    async def evidence(self) -> Evidence:
        """Return everything there is."""
        found = await evidence.collect(self.sources, operations(self.path))
        found.moments = self.moments
        return found

    async def violations(self) -> list[Violation]:
        """Return what the checker says of everything there is."""
        return check(await self.evidence())


@asynccontextmanager
async def small(servers: Servers, directory: Path) -> AsyncIterator[Small]:
    """Prepare an installation beside the others on these servers."""
    name = f"small{uuid4().hex[:8]}"
    settings = _settings(servers, name)
    async with (
        _one_at_a_time
    ):  # Alembic can do no more, and the registry refuses a schema that is just being registered
        owner = await asyncpg.connect(servers.database_url)
        await owner.execute(f"create database {name}")
        await owner.close()
        await wiring.migrate_all(settings)
        await wiring.make_topics(settings)
        await wiring.register_schemas(settings)
    house = wiring.build(settings)
    await house.start()
    app, tokens = application(house, {"web"}, Health(("web",), {})), SharedKeyTokens(_secret(settings))

    def rest(user: str) -> httpx.AsyncClient:
        return client_of(app, tokens, UUID(user))

    sources = Sources(
        servers.kafka_bootstrap_servers, settings.topic_prefix, settings.configured_databases["HEADWATER_DATABASE_URL"],
        servers.schema_registry_url, rest,
    )  # fmt: skip
    history = History(directory / "history.jsonl")
    try:
        yield Small(settings, house, sources, directory / "history.jsonl", history)
    finally:
        history.close()
        await house.close()
        await asyncio.to_thread(delete_topics, house.kafka)


def _settings(servers: Servers, name: str) -> Settings:
    database_url = servers.database_url.rpartition("/")[0] + f"/{name}"
    return settings_for(servers, f"{name}.").model_copy(update={"database_url": SecretStr(database_url)})


def _secret(settings: Settings) -> str:
    assert settings.jwt_hs256_secret
    return settings.jwt_hs256_secret.get_secret_value()
