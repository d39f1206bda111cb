"""The README from a clean clone: its first command, its first message, and the end of it."""

import json
import os
import re
import shutil
import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from infra.local.ports import free_port
from infra.local.state import Home
from tests.e2e.conftest import ROOT

pytestmark = pytest.mark.connected

README = (ROOT / "README.md").read_text()
START_S = 240


def block(after: str) -> str:
    """Return the code block behind a marker."""
    found = re.search(re.escape(after) + r".*?```(?:bash|console)\n(.*?)```", README, re.DOTALL)
    assert found, after
    return found[1]


def documents(printed: str) -> Iterator[Any]:
    """Yield the JSON documents that were printed one behind the other."""
    rest = printed.lstrip()
    while rest:
        document, end = json.JSONDecoder().raw_decode(rest)
        yield document
        rest = rest[end:].lstrip()


@pytest.fixture(scope="module")
def clone(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What git has, and nothing else."""
    target = tmp_path_factory.mktemp("clone")
    listed = subprocess.run(
        ("git", "ls-files", "--cached", "--others", "--exclude-standard", "-z"),
        cwd=ROOT,
        capture_output=True,
        check=True,
    ).stdout
    for name in filter(None, listed.decode().split("\0")):
        if (ROOT / name).is_file():
            (target / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(ROOT / name, target / name)
    return target


@pytest.fixture(scope="module")
def port() -> int:
    return free_port()


@pytest.fixture(scope="module")
def environment(port: int) -> dict[str, str]:
    """A person's environment, with ports that nobody else uses."""
    clean = {
        name: value
        for name, value in os.environ.items()
        if not name.startswith(("HEADWATER_", "VIRTUAL_ENV", "UV_", "COVERAGE_"))
    }
    local = {f"HEADWATER_LOCAL_{name}_PORT": "0" for name in ("KAFKA", "DATABASE", "REGISTRY")}
    return clean | local | {"HEADWATER_PORT": str(port)}


@pytest.fixture(scope="module")
def printed(clone: Path, environment: dict[str, str]) -> Iterator[list[str]]:
    """What `make up` prints until it is ready; Ctrl-C ends it in the end."""
    assert block("downloads Kafka").strip() == "make up"
    process = subprocess.Popen(
        ("make", "up"),
        cwd=clone,
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
    )
    assert process.stdout
    lines: list[str] = []
    for line in process.stdout:
        lines.append(line)
        if line.startswith("curl "):
            break
    else:
        raise AssertionError("".join(lines))
    yield lines
    os.killpg(process.pid, signal.SIGINT)  # as a terminal does for Ctrl-C
    rest = process.stdout.read()  # to the end: the last process that could write has ended
    process.stdout.close()
    assert process.wait(60) in (0, 2, -signal.SIGINT), rest  # that is make's own way to end
    assert not Home(clone / ".headwater").is_locked()
    subprocess.run((".venv/bin/headwater", "reset", "--yes"), cwd=clone, env=environment, check=True, timeout=60)


def test_the_first_message_goes_its_way(
    clone: Path, environment: dict[str, str], port: int, printed: list[str]
) -> None:
    script = block("first message: run by").replace("127.0.0.1:8080", f"127.0.0.1:{port}")

    done = subprocess.run(
        ("bash", "-euo", "pipefail", "-c", script),
        cwd=clone,
        env=environment,
        capture_output=True,
        text=True,
        timeout=START_S,
        check=False,
    )

    assert done.returncode == 0, done.stdout + done.stderr
    sent, conversations, notifications, tail = documents(done.stdout)
    assert sent["status"] == "stored"
    assert conversations["data"][0]["id"] == sent["conversation_id"]
    assert [each["preview"] for each in notifications["data"]] in ([], ["Hello"])  # its own group may be a moment later
    assert tail["data"]["body"] == "Hello"


def test_the_printed_lines_send_a_message_too(clone: Path, environment: dict[str, str], printed: list[str]) -> None:
    first, second = printed[-2:]
    assert first.startswith("TOKEN=")

    command = ("bash", "-euo", "pipefail", "-c", first + second)
    done = subprocess.run(
        command, cwd=clone, env=environment, capture_output=True, text=True, timeout=START_S, check=False
    )

    assert json.loads(done.stdout)["status"] == "accepted", done.stderr


@pytest.mark.parametrize(
    "command",
    [
        "status", "roles", "settings", "topics", "groups", "dlq list messaging.history", "audit verify",
        "rebuild messaging.history --dry-run", "replay --help", "audit export --help", "doctor --help", "logs --help",
        "run --help", "reset --help", "users grant --help",
    ],
)  # fmt: skip
def test_every_command_of_the_table_runs(
    clone: Path, environment: dict[str, str], printed: list[str], command: str
) -> None:
    assert f"`headwater {command.split(' ')[0]}" in README

    done = subprocess.run(
        (".venv/bin/headwater", *command.split()),
        cwd=clone,
        env=environment,
        capture_output=True,
        text=True,
        timeout=START_S,
        check=False,
    )

    assert done.returncode == 0, done.stdout + done.stderr


def test_the_commands_for_developers_are_the_makefiles() -> None:
    targets = set(re.findall(r"^([a-z]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))

    assert {"bench", "check", "crash", "test", "up"} <= targets
    assert "make test" in (ROOT / ".ci" / "run").read_text()


def test_the_readme_can_be_held() -> None:
    assert len(README.splitlines()) < 300
