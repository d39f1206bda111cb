"""The command line. Every command says what it does with `--help`; `--json` where a script would read it.

Only the command that is called is read: the others would take a second and 50 MB. What needs the contexts is imported in the
commands that do: `headwater status` should not wait for FastAPI.
"""

import gc
import sys
from importlib import import_module
from typing import Annotated, Any, Final

import typer
from typer.core import TyperGroup
from typer.exceptions import TyperException

from headwater.console import out, tell

# Where each command is, in the order of the help.
COMMANDS: Final = {
    "convert": "convert_cli:convert",
    "render": "render_cli:render",
    "document-schema": "render_cli:document_schema",
    "template-variables": "render_cli:template_variables",
    "replay": "groups_cli:replay",
    "rebuild": "rebuild_cli:rebuild",
    "proxy-config": "proxy_cli:proxy_config",
    "payment-provider": "payments_cli:payment_provider",
    "run": "roles_cli:run",
    "nursery": "roles_cli:nursery",
    "roles": "roles_cli:roles",
    "prepare": "roles_cli:prepare",
    "migrate": "roles_cli:migrate",
    "topics": "roles_cli:topics",
    "token": "token_cli:token",
    "user": "token_cli:user",
    "settings": "descriptions_cli:settings_table",
    "asyncapi": "descriptions_cli:asyncapi",
    "openapi": "descriptions_cli:openapi",
    "graphql-schema": "descriptions_cli:schema",
    **dict.fromkeys(("up", "down", "status", "logs", "doctor", "reset"), "stack_cli:stack"),
    "schemas": "schemas_cli:schemas",
    "audit": "audit_cli:audit",
    "events": "events_cli:events",
    "relay": "events_cli:relay",
    "groups": "groups_cli:groups",
    "dlq": "groups_cli:dlq",
    "sagas": "sagas_cli:sagas",
    "users": "identity_cli:users",
    "keys": "identity_cli:keys",
}
COLLECT_AT: Final = 50_000  # objects: looking for garbage in the code that is read was a fifth of what a command took
HIDDEN: Final = frozenset({"nursery"})


class Commands(TyperGroup):
    """The commands, each read when it is asked for."""

    def __init__(self, **given: Any) -> None:
        super().__init__(**given)
        self.commands: dict[str, Any] = dict.fromkeys(COMMANDS)  # the names are known before the commands are

    def get_command(self, ctx: Any, cmd_name: str) -> Any:
        """Return the command, or group of commands, of this name; None for a name that there is none of."""
        if self.commands.get(cmd_name) is None and cmd_name in COMMANDS:
            self.commands[cmd_name] = _read(cmd_name)
        return self.commands.get(cmd_name)


def _read(name: str) -> Any:
    module, _, attribute = COMMANDS[name].partition(":")
    found = getattr(import_module(f"headwater.{module}"), attribute)
    if isinstance(found, typer.Typer):
        group = typer.main.get_group(found)
        group.name = name
        return group.commands.get(name, group)
    alone = typer.Typer(add_completion=False)
    alone.command(name, hidden=name in HIDDEN)(found)
    return typer.main.get_command(alone)


def _print_version(asked: bool) -> None:
    if asked:
        from importlib.metadata import version

        out.print(f"headwater {version('headwater')}")
        raise typer.Exit


app = typer.Typer(
    cls=Commands,
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    help="Headwater: an event-driven backend on Kafka.",
)


@app.callback()
def headwater(
    _version: Annotated[
        bool, typer.Option("--version", callback=_print_version, is_eager=True, help="Print the version and leave.")
    ] = False,
) -> None:
    """Take what stands before the command."""


def main() -> None:
    """Run the command line. What was typed wrong is told in one line, too, and with exit code 2."""
    gc.set_threshold(COLLECT_AT)
    try:
        sys.exit(app(prog_name="headwater", standalone_mode=False))
    except TyperException as error:
        if problem := " ".join(error.format_message().split()):  # none where the help has been printed instead
            where = getattr(getattr(error, "ctx", None), "command_path", "headwater")
            tell(f"{problem.removesuffix('.')} (`{where} --help` says more)")
        sys.exit(error.exit_code)
    except typer.Abort:
        tell("aborted, nothing was done")
        sys.exit(1)
