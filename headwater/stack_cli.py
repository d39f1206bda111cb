"""The commands of the local stack: up, down, status, logs, doctor, reset."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Annotated, BinaryIO

import typer
from rich.console import Console
from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TransferSpeedColumn

from headwater import configured, stack_report, supervisor
from headwater.environment import load
from headwater.layout import layout, parse_scale
from headwater.settings import PREFIX, Settings, SettingsError
from infra.local import logs as log_files
from infra.local import private
from infra.local.artifacts import Part
from infra.local.doctor import WantedPort, clash, examine
from infra.local.errors import StackError
from infra.local.processes import TAIL, Interrupted
from infra.local.state import Home, Stack

DOWN_S = 90.0  # longer than the patience of all children in a row
POLL_S = 0.1

stack = typer.Typer(help="The local stack: servers and processes on this machine.", no_args_is_help=True)
console = Console(highlight=False)
errors = Console(stderr=True, highlight=False)

Json = Annotated[bool, typer.Option("--json", help="Print JSON for scripts.")]


@stack.command()
def up(
    scale: Annotated[
        list[str] | None,
        typer.Option(metavar="ROLE=N", help="Run ROLE in N processes of its own. May be repeated."),
    ] = None,
    reload: Annotated[
        bool, typer.Option("--reload", help="Start the roles again whenever the code changes, for development.")
    ] = False,
    detach: Annotated[
        bool, typer.Option("--detach", "-d", help="Return when all is ready, and leave it running.")
    ] = False,
) -> None:
    """Start the servers that are not configured and all roles, and stay until Ctrl-C or `headwater down`."""
    with _one_line_errors():
        settings = load()
        if both := clash(_ports(settings)):
            raise StackError(both)
        configured.require(settings)
        if detach:
            _up_detached(settings, scale or [])
        else:
            _up(settings, scale or [], reload=reload)


@stack.command()
def down() -> None:
    """Stop the stack of this directory and wait until nothing of it runs. Fine when nothing is up."""
    with _one_line_errors():
        home = Home(load().home)
        if home.is_locked():
            _end(home)
            console.print(f"stopped {home.directory}", soft_wrap=True)
        else:
            _forget(home)
            console.print(f"nothing is up in {home.directory}", soft_wrap=True)


@stack.command()
def status(as_json: Json = False) -> None:
    """Show what runs. Exit code 1 when nothing is up."""
    with _one_line_errors():
        settings = load()
        found = supervisor.running(settings)
        ready = _ready(found, settings.host) if found else {}
        if as_json:
            _print_json(stack_report.as_json(found, ready))
        elif found:
            console.print(stack_report.processes(found, ready), stack_report.addresses(found, settings.home / "logs"))
        else:
            console.print(f"nothing is up in {settings.home}", soft_wrap=True)
    if not found:
        raise typer.Exit(1)


@stack.command()
def logs(
    role: Annotated[
        str | None, typer.Argument(help="A process, a role or a server; all of them when left out.")
    ] = None,
    follow: Annotated[bool, typer.Option("--follow", "-f", help="Go on printing what is written.")] = False,
    lines: Annotated[int, typer.Option("--lines", "-n", min=0, help="Lines of each log to begin with.")] = 50,
) -> None:
    """Print the logs of the stack, also of one that is down."""
    with _one_line_errors(), suppress(KeyboardInterrupt):
        chosen = _logs_of(Home(load().home), role)
        for name, line in log_files.last(chosen, lines):
            _print_line(name, line, len(chosen))
        for name, line in log_files.follow(chosen) if follow else ():
            _print_line(name, line, len(chosen))


@stack.command()
def doctor(as_json: Json = False) -> None:
    """Check what `up` needs here, also of configured servers. Exit code 1 when something would make it fail."""
    with _one_line_errors():
        settings = load()
        local = _local_parts(settings)
        found = list(examine(Home(settings.home), _ports(settings), local, not settings.database_url))
        found += configured.examine(settings)
    if as_json:
        _print_json([{"check": check.name, "ok": check.ok, "text": check.text} for check in found])
    else:
        console.print(stack_report.checks(found))
    if not all(check.ok for check in found):
        raise typer.Exit(1)


@stack.command()
def reset(yes: Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")] = False) -> None:
    """Delete all data, logs and secrets of the stack in this directory, after asking."""
    with _one_line_errors():
        home = Home(load().home)
        with home.locked():
            if not yes:
                typer.confirm(
                    f"Delete all messages, events, schemas, logs and secrets in {home.directory}?", abort=True
                )
            home.empty()
        console.print(f"emptied {home.directory}", soft_wrap=True)


def _up(settings: Settings, scale: Sequence[str], *, reload: bool) -> None:
    # Imported here: the commands above have to work fast, and without every context.
    from headwater.wiring import all_roles, prepare

    processes = layout(all_roles(), parse_scale(scale))
    with _download_bar() as progress:
        supervisor.Supervisor(settings, processes, prepare, _say, reload=reload).run(
            lambda found: _announce(found, settings), progress
        )


def _up_detached(settings: Settings, scale: Sequence[str]) -> None:
    home = Home(settings.home)
    options = [part for option in scale for part in ("--scale", option)]
    with home.made(), open(home.log("supervisor"), "w+b", opener=private.opener) as output:
        child = subprocess.Popen(
            (*supervisor.PROGRAM, "up", *options),
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
        try:
            _announce(_await_ready(home, child, output), settings)
        except KeyboardInterrupt:
            child.terminate()
            child.wait()
            raise Interrupted from None


def _await_ready(home: Home, child: "subprocess.Popen[bytes]", output: BinaryIO) -> Stack:
    while child.poll() is None:
        found = home.read()
        if found and found.is_ready and found.supervisor and found.supervisor.pid == child.pid:
            return found
        time.sleep(POLL_S)
    output.seek(0)  # not by its name: a first start that fails leaves no file behind
    said = output.read().decode(errors="replace").splitlines()[-TAIL:]
    *before, reason = said or [f"up ended with exit code {child.returncode}"]
    if home.read() is None:
        home.log("supervisor").unlink(missing_ok=True)
    raise StackError(reason.removeprefix("headwater: "), "\n".join(before))


def _announce(found: Stack, settings: Settings) -> None:
    command = stack_report.own_command(sys.argv, os.environ)
    console.print(stack_report.addresses(found, settings.home.absolute() / "logs"))
    console.print("\nThe first message, from another terminal:\n")
    console.print(stack_report.first_message(found, command), soft_wrap=True, markup=False)
    console.print()


def _end(home: Home) -> None:
    end = time.monotonic() + DOWN_S
    found = home.read()
    running = found.supervisor if found and found.supervisor and found.supervisor.is_running else None
    if running:
        os.kill(running.pid, signal.SIGTERM)
    while home.is_locked() or (running and running.is_running):
        if time.monotonic() > end:
            pid = running.pid if running else "unknown"
            raise StackError(f"the supervisor (pid {pid}) does not stop: `kill -9` it and try again")
        time.sleep(POLL_S)


def _forget(home: Home) -> None:
    """Clean up after a supervisor that was killed."""
    found = home.read()
    if found and found.supervisor:
        with home.locked():
            home.end_leftovers(found)
            home.write(found.stopped())


def _ready(found: Stack, host: str) -> dict[str, bool]:
    served = [process for process in found.processes if process.port]
    return {
        process.name: supervisor.answers(supervisor.reached(process.roles, host), process.port or 0)
        for process in served
    }


def _logs_of(home: Home, role: str | None) -> dict[str, Path]:
    known = {log.stem: log for log in sorted((home.directory / "logs").glob("*.log"))}
    found = home.read()
    running = found.processes if found else ()
    names = [name for name in known if role in (None, name)]
    names = names or [process.name for process in running if role in process.roles and process.name in known]
    if not names:
        raise StackError(
            f"no log of {role}; there are: {', '.join(known)}" if known else f"no logs in {home.directory}"
        )
    return {name: known[name] for name in names}


def _local_parts(settings: Settings) -> list[Part]:
    parts: dict[Part, str | None] = {
        "kafka": settings.kafka_bootstrap_servers,
        "registry": settings.schema_registry_url,
    }
    return [part for part, configured in parts.items() if not configured]


def _ports(settings: Settings) -> list[WantedPort]:
    ports = [WantedPort(settings.port, "public", f"{PREFIX}PORT", settings.host)]
    parts = [*_local_parts(settings), *([] if settings.database_url else ["database"])]
    for part in parts:
        name = f"local_{part}_port"
        ports.append(WantedPort(getattr(settings, name), part, f"{PREFIX}{name.upper()}"))
    return ports


def _say(line: str) -> None:
    with suppress(OSError):  # the terminal may be gone, which is no reason to leave children behind
        console.print(line, soft_wrap=True, markup=False)


def _print_line(name: str, line: str, logs_shown: int) -> None:
    typer.echo(line if logs_shown == 1 else f"{name:<24} {line}")


def _print_json(value: object) -> None:
    typer.echo(json.dumps(value, indent=2))


@contextmanager
def _download_bar() -> Iterator[Callable[[int, int], None]]:
    columns = (TextColumn("downloading"), BarColumn(), DownloadColumn(), TransferSpeedColumn())
    bar = Progress(*columns, console=console, transient=True, disable=not console.is_terminal)
    task = bar.add_task("", total=None)

    def show(done: int, total: int) -> None:
        bar.start()
        bar.update(task, completed=done, total=total)
        if done >= total:
            bar.stop()

    try:
        yield show
    finally:
        bar.stop()


@contextmanager
def _one_line_errors() -> Iterator[None]:
    try:
        yield
    except Interrupted:
        raise typer.Exit(128 + signal.SIGINT) from None
    except (StackError, SettingsError) as error:
        if detail := getattr(error, "detail", ""):
            errors.print(detail, soft_wrap=True, markup=False)
        errors.print(f"headwater: {error}", soft_wrap=True, markup=False)
        raise typer.Exit(1) from None
