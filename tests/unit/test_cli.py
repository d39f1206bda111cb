"""The command line, as far as it needs no server."""

import contextlib
import importlib
import json
import os
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from importlib.metadata import version
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

import pytest
import typer
from typer.testing import CliRunner, Result

from headwater import roles, settings_docs, web, wiring
from headwater.cli import COMMANDS, app, main
from headwater.token_cli import user_id
from infra.access_tokens import SharedKeyTokens

SECRET = "s3cr3t-" * 6
PRODUCTION = {
    "HEADWATER_MODE": "production",
    "HEADWATER_ACCOUNT_PAGES": "https://app.example",
    "HEADWATER_SECRET_KEY": SECRET,
    "HEADWATER_JWT_JWKS_URL": "https://id.example/keys",
    "HEADWATER_JWT_ISSUER": "https://id.example",
    "HEADWATER_JWT_AUDIENCE": "headwater",
    "HEADWATER_DOCUMENTS_DIRECTORY": "/srv/documents",
}


def commands(command: Any, path: tuple[str, ...] = ()) -> Iterator[tuple[tuple[str, ...], Any]]:
    """Yield every command and group with the words that call it."""
    yield path, command
    for name in command.list_commands(ANYWHERE) if hasattr(command, "commands") else ():
        yield from commands(command.get_command(ANYWHERE, name), (*path, name))


ANYWHERE: Any = None  # a context that says nothing
ALL = dict(commands(typer.main.get_command(app)))
LEAVES = [path for path, command in ALL.items() if not hasattr(command, "commands")]


@pytest.fixture(autouse=True)
def _nowhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """An empty directory and an environment without our variables."""
    monkeypatch.chdir(tmp_path)
    for variable in [name for name in os.environ if name.startswith("HEADWATER_")]:
        monkeypatch.delenv(variable)


def run(*words: str, **environ: str) -> Result:
    return CliRunner().invoke(app, list(words), env=environ)


@pytest.mark.parametrize("path", ALL, ids=" ".join)
def test_every_command_explains_itself(path: tuple[str, ...]) -> None:
    result = run(*path, "--help")

    assert result.exit_code == 0
    assert (ALL[path].help or "").strip()
    assert "Usage:" in result.stdout


@pytest.mark.parametrize("path", LEAVES, ids=" ".join)
def test_every_option_and_argument_says_what_it_is_for(path: tuple[str, ...]) -> None:
    silent = [each.name for each in ALL[path].params if not getattr(each, "help", None)]

    assert silent == []


@pytest.mark.parametrize(
    ("command", "heavy"),
    [
        ("status", ("fastapi", "sqlalchemy", "alembic", "aiokafka", "bounded_contexts")),
        ("convert", ("asyncio", "pydantic", "httpx", "cryptography", "confluent_kafka")),
        ("render", ("asyncio", "pydantic", "httpx", "cryptography", "confluent_kafka")),
    ],
)
def test_no_command_waits_for_what_only_others_need(command: str, heavy: tuple[str, ...]) -> None:
    asked = f"""import sys
from headwater.cli import Commands
Commands().get_command(None, {command!r})
print(sorted(set(sys.modules) & set({heavy})))"""

    done = subprocess.run((sys.executable, "-c", asked), capture_output=True, text=True, check=True)

    assert done.stdout == "[]\n"


def test_without_a_command_the_commands_are_listed() -> None:
    result = run()

    assert all((path[0] in result.output) != command.hidden for path, command in ALL.items() if len(path) == 1)


@pytest.mark.parametrize(
    ("command", "source", "target", "others"),
    [
        ("convert", "a\n1\n", "out.xlsx", {"lxml", "ryml", "backports", "http", "asyncio"}),
        (
            "render",
            '{"version": "1.0", "body": [{"type": "paragraph", "text": "a"}]}',
            "out.pdf",
            {"typst", "xlsxwriter", "svglib", "lxml", "pypdfium2", "pypdf", "segno", "http", "asyncio"},
        ),
    ],
)
def test_a_document_waits_for_no_code_of_others(
    command: str, source: str, target: str, others: set[str], tmp_path: Path
) -> None:
    given = tmp_path / ("in.csv" if command == "convert" else "in.json")
    given.write_text(source)
    asked = f"""import contextlib, sys
from headwater.cli import main
with contextlib.suppress(SystemExit):
    main()
print(sorted(set(sys.modules) & {others}))"""
    words = (command, str(given), str(tmp_path / target))

    done = subprocess.run((sys.executable, "-c", asked, *words), capture_output=True, text=True, check=True)

    assert done.stdout == "[]\n"
    assert (tmp_path / target).exists()


