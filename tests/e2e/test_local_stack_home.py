"""The home directory of a local stack and what the commands say about the processes in it."""

import json
import os
import signal
from pathlib import Path

import pytest

from tests.machine import NO_NETWORK, Machine, eventually, refused

pytestmark = pytest.mark.connected


def test_a_home_of_an_older_version_is_closed(machine: Machine) -> None:
    for name in ("kafka", "logs"):
        (machine.home.directory / name).mkdir(parents=True)
    machine.home.directory.chmod(0o755)

    machine.up(**machine.elsewhere)

    assert not any(rights_of_others(path) for path in machine.home.directory.iterdir())


def test_an_up_that_fails_leaves_no_home_behind(machine: Machine) -> None:
    with machine.busy_port():
        refused(machine.run("up", **machine.elsewhere), "is taken")
        assert not machine.home.directory.exists()

        machine.home.directory.mkdir()
        refused(machine.run("up", **machine.elsewhere), "is taken")
        assert machine.home.directory.exists()


@pytest.mark.parametrize("options", [(), ("--detach",)], ids=["here", "detached"])
def test_a_first_up_that_cannot_download_leaves_nothing_behind(machine: Machine, options: tuple[str, ...]) -> None:
    offline = {"XDG_CACHE_HOME": str(machine.directory / "cache"), **NO_NETWORK}

    answer = machine.run("up", *options, **offline)
    assert answer.returncode == 1
    assert answer.stderr.splitlines()[-1].startswith("headwater: cannot download")
    assert not [line for line in answer.stdout.splitlines() if not line.strip()]
    assert not machine.home.directory.exists()

    machine.home.directory.mkdir()
    assert machine.run("up", *options, **offline).returncode == 1
    assert not list(machine.home.directory.iterdir())


def test_a_later_up_that_cannot_download_keeps_what_there_is(machine: Machine) -> None:
    machine.up(**machine.elsewhere)
    assert machine.run("down").returncode == 0
    secret = machine.stack.secret_key

    refused(machine.run("up", XDG_CACHE_HOME=str(machine.directory / "cache"), **NO_NETWORK), "cannot download")
    assert machine.stack.secret_key == secret


def test_reset_of_what_is_not_there_makes_nothing(machine: Machine) -> None:
    assert machine.run("reset", "--yes").returncode == 0
    assert not machine.home.directory.exists()


def test_status_says_ready_only_while_every_process_answers(machine: Machine) -> None:
    machine.up(**machine.elsewhere)
    web = machine.process("web").pid
    assert _status(machine)["ready"] is True

    os.kill(web, signal.SIGSTOP)
    report = _status(machine)
    assert report["up"] is True
    assert report["ready"] is False

    os.kill(web, signal.SIGKILL)
    eventually(lambda: _status(machine)["ready"] is True, "ready again")
    assert machine.process("web").pid != web


def test_after_down_the_supervisor_is_gone(machine: Machine) -> None:
    assert machine.run("up", "--detach", **machine.elsewhere).returncode == 0
    supervisor = machine.stack.supervisor

    assert machine.run("down").returncode == 0
    assert supervisor
    assert not supervisor.is_running


def test_old_schemas_in_a_local_registry_advise_a_reset(machine: Machine) -> None:
    configured = machine.elsewhere | {"STUB_PREPARE": "reject"}
    refused(machine.run("up", **configured), "HEADWATER_SCHEMA_REGISTRY_URL: the registry refuses a schema")

    del configured["HEADWATER_SCHEMA_REGISTRY_URL"]
    refused(machine.run("up", **configured), str(machine.home.directory), "`headwater reset` deletes it")


def _status(machine: Machine) -> dict[str, object]:
    report: dict[str, object] = json.loads(machine.run("status", "--json").stdout)
    return report


def rights_of_others(path: Path) -> int:
    return path.stat().st_mode & 0o077
