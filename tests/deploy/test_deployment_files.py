"""The files that make the image and the composed services, read by the tools that would use them (docs/deployment.md)."""

import http.server
import json
import re
import shlex
import subprocess
import sys
import sysconfig
import threading
import tomllib
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from http import HTTPStatus
from pathlib import Path
from typing import Any

import pytest

from headwater.environment import load
from headwater.settings import PREFIX, Settings, SettingsError
from infra.local.kafka import PROFILE

ROOT = Path(__file__).parents[2]
COMPOSE = ROOT / "docker-compose.yml"
DOCKERFILE = ROOT / "Dockerfile"
HADOLINT = Path(sysconfig.get_path("scripts"), "hadolint")

KEY = "0123456789abcdef" * 2
REQUIRED = {"HEADWATER_SECRET_KEY": KEY, "POSTGRES_PASSWORD": "one", "REGISTRY_PASSWORD": "two"}
DEVELOPMENT = REQUIRED | {"HEADWATER_JWT_HS256_SECRET": KEY}
PRODUCTION = REQUIRED | {
    "HEADWATER_MODE": "production",
    "HEADWATER_ACCOUNT_PAGES": "https://app.example",
    "HEADWATER_JWT_JWKS_URL": "https://id.example/keys",
    "HEADWATER_JWT_ISSUER": "https://id.example",
    "HEADWATER_JWT_AUDIENCE": "headwater",
}
SERVERS = {"kafka", "postgres", "registry"}

Services = dict[str, dict[str, Any]]
Resolve = Callable[[Mapping[str, str]], Services]


class Refused(Exception):
    """What compose-go says about a file that it does not take."""


@pytest.fixture
def resolve(compose_check: Path) -> Resolve:
    return lambda environment: resolved(compose_check, COMPOSE, environment)


def resolved(program: Path, file: Path, environment: Mapping[str, str]) -> Services:
    """Return the services as `docker compose` would see them, `environment` being all there is. Raise `Refused`."""
    ran = subprocess.run([program, file], env=environment, capture_output=True, text=True, check=False, timeout=60)
    if ran.returncode:
        raise Refused(ran.stderr)
    services: Services = json.loads(ran.stdout)
    return services


def environment_of(service: Mapping[str, Any]) -> dict[str, str]:
    """Return what the service's process sees: the image's variables and the service's, less those that are not set."""
    image = dict(word.split("=", 1) for line in values("ENV", stages()[-1]) for word in shlex.split(line))
    return image | {name: value for name, value in service["environment"].items() if value is not None}


def stages() -> list[list[tuple[str, str]]]:
    """Return the Dockerfile's instructions and their arguments, a list for each stage."""
    text = re.sub(r"^\s*#.*\n", "", DOCKERFILE.read_text(encoding="utf-8"), flags=re.MULTILINE)
    lines = (line.split(maxsplit=1) for line in re.sub(r"\s*\\\n\s*", " ", text).splitlines() if line.strip())
    found: list[list[tuple[str, str]]] = []
    for instruction, arguments in lines:
        if instruction == "FROM":
            found.append([])
        found[-1].append((instruction, arguments))
    return found


def values(instruction: str, stage: list[tuple[str, str]]) -> list[str]:
    return [arguments for name, arguments in stage if name == instruction]


@pytest.mark.connected
@pytest.mark.parametrize("environment", [DEVELOPMENT, PRODUCTION], ids=["development", "production"])
def test_the_compose_file_loads(resolve: Resolve, environment: dict[str, str]) -> None:
    assert SERVERS | {"prepare"} < resolve(environment).keys()


@pytest.mark.connected
@pytest.mark.parametrize("missing", DEVELOPMENT)
def test_a_missing_variable_is_named(resolve: Resolve, missing: str) -> None:
    with pytest.raises(Refused, match=f"required variable {missing} is missing.* in .env"):
        resolve({name: value for name, value in DEVELOPMENT.items() if name != missing})


@pytest.mark.connected
@pytest.mark.parametrize(
    ("part", "replacement", "reason"),
    [
        ("postgres: {condition", "postgress: {condition", 'depends on undefined service "postgress"'),
        ("  kafka:\n    <<: *confined", "  kafka:\n    <<: *confined\n    depends_on: [web]", "dependency cycle"),
        ("  documents:\n  kafka:\n", "  documents:\n", "refers to undefined volume kafka"),
        ("stop_grace_period: 30s", "stop_grace: 30s", "stop_grace"),
        ("service_healthy", "service_well", "condition"),
    ],
)
def test_a_broken_compose_file_is_refused(
    compose_check: Path, tmp_path: Path, part: str, replacement: str, reason: str
) -> None:
    text = COMPOSE.read_text(encoding="utf-8")
    assert part in text
    broken = tmp_path / COMPOSE.name
    broken.write_text(text.replace(part, replacement), encoding="utf-8")

    with pytest.raises(Refused, match=reason):
        resolved(compose_check, broken, DEVELOPMENT)


