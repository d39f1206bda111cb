"""A web role in this process, and the groups it needs."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import AsyncExitStack, asynccontextmanager
from functools import partial
from typing import Any
from uuid import UUID, uuid4

import httpx
import pytest
from argon2 import PasswordHasher
from pydantic import SecretStr
from sqlalchemy import make_url
from starlette.types import ASGIApp

from bounded_contexts.identity.adapters import passwords
from headwater import wiring
from headwater.web import application
from headwater.wiring import House
from infra.access_tokens import SharedKeyTokens
from infra.consumer import ConsumerRunner
from infra.feed import FeedRunner
from infra.health import Health
from infra.migrations import role_name
from infra.outbox_relay import OutboxRelay
from infra.postgres import Database
from infra.topics import declared_topics, ensure_topics
from shared_kernel.errors import Unavailable
from tests.conftest import settings_for
from tests.mailbox import Mailbox, mail_server
from tests.probes import during, eventually
from tests.registered import registered_once
from tests.servers import Servers
from tests.topics import delete_topics

Client = Callable[..., httpx.AsyncClient]
Anybody = Callable[[], httpx.AsyncClient]
WAIT = {"Prefer": "wait=10"}


@pytest.fixture(scope="session")
async def groups(web_house: House) -> AsyncIterator[None]:
    """Every consumer group and the relay, running."""
    work = [
        OutboxRelay(web_house.databases[module.name], module.name, web_house.bulk).run()
        for module in web_house.modules
        if module.has_outbox
    ]
    for module in web_house.modules:
        for consumer in module.consumers:
            groups = web_house.groups[module.name]
            work.append(ConsumerRunner(consumer, web_house.broker, web_house.codec, groups, web_house.bulk).run())
    tasks = [asyncio.create_task(each) for each in work]
    yield
    for task in tasks:
        task.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await asyncio.gather(*tasks, return_exceptions=True)


async def started(house: House) -> None:
    """Make the topics of the house and connect it. Raise `Unavailable` while the registry is away."""
    await ensure_topics(house.kafka, declared_topics(house.modules), house.settings.topic_replication)
    with registered_once():
        await house.start()


@asynccontextmanager
async def house_of_its_own(servers: Servers, **more: Any) -> AsyncIterator[House]:
    """Connect a house whose topics nobody else writes to; its database is shared."""
    settings = settings_for(servers, f"c{uuid4().hex[:8]}.").model_copy(update=more)
    house = wiring.build(settings)

    async def is_started() -> bool:
        with contextlib.suppress(Unavailable):  # the registry needs a moment after its database was killed
            await started(house)
            return True
        return False

    await eventually(is_started)
    yield house
    await house.close()
    await asyncio.to_thread(delete_topics, house.kafka)


@asynccontextmanager
async def house_on_its_own_database(servers: Servers, **more: Any) -> AsyncIterator[tuple[House, Database]]:
    """Connect a house whose topics and database nobody else has; lend the database's owner, too."""
    name = f"own_{uuid4().hex[:12]}"
    server = Database(servers.database_url, pool_size=1)
    async with server.driver() as connection:
        await connection.execute(f"create database {name}")
    url = make_url(servers.database_url).set(database=name).render_as_string(hide_password=False)
    settings = settings_for(servers, f"{name}.").model_copy(update={"database_url": SecretStr(url), **more})
    await wiring.migrate_all(settings)
    house, owner = wiring.build(settings), Database(url)
    await started(house)
    yield house, owner
    await house.close()
    await owner.close()
    await asyncio.to_thread(delete_topics, house.kafka)
    async with server.driver() as connection:
        await connection.execute(f"drop database {name} with (force)")
        for context in wiring.MIGRATIONS:
            await connection.execute(f"drop role if exists {role_name(name, context)}")
    await server.close()


@asynccontextmanager
async def running(house: House, *contexts: str) -> AsyncIterator[None]:
    """Run the consumer groups and relays of these contexts while the block lasts."""
    work = [
        ConsumerRunner(consumer, house.broker, house.codec, house.groups[module.name], house.bulk).run()
        for module in house.modules
        for consumer in module.consumers
        if module.name in contexts
    ]
    work += [
        OutboxRelay(house.databases[module.name], module.name, house.bulk).run()
        for module in house.modules
        if module.name in contexts and module.has_outbox
    ]
    tasks = [asyncio.create_task(each) for each in work]
    try:
        yield
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


