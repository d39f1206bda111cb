"""The same three servers as containers, by the services of docker-compose.yml: `HEADWATER_TEST_STACK=containers`.

No container engine was at hand when this was written: what docker-compose.yml becomes with these variables is tested
(tests/deploy), the containers themselves are not.
"""

import secrets
import subprocess
from collections.abc import Mapping
from functools import cached_property
from pathlib import Path

from docker.errors import DockerException
from testcontainers.compose import DockerCompose
from testcontainers.core.docker_client import DockerClient

from infra.local.kafka import Kafka
from infra.local.ports import LOOPBACK, free_port
from infra.local.postgres import OWNER, Postgres
from infra.local.registry import API, Registry
from tests.servers import Servers, Stack

ROOT = Path(__file__).parents[1]
SERVICES = [Kafka.name, Postgres.name, Registry.name]


class NoEngine(Exception):
    """Containers were asked for and there is nothing that runs them."""


class Compose(DockerCompose):
    """The three services as a project of its own, so that nobody's `docker compose up` is touched."""

    @cached_property
    def compose_command_property(self) -> list[str]:
        return [*super().compose_command_property, "--project-name", f"headwater-test-{secrets.token_hex(4)}"]

    def kill(self, name: str) -> None:
        self._run_command([*self.compose_command_property, "kill", name])

    def run(self, name: str) -> None:
        self._run_command([*self.compose_command_property, "up", "--wait", name])


def variables() -> dict[str, str]:
    """Return what docker-compose.yml asks for, with free ports and fresh passwords."""
    ports = {f"{name}_PORT": str(free_port()) for name in ("KAFKA", "DATABASE", "REGISTRY")}
    required = ("POSTGRES_PASSWORD", "REGISTRY_PASSWORD", "HEADWATER_SECRET_KEY", "HEADWATER_JWT_HS256_SECRET")
    return ports | {name: secrets.token_hex(32) for name in required}


def servers(given: Mapping[str, str], stack: Stack) -> Servers:
    """Return where the services are reached that were started with these variables."""
    password = given["POSTGRES_PASSWORD"]
    return Servers(
        kafka_bootstrap_servers=f"localhost:{given['KAFKA_PORT']}",
        database_url=f"postgresql://{OWNER}:{password}@{LOOPBACK}:{given['DATABASE_PORT']}/{OWNER}",
        schema_registry_url=f"http://{LOOPBACK}:{given['REGISTRY_PORT']}{API}",
        stack=stack,
    )


def require_engine() -> None:
    """Raise `NoEngine` unless an engine and its `compose` command answer."""
    try:
        DockerClient().client.ping()
        subprocess.run([*DockerCompose(ROOT).docker_compose_command(), "version"], check=True, capture_output=True)
    except (DockerException, OSError, subprocess.CalledProcessError) as error:
        raise NoEngine(f"no container engine with `compose` answers: {' '.join(str(error).split())}") from error


def start_containers(directory: Path) -> Servers:
    """Start the services, with the variables in a file in `directory`, and block until they are healthy."""
    given, file = variables(), directory / "compose.env"
    file.write_text("".join(f"{name}={value}\n" for name, value in given.items()), encoding="utf-8")
    compose = Compose(ROOT, env_file=str(file), services=SERVICES)
    compose.start()
    return servers(given, compose)