@pytest.mark.connected
def test_every_role_has_its_service_and_no_other(resolve: Resolve) -> None:
    command = (sys.executable, "-m", "headwater", "roles", "--json")
    roles = [role["name"] for role in json.loads(subprocess.check_output(command, cwd=ROOT, timeout=60))]

    services = resolve(DEVELOPMENT)

    running = {name: service["command"] for name, service in services.items() if name not in {*SERVERS, "prepare"}}
    assert running == {role.replace(".", "-"): ["run", role] for role in roles}
    assert services["prepare"]["command"] == ["prepare"]


@pytest.mark.connected
def test_roles_start_after_what_they_need(resolve: Resolve) -> None:
    services = resolve(DEVELOPMENT)

    waits = {
        name: {needed: how["condition"] for needed, how in service.get("depends_on", {}).items()}
        for name, service in services.items()
    }
    servers = dict.fromkeys(SERVERS, "service_healthy")
    roles = servers | {"prepare": "service_completed_successfully"}
    others = {"kafka": {}, "postgres": {}, "registry": {"postgres": "service_healthy"}, "prepare": servers}
    assert waits == dict.fromkeys(services, roles) | others


@pytest.mark.connected
def test_every_service_is_confined(resolve: Resolve) -> None:
    for name, service in resolve(DEVELOPMENT).items():
        assert service["read_only"], name
        assert service["cap_drop"] == ["ALL"], name
        assert "cap_add" not in service, name
        assert service["security_opt"] == ["no-new-privileges:true"], name
        assert service["restart"] == ("on-failure:5" if name == "prepare" else "unless-stopped"), name
        assert service["healthcheck"], name
        assert {"cpus", "memory", "pids"} <= service["deploy"]["resources"]["limits"].keys(), name
        assert re.search(r":[0-9][0-9.]*$|^headwater:", service["image"]), name


@pytest.mark.connected
def test_only_the_open_roles_are_published_to_other_machines(resolve: Resolve) -> None:
    ports = {
        name: [(port["published"], port["target"], port.get("host_ip", "")) for port in service.get("ports", ())]
        for name, service in resolve(DEVELOPMENT).items()
    }

    assert ports["web"] == [("8080", 8080, "")]
    assert ports["realtime-delivery"] == [("8081", 8080, "")]
    assert {name for name, published in ports.items() if published} == {"web", "realtime-delivery"} | SERVERS
    assert {address for name in SERVERS for _, _, address in ports[name]} == {"127.0.0.1"}


@pytest.mark.connected
def test_the_broker_has_the_settings_of_the_local_one(resolve: Resolve) -> None:
    lines = (line.split("=", 1) for line in PROFILE.splitlines() if line and not line.startswith("#"))
    # How the image turns variables into settings: docker/examples/README.md in Kafka's repository.
    profile = {"KAFKA_" + name.upper().replace(".", "_"): value for name, value in lines}

    environment = resolve(DEVELOPMENT)["kafka"]["environment"]

    assert {name: environment.get(name) for name in profile} == profile


@pytest.mark.connected
@pytest.mark.parametrize("environment", [DEVELOPMENT, PRODUCTION], ids=["development", "production"])
def test_every_role_is_given_usable_settings(resolve: Resolve, environment: dict[str, str]) -> None:
    services = resolve(environment)
    for name in services.keys() - SERVERS:
        settings = load(environment_of(services[name]))

        assert settings.mode == environment.get("HEADWATER_MODE", "development")
        assert (settings.host, settings.port) == ("0.0.0.0", 8080)  # noqa: S104
        assert settings.kafka_bootstrap_servers
        assert settings.database_url
        assert settings.schema_registry_url
        with pytest.raises(SettingsError):
            load(environment_of(services[name]) | {"HEADWATER_KAFKA_SERVERS": "kafka:9092"})


