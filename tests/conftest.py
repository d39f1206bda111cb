"""Fixtures that every kind of test shares: the real servers once a session, a house connected to them."""

import gc
import os
import uuid
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import structlog
from pydantic import SecretStr
from xdist.scheduler import LoadFileScheduling

from headwater import wiring
from headwater.settings import PREFIX, Settings
from headwater.wiring import House
from infra.access_tokens import SharedKeyTokens
from tests.servers import Servers, start_servers

STACKS = ("processes", "containers")
PLAIN = structlog.dev.ConsoleRenderer(colors=False, exception_formatter=structlog.dev.plain_traceback)
STACK = pytest.StashKey[str]()
ON_THE_STACK = tuple(
    f"tests/e2e/test_{name}.py"
    for name in (
        "gateway",
        "identity",
        "message_exchange",
        "official_client",
        "oidc",
        "poison",
        "stack_home",
        "stalled_client",
    )
)
TURNS = ("stack", "contract", "integration", "crash", "e2e", "deploy")  # and then what is quick
START = pytest.StashKey[Callable[[Path], Servers]]()
STACK_VARIABLE = f"{PREFIX}TEST_STACK"
COLLECT_AT = (700, 10, 10)  # as Python has it: tests of memory run here
# Brokers live for a minute or two here: what the second compiler costs them they never earn.
JAVA_OPTIONS = "-XX:TieredStopAtLevel=1"
SECRET = "only-for-tests-" + "0123456789" * 3


def pytest_configure(config: pytest.Config) -> None:
    """Take what the servers are to be, before a test starts a program that does not know the variable."""
    workerinput: dict[str, str] = getattr(config, "workerinput", {})
    stack = workerinput.get(STACK_VARIABLE) or os.environ.pop(STACK_VARIABLE, "processes")
    if stack not in STACKS:
        raise pytest.UsageError(f"{STACK_VARIABLE}={stack}: it is one of {', '.join(STACKS)}")
    os.environ.setdefault("JDK_JAVA_OPTIONS", JAVA_OPTIONS)
    config.stash[STACK] = stack
    config.stash[START] = start_servers
    if stack == "containers":
        from tests import containers  # half a second that the quick tests need not wait

        config.stash[START] = containers.start_containers
        try:
            containers.require_engine()
        except containers.NoEngine as error:
            raise pytest.UsageError(f"{STACK_VARIABLE}={stack}: {error}") from None
    gc.disable()  # until all is imported


def pytest_collection_finish() -> None:
    """Have the collector pass by what lives as long as the session: it walked half a million objects again and again."""
    gc.enable()
    gc.collect()
    gc.freeze()


def pytest_configure_node(node: Any) -> None:
    """Hand it on to a worker process, which starts without the variable."""
    node.workerinput[STACK_VARIABLE] = node.config.stash[STACK]


class Turns(LoadFileScheduling):  # type: ignore[misc]  # xdist has no types
    """A process of the suite takes a file, or all that share a stack, and the next when it is through."""

    def _split_scope(self, nodeid: str) -> str:
        file = super()._split_scope(nodeid)
        return "stack" if file in ON_THE_STACK else file


def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> Turns:
    """Use it whenever there are several processes."""
    return Turns(config, log)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Whatever takes the servers is marked `connected`, so that the quick run can leave it out. What takes long comes first, so
    that several processes end together."""
    for item in items:
        if "servers" in getattr(item, "fixturenames", ()):
            item.add_marker(pytest.mark.connected)
    items.sort(key=_turn)


def _turn(item: pytest.Item) -> int:
    kind = "stack" if item.nodeid.split("::")[0] in ON_THE_STACK else item.path.parent.name
    return TURNS.index(kind) if kind in TURNS else len(TURNS)


@pytest.fixture(autouse=True)
def plain_logging() -> None:
    """Begin every test with the same logging, whatever one before, or a program it ran in this process, has made of it. Rich's
    tracebacks, structlog's default, show every variable of every frame: seconds for each failure that a test provokes."""
    structlog.reset_defaults()
    structlog.configure(processors=[*structlog.get_config()["processors"][:-1], PLAIN])


@pytest.fixture(autouse=True)
def usual_collector() -> None:
    """Look for garbage as often as Python does in every test: a command that ran in this process looks for it less."""
    gc.set_threshold(*COLLECT_AT)


@pytest.fixture(scope="session")
def servers(pytestconfig: pytest.Config, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Servers]:
    """Kafka, PostgreSQL and the schema registry, started for this session."""
    running = pytestconfig.stash[START](Path(tmp_path_factory.mktemp("servers")))
    yield running
    running.stop()


@pytest.fixture(scope="session")
def settings(servers: Servers) -> Settings:
    """Settings for the running servers and a topic prefix of this session."""
    return settings_for(servers, f"t{uuid.uuid4().hex[:8]}.")


@pytest.fixture(scope="session")
async def migrated(servers: Servers) -> Servers:
    """The servers, with the tables of all contexts."""
    await wiring.migrate_all(settings_for(servers))
    return servers


@pytest.fixture(scope="session")
async def house(migrated: Servers, settings: Settings) -> AsyncIterator[House]:
    """A connected house of its own topic prefix."""
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