def test_every_command_of_a_module_is_on_the_command_line() -> None:
    stack = typer.main.get_group(importlib.import_module("headwater.stack_cli").stack)

    assert set(stack.commands) == {name for name, where in COMMANDS.items() if where == "stack_cli:stack"}


def test_the_version_is_that_of_the_package() -> None:
    assert run("--version").stdout.strip() == f"headwater {version('headwater')}"


def test_an_unknown_command_is_an_error() -> None:
    assert run("fly").exit_code == 2


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("fly",), "No such command 'fly' (`headwater --help` says more)"),
        (("token",), "Missing argument 'user' (`headwater token --help` says more)"),
        (("run", "web", "--port", "x"), "Invalid value for '--port': "),
        (("schemas", "check", "--fast"), "No such option"),
    ],
)
def test_what_was_typed_wrong_is_told_in_one_line(
    words: tuple[str, ...], said: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sys, "argv", ["headwater", *words])

    with pytest.raises(SystemExit) as ended:
        main()

    assert ended.value.code == 2
    out, err = capsys.readouterr()
    (line,) = err.splitlines()
    assert out == ""
    assert line.startswith(f"headwater: {said}")


@pytest.mark.parametrize(("words", "code"), [(("user", "ann"), 0), (("status",), 1), (("user", ""), 1), ((), 2)])
def test_the_exit_code_tells_success_from_failure(
    words: tuple[str, ...], code: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "argv", ["headwater", *words])

    with pytest.raises(SystemExit) as ended:
        main()

    assert (ended.value.code or 0) == code


class TestRoles:
    def test_they_are_listed_for_scripts(self) -> None:
        rows = json.loads(run("roles", "--json").stdout)

        assert tuple(row["name"] for row in rows) == wiring.all_roles()
        assert all(row["does"] for row in rows)
        assert len({row["does"] for row in rows}) == len(rows)

    def test_they_are_listed_for_people(self) -> None:
        listed = run("roles").stdout

        assert all(role in listed for role in wiring.all_roles())

    def test_an_unknown_role_does_not_run(self) -> None:
        result = run("run", "web", "fly")

        assert result.exit_code == 1
        assert result.stderr.strip() == "headwater: no role fly; `headwater roles` lists them"

    @pytest.mark.parametrize("by_option", [True, False])
    def test_a_busy_port_is_told_in_one_line_with_its_holder(self, by_option: bool) -> None:
        with socket.create_server(("127.0.0.1", 0)) as holder:
            port = str(holder.getsockname()[1])
            result = run("run", "web", "--port", port) if by_option else run("run", "web", HEADWATER_PORT=port)

        assert result.exit_code == 1
        (line,) = result.stderr.splitlines()
        assert line.startswith(f"headwater: port {port} for this process is taken")
        assert all(word in line for word in (f"pid {os.getpid()}", "--port", "HEADWATER_PORT"))

    def test_a_role_named_twice_runs_once(self, monkeypatch: pytest.MonkeyPatch) -> None:
        started: list[tuple[str, ...]] = []
        monkeypatch.setattr(roles, "run", lambda _, names: started.append(names))

        assert run("run", "web", "relay", "web", "--port", "0").exit_code == 0
        assert started == [("web", "relay")]


class TestTokens:
    async def test_a_token_speaks_for_the_named_user_with_the_named_roles(self) -> None:
        result = run("token", "ann", "--role", "moderator", "--role", "admin", HEADWATER_JWT_HS256_SECRET=SECRET)

        assert result.exit_code == 0
        assert len(result.stdout.splitlines()) == 1
        user = await SharedKeyTokens(SECRET).verify(result.stdout.strip())
        assert (user.id, user.roles) == (user_id("ann"), frozenset(("moderator", "admin")))

    def test_a_name_is_always_the_same_user(self) -> None:
        first, second, other = (run("user", name).stdout.strip() for name in ("ann", "ann", "bob"))

        assert UUID(first) == UUID(second) != UUID(other)

    def test_a_uuid_is_itself(self) -> None:
        id_ = uuid4()

        assert run("user", str(id_)).stdout.strip() == str(id_)

    @pytest.mark.parametrize("command", ["token", "user"])
    @pytest.mark.parametrize("name", ["", " "])
    def test_nobody_is_no_user(self, command: str, name: str) -> None:
        result = run(command, name, HEADWATER_JWT_HS256_SECRET=SECRET)

        assert (result.exit_code, result.stdout) == (1, "")
        (line,) = result.stderr.splitlines()
        assert line.startswith("headwater: the user is empty: give a UUID, or any name")

    def test_production_gives_none_out(self) -> None:
        result = run("token", "ann", **PRODUCTION)

        assert result.exit_code == 1
        assert result.stdout == ""
        assert "`headwater token` is for development" in result.stderr

    def test_without_a_key_there_is_no_token(self) -> None:
        result = run("token", "ann")

        assert result.exit_code == 1
        assert "HEADWATER_JWT_HS256_SECRET" in result.stderr

    @pytest.mark.parametrize("hours", ["0", "-1", "100000", "x"])
    def test_a_lifetime_out_of_bounds_is_refused(self, hours: str) -> None:
        assert run("token", "ann", "--hours", hours, HEADWATER_JWT_HS256_SECRET=SECRET).exit_code == 2