@pytest.mark.connected
def test_every_setting_is_passed_on_or_left_out_on_purpose(resolve: Resolve) -> None:
    left_out = (
        "home",
        "host",
        "port",
        "local_.*",
        "messaging_history.*",
        "topic_replication",
        "database_urls",
        "upstreams",
        "oidc_providers",
        "crash_at",
    )
    servers_have_none = (
        "kafka_(security|sasl|ssl).*",
        "database_ssl.*",
        "schema_registry_(username|password|ca_file)",
        "redis_ssl.*",
    )
    settings = {
        name for name in Settings.model_fields if not re.fullmatch("|".join(left_out + servers_have_none), name)
    }

    given = resolve(DEVELOPMENT)["web"]["environment"]

    given = {name: value for name, value in given.items() if not name.startswith("AWS_")}  # of the bucket's client
    assert given.pop("HEADWATER_UPSTREAM_REALTIME") == "http://realtime-delivery:8080"
    assert {name.removeprefix(PREFIX).lower() for name in given} == settings


def hadolint(file: Path) -> list[str]:
    """Return the rules that the Dockerfile breaks."""
    command = (HADOLINT, "--format", "json", file)
    ran = subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)
    found = [str(finding["code"]) for finding in json.loads(ran.stdout)]
    assert bool(found) == bool(ran.returncode), ran.stderr
    return found


def test_hadolint_has_nothing_to_say() -> None:
    assert hadolint(DOCKERFILE) == []


@pytest.mark.parametrize(
    ("part", "replacement", "rule"),
    [
        ("FROM python:3.11-slim-bookworm AS runtime", "FROM python:latest AS runtime", "DL3007"),
        ("FROM python:3.11-slim-bookworm AS runtime", "FROM python AS runtime", "DL3006"),
        ('CMD ["run", "web", "realtime.delivery"]', "CMD run web realtime.delivery", "DL3025"),
        ("HEALTHCHECK --interval", "HEALTHCHECKS --interval", "DL1000"),
        ("--from=builder", "--from=bilder", "DL3022"),
        ("USER 1001:1001", "USER root", "DL3002"),
    ],
)
def test_hadolint_finds_what_is_wrong(tmp_path: Path, part: str, replacement: str, rule: str) -> None:
    text = DOCKERFILE.read_text(encoding="utf-8")
    assert part in text
    broken = tmp_path / DOCKERFILE.name
    broken.write_text(text.replace(part, replacement), encoding="utf-8")

    assert rule in hadolint(broken)


def test_the_image_is_made_in_stages_and_runs_as_an_ordinary_user() -> None:
    builder, runtime = stages()

    assert values("FROM", builder) == ["python:3.11-slim-bookworm AS builder"]
    assert values("FROM", runtime) == ["python:3.11-slim-bookworm AS runtime"]
    assert values("COPY", runtime) == ["--from=builder /opt/headwater /opt/headwater"]
    assert values("USER", runtime) == ["1001:1001"]
    assert values("ENTRYPOINT", runtime) == ['["headwater"]']
    assert values("CMD", runtime) == ['["run", "web", "realtime.delivery"]']


def test_the_image_holds_every_package_of_the_wheel() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    packages = project["tool"]["hatch"]["build"]["targets"]["wheel"]["packages"]
    allowed = (ROOT / ".dockerignore").read_text(encoding="utf-8").splitlines()

    builder, _ = stages()

    copied = {name for line in values("COPY", builder) for name in line.split()[:-1]}
    assert copied == {*packages, "pyproject.toml", "uv.lock", "README.md", "LICENSE"}
    assert {line.removeprefix("!") for line in allowed if line.startswith("!")} == copied
    assert "*" in allowed


@contextmanager
def answering(status: HTTPStatus) -> Iterator[int]:
    """Serve `/health/live` with that status; yield the port."""

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(status if self.path == "/health/live" else HTTPStatus.NOT_FOUND)
            self.end_headers()

        def log_message(self, *_: object) -> None:
            """Say nothing."""

    with http.server.HTTPServer(("127.0.0.1", 0), Handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield server.server_port
        server.shutdown()


def test_the_image_asks_itself_whether_it_lives() -> None:
    (check,) = values("HEALTHCHECK", stages()[-1])
    options, _, command = check.partition(" CMD ")
    python, *arguments = json.loads(command)

    def exit_code(port: int) -> int:
        ran = subprocess.run(
            [sys.executable, *arguments],
            env={"HEADWATER_PORT": str(port)},
            capture_output=True,
            check=False,
            timeout=10,
        )
        return ran.returncode

    assert options == "--interval=30s --timeout=3s --start-period=5s --retries=3"
    assert python == "python"
    with answering(HTTPStatus.OK) as port:
        assert exit_code(port) == 0
    assert exit_code(port) == 1
    with answering(HTTPStatus.SERVICE_UNAVAILABLE) as port:
        assert exit_code(port) == 1
