"""What the commands of the local stack print."""

import os
import shlex
import sys
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from urllib.parse import urlsplit

from rich.table import Table
from rich.text import Text

from headwater.addresses import without_password
from headwater.layout import is_open
from headwater.settings import PREFIX
from infra.local.doctor import Check
from infra.local.state import Process, Stack

ALICE = "00000000-0000-4000-8000-0000000a11ce"
BOB = "00000000-0000-4000-8000-000000000b0b"
CLIENT_ID = "00000000-0000-4000-8000-000000000001"


def addresses(stack: Stack, logs: Path) -> Table:
    """Return the table of addresses, the public one first, without any password."""
    table = Table(title="Headwater is up", title_justify="left", show_header=False)
    for what, address in _addresses(stack, logs):
        table.add_row(what, Text(address, overflow="fold"))
    return table


def first_message(stack: Stack, command: str) -> str:
    """Return two lines for a POSIX shell that send one message from Alice to Bob."""
    body = f'{{"client_id":"{CLIENT_ID}","participants":["{ALICE}","{BOB}"],"body":"Hello"}}'
    return (
        f"TOKEN=$({command} token {ALICE})\n"
        f'curl -X POST {stack.url}/api/v1/messages -H "Authorization: Bearer $TOKEN" '
        f"-H 'content-type: application/json' -d '{body}'"
    )


def own_command(arguments: Sequence[str], environ: Mapping[str, str]) -> str:
    """Return how another terminal in this directory calls us, `HEADWATER_HOME` included if it was set."""
    script = Path(arguments[0])
    called = [str(_nearest(script))] if script.name == "headwater" else [sys.executable, "-m", "headwater"]
    home = environ.get(f"{PREFIX}HOME")
    prefix = f"{PREFIX}HOME={shlex.quote(home)} " if home else ""
    return prefix + shlex.join(called)


def processes(stack: Stack, ready: Mapping[str, bool]) -> Table:
    """Return the table of `headwater status`; `ready` says which role processes answer."""
    table = Table("process", "state", "pid", "port", "roles")
    for process in stack.processes:
        port = str(process.port) if process.port else ""
        table.add_row(process.name, _state(process, ready), str(process.pid), port, " ".join(process.roles))
    return table


def as_json(stack: Stack | None, ready: Mapping[str, bool]) -> dict[str, object]:
    """Return what `headwater status --json` prints, without secrets."""
    if stack is None or stack.supervisor is None:
        return {"up": False}
    return {
        "up": True,
        "ready": stack.is_ready and all(_state(one, ready) == "ready" for one in stack.processes),
        "pid": stack.supervisor.pid,
        "url": stack.url,
        "kafka_bootstrap_servers": stack.kafka_bootstrap_servers,
        "database_url": without_password(stack.database_url or ""),
        "schema_registry_url": without_password(stack.schema_registry_url or ""),
        "processes": [
            {"name": one.name, "pid": one.pid, "port": one.port, "roles": list(one.roles), "state": _state(one, ready)}
            for one in stack.processes
        ],
    }


def checks(found: Iterable[Check]) -> Table:
    """Return the table of `headwater doctor`."""
    table = Table("", "check", "result")
    for check in found:
        table.add_row("[green]ok[/]" if check.ok else "[red]no[/]", check.name, Text(check.text, overflow="fold"))
    return table


def _addresses(stack: Stack, logs: Path) -> Iterable[tuple[str, str]]:
    yield "public", stack.url or ""
    yield "API documentation", f"{stack.url}/docs"
    host = urlsplit(stack.url or "").hostname
    for process in stack.processes:
        address = f"http://{host}:{process.port}"
        if is_open(process.roles) and address != stack.url:
            yield process.name, address
    yield "schema registry", without_password(stack.schema_registry_url or "")
    yield "Kafka", stack.kafka_bootstrap_servers or ""
    yield "database", without_password(stack.database_url or "")
    yield "logs", str(logs)


def _state(process: Process, ready: Mapping[str, bool]) -> str:
    if not process.is_running:
        return "down"
    return "ready" if ready.get(process.name, True) else "starting"


def _nearest(script: Path) -> Path:
    absolute = Path(os.path.abspath(script))  # noqa: PTH100 -- links are kept: they are how people call it
    return absolute.relative_to(Path.cwd()) if absolute.is_relative_to(Path.cwd()) else absolute