class TestSettings:
    def test_they_are_listed_for_scripts(self) -> None:
        assert json.loads(run("settings", "--json").stdout) == settings_docs.table()

    def test_they_are_listed_for_people(self) -> None:
        listed = run("settings").stdout.split()

        assert {row["variable"] for row in settings_docs.table()} <= set(listed)

    def test_they_are_listed_even_where_the_environment_is_wrong(self) -> None:
        assert run("settings", HEADWATER_PROT="1").exit_code == 0


class TestWrongEnvironment:
    @pytest.mark.parametrize(
        "words", [("token", "ann"), ("run", "web"), ("migrate",), ("topics",), ("prepare",), ("status",)], ids=" ".join
    )
    def test_an_unknown_variable_is_told_in_one_line(self, words: tuple[str, ...]) -> None:
        result = run(*words, HEADWATER_PROT="1")

        assert result.exit_code == 1
        assert result.stdout == ""
        (line,) = result.stderr.splitlines()
        assert line.startswith("headwater: unknown variable HEADWATER_PROT;")

    @pytest.mark.parametrize("path", ["[/etc/x]", "[red]", "[link=x]y"])
    def test_brackets_in_an_error_are_just_brackets(self, path: str) -> None:
        result = run("token", "ann", HEADWATER_SECRET_KEY_FILE=path)

        assert result.exit_code == 1
        assert f"cannot read {path}:" in result.stderr

    @pytest.mark.parametrize("words", [("migrate",), ("topics",), ("schemas", "register")], ids=" ".join)
    def test_what_needs_servers_says_which_variable_is_missing(self, words: tuple[str, ...]) -> None:
        result = run(*words)

        assert result.exit_code == 1
        (line,) = result.stderr.splitlines()
        assert line.startswith("headwater: set HEADWATER_")
        assert "headwater up" in line


class TestDocuments:
    def test_asyncapi_is_printed_as_json(self) -> None:
        assert json.loads(run("asyncapi").stdout) == json.loads(json.dumps(web.asyncapi()))

    def test_openapi_is_printed_as_json_with_the_routes(self) -> None:
        document = json.loads(run("openapi").stdout)

        assert document["openapi"].startswith("3.")
        assert "/api/v1/messages" in document["paths"]

    def test_the_schemas_are_checked(self) -> None:
        result = run("schemas", "check")

        assert (result.exit_code, result.stdout.strip()) == (0, "schemas are fine")


@pytest.mark.parametrize("option", ["--from", "--to"])
def test_a_time_beyond_the_calendar_is_told_in_one_line(option: str, tmp_path: Path) -> None:
    answer = run("audit", "export", "messages", "--out", str(tmp_path / "out"), option, "0001-01-01")

    assert (answer.exit_code, answer.stderr.count("\n")) == (1, 1)
    assert "invalid_time" in answer.stderr


def test_a_database_that_hangs_up_is_told_with_variable_and_address() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        address = f"127.0.0.1:{server.getsockname()[1]}"
        url = f"postgresql://ann:hunter2@{address}/headwater"
        threading.Thread(target=_hang_up, args=(server,), daemon=True).start()
        result = run("migrate", HEADWATER_DATABASE_URL=url, HEADWATER_SECRET_KEY=SECRET)
        server.shutdown(socket.SHUT_RDWR)

    assert result.exit_code == 1
    (line,) = result.stderr.splitlines()
    assert line.startswith("headwater: database_unavailable: ")
    assert f"HEADWATER_DATABASE_URL (postgresql://ann@{address}/headwater)" in line


def _hang_up(server: socket.socket) -> None:
    with contextlib.suppress(OSError):
        while True:
            server.accept()[0].close()