@asynccontextmanager
async def altered(house: House, **settings: Any) -> AsyncIterator[House]:
    """Lend a house like this one, on the same servers and topics, with other settings; it writes by its databases alone."""
    other = wiring.build(house.settings.model_copy(update=settings))
    await other.codec.start()
    try:
        yield other
    finally:
        await other.codec.registry.close()
        for database in other.databases.values():
            await database.close()


@pytest.fixture
async def own_house(migrated: Servers) -> AsyncIterator[House]:
    """A house of this test alone, whose groups it runs as it likes."""
    async with house_of_its_own(migrated) as house:
        yield house


@pytest.fixture(scope="session")
def mailbox() -> Iterator[Mailbox]:
    """Where the mails of `web_house` arrive."""
    with mail_server() as mailbox:
        yield mailbox


@pytest.fixture(scope="session")
async def web_house(migrated: Servers, mailbox: Mailbox) -> AsyncIterator[House]:
    """The house behind `client`, whose groups run: no other test's records keep them busy.

    Its passwords cost a hundredth of what they should, so that hundreds of sign-ins are not most of the suite's work;
    tests/e2e pays the full price."""
    cheap = partial(PasswordHasher, time_cost=1, memory_cost=1024, parallelism=1)
    async with AsyncExitStack() as stack:
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(passwords, "PasswordHasher", cheap)
            own = house_of_its_own(migrated, smtp_url=SecretStr(mailbox.url))
            house = await stack.enter_async_context(own)
        yield house


@pytest.fixture(scope="session")
def web_app(web_house: House) -> ASGIApp:
    """The web role: a fifth of a second that each test need not wait."""
    return application(web_house, {"web"}, Health(("web",), {}))


@pytest.fixture
def client(web_app: ASGIApp, tokens: SharedKeyTokens) -> Client:
    """Return a REST client of a user, or of nobody."""

    def of(user: UUID | None = None, *roles: str) -> httpx.AsyncClient:
        return client_of(web_app, tokens, user, roles)

    return of


@pytest.fixture(scope="module")
async def app(web_house: House, web_app: ASGIApp) -> AsyncIterator[ASGIApp]:
    """The web role, which hears of revocations."""
    runner = FeedRunner(web_house.revocations.feed, web_house.kafka, web_house.codec)
    async with during(runner.run()):
        await asyncio.wait_for(runner.ready.wait(), 60)
        yield web_app


@pytest.fixture
def anybody(app: ASGIApp) -> Anybody:
    """Return clients, each from an address of its own: failures are counted by address."""

    def of() -> httpx.AsyncClient:
        address = ".".join(str(byte) for byte in (10, *uuid4().bytes[:3]))
        transport = httpx.ASGITransport(app=app, client=(address, 1))
        return httpx.AsyncClient(transport=transport, base_url="http://test/api/v1")

    return of


@pytest.fixture
def admin(client: Client) -> httpx.AsyncClient:
    return client(uuid4(), "admin")


def rest_client(house: House, tokens: SharedKeyTokens, user: UUID) -> httpx.AsyncClient:
    """Return the REST client of a user of another house."""
    return client_of(application(house, {"web"}, Health(("web",), {})), tokens, user)


def client_of(
    app: ASGIApp,
    tokens: SharedKeyTokens,
    user: UUID | None,
    roles: tuple[str, ...] = (),
    base_url: str = "http://test/api/v1",
) -> httpx.AsyncClient:
    """Return a client of the application. It opens no socket, so it need not be closed."""
    headers = {"authorization": f"Bearer {tokens.issue(user, roles)}"} if user else {}
    transport = httpx.ASGITransport(app=app)
    return httpx.AsyncClient(transport=transport, base_url=base_url, headers=headers)


async def send(api: httpx.AsyncClient, participants: list[UUID], body: str = "Hello", **more: Any) -> dict[str, Any]:
    """Send and wait until it is stored."""
    content = {"participants": [str(each) for each in participants], "body": body, "client_id": str(uuid4())} | more
    answer = await api.post("/messages", json=content, headers=WAIT)
    assert answer.status_code == 201, answer.text
    return dict(answer.json())


async def history(api: httpx.AsyncClient, conversation: str, **query: Any) -> list[dict[str, Any]]:
    answer = await api.get(f"/conversations/{conversation}/messages", params=query)
    assert answer.status_code == 200, answer.text
    return list(answer.json()["data"])
