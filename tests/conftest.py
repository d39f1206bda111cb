"""Fixtures that every kind of test shares: the real servers once a session, a house connected to them."""

import uuid
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest
from pydantic import SecretStr

from headwater import wiring
from headwater.settings import Settings
from headwater.wiring import House
from infra.access_tokens import SharedKeyTokens
from tests.servers import Servers, start_servers

SECRET = "only-for-tests-" + "0123456789" * 3


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Whatever takes the servers is marked `connected`, so that the quick run can leave it out."""
    for item in items:
        if "servers" in getattr(item, "fixturenames", ()):
            item.add_marker(pytest.mark.connected)


@pytest.fixture(scope="session")
def servers(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Servers]:
    """Kafka, PostgreSQL and the schema registry, started for this session."""
    running = start_servers(Path(tmp_path_factory.mktemp("servers")))
    yield running
    running.stop()


@pytest.fixture(scope="session")
def settings(servers: Servers) -> Settings:
    """Settings for the running servers, all contexts migrated, topics and schemas there."""
    return settings_for(servers, f"t{uuid.uuid4().hex[:8]}.")


@pytest.fixture(scope="session")
async def house(settings: Settings) -> AsyncIterator[House]:
    """A connected house of its own topic prefix."""
    await wiring.migrate_all(settings)
    await wiring.make_topics(settings)
    await wiring.register_schemas(settings)
    house = wiring.build(settings)
    await house.start()
    yield house
    await house.close()


@pytest.fixture
def tokens() -> SharedKeyTokens:
    """What signs access tokens that the house accepts."""
    return SharedKeyTokens(SECRET)


def settings_for(servers: Servers, prefix: str = "") -> Settings:
    """Return the settings of a process that uses these servers."""
    return Settings(
        kafka_bootstrap_servers=servers.kafka_bootstrap_servers,
        database_url=SecretStr(servers.database_url),
        schema_registry_url=servers.schema_registry_url,
        secret_key=SecretStr(SECRET),
        jwt_hs256_secret=SecretStr(SECRET),
        topic_prefix=prefix,
    )
