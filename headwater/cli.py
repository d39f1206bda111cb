"""The command line. Every command says what it does with `--help`; `--json` where a script would read it.

What needs the contexts is imported in the commands that do: `headwater status` should not wait for FastAPI.
"""

import asyncio
import gc
import sys
from datetime import timedelta
from importlib.metadata import version
from typing import Annotated
from uuid import NAMESPACE_DNS, UUID, uuid5

import typer
from typer.exceptions import TyperException

from headwater import settings_docs
from headwater.audit_cli import audit
from headwater.console import Json, loaded, out, print_json, show, tell, told
from headwater.convert_cli import convert
from headwater.events_cli import events, relay
from headwater.groups_cli import dlq, groups, replay
from headwater.identity_cli import keys, users
from headwater.payments_cli import payment_provider
from headwater.proxy_cli import proxy_config
from headwater.rebuild_cli import rebuild
from headwater.render_cli import document_schema, render, template_variables
from headwater.sagas_cli import sagas
from headwater.settings import SettingsError
from headwater.stack_cli import stack
from headwater.supervisor import running
from infra.local.errors import StackError
from infra.local.nursery import forks
from infra.local.ports import choose
from infra.schema_compiler import check, write

app = typer.Typer(
    no_args_is_help=True, pretty_exceptions_enable=False, help="Headwater: an event-driven backend on Kafka."
)
schemas = typer.Typer(no_args_is_help=True, help="The Avro schemas and the classes generated from them.")
app.add_typer(stack)
app.add_typer(schemas, name="schemas")
app.add_typer(audit, name="audit")
app.add_typer(events, name="events")
app.add_typer(relay, name="relay")
app.add_typer(groups, name="groups")
app.add_typer(dlq, name="dlq")
app.add_typer(sagas, name="sagas")
app.add_typer(users, name="users")
app.add_typer(keys, name="keys")
app.command()(convert)
app.command()(render)
app.command("document-schema")(document_schema)
app.command("template-variables")(template_variables)
app.command()(replay)
app.command()(rebuild)
app.command("proxy-config")(proxy_config)
app.command("payment-provider")(payment_provider)


def _print_version(asked: bool) -> None:
    if asked:
        out.print(f"headwater {version('headwater')}")
        raise typer.Exit


@app.callback()
def headwater(
    _version: Annotated[
        bool, typer.Option("--version", callback=_print_version, is_eager=True, help="Print the version and leave.")
    ] = False,
) -> None:
    """Take what stands before the command."""


@app.command()
def run(
    roles: Annotated[list[str], typer.Argument(help="One or several of `headwater roles`.")],
    port: Annotated[
        int | None,
        typer.Option(min=0, max=65535, help="Port of this process; default HEADWATER_PORT, a free one beside `up`."),
    ] = None,
    host: Annotated[str | None, typer.Option(help="Address to bind; default HEADWATER_HOST.")] = None,
) -> None:
    """Run roles in this process, against the configured servers or those of a running `headwater up`."""
    gc.disable()  # of the code that is read now nothing goes, and looking for what does was a quarter of the time
    from headwater import wiring
    from headwater.roles import run as run_roles

    with told():
        unknown = sorted(set(roles) - set(wiring.all_roles()))
        if unknown:
            raise StackError(f"no role {unknown[0]}; `headwater roles` lists them")
        given = {"port": port, "host": host}
        settings = loaded(**{name: value for name, value in given.items() if value is not None})
        if port is None and running(settings):  # the stack beside us has the port
            settings = settings.model_copy(update={"port": 0})
        if settings.port:
            choose(settings.port, "this process", "--port or HEADWATER_PORT", settings.host)
        run_roles(settings, tuple(dict.fromkeys(roles)))


@app.command(hidden=True)
def nursery(connection: Annotated[int, typer.Argument(help="The file descriptor over which it is asked.")]) -> None:
    """Read the code of every role once, and run roles in forks of this process, as `headwater up` asks."""
    import headwater.roles  # noqa: F401 -- read, for the forks to have

    app(forks(connection))


@app.command()
def roles(as_json: Json = False) -> None:
    """List the roles a process may take."""
    from headwater import wiring

    show([{"name": role, "does": does} for role, does in wiring.what_roles_do().items()], as_json)


@app.command()
def prepare() -> None:
    """Make the servers ready for the roles: migrate, topics, schemas. Safe to repeat."""
    from headwater import wiring

    with told():
        wiring.prepare(loaded())
        out.print("ready")


@app.command()
def migrate() -> None:
    """Bring every context's database schema to its newest version and renew its role."""
    from headwater import wiring

    with told():
        asyncio.run(wiring.migrate_all(loaded()))
        out.print(f"migrated: {', '.join(wiring.MIGRATIONS)}")


@app.command()
def topics(as_json: Json = False) -> None:
    """Create the topics that are missing and verify the others. Exit code 1 when one differs from its declaration."""
    from headwater import wiring

    with told():
        reports = asyncio.run(wiring.make_topics(loaded()))
        rows = [{"topic": each.name, "partitions": each.partitions, "outcome": each.outcome} for each in reports]
        show(rows, as_json)
        if not all(each.ok for each in reports):
            raise typer.Exit(1)


@schemas.command("generate")
def schemas_generate() -> None:
    """Generate the event classes, the catalogue and the lock from the Avro files."""
    with told():
        changed = write()
        out.print("\n".join(f"wrote {path.name} ({path.parent.name})" for path in changed) or "nothing has changed")


@schemas.command("check")
def schemas_check() -> None:
    """Check that generated files are fresh and published versions unchanged. Exit code 1 when not."""
    with told():
        problems = check()
        out.print("\n".join(problems) or "schemas are fine")
        if problems:
            raise typer.Exit(1)


@schemas.command("register")
def schemas_register(as_json: Json = False) -> None:
    """Register every event's newest version at the schema registry, which refuses incompatible ones."""
    from headwater import wiring

    with told():
        ids = asyncio.run(wiring.register_schemas(loaded()))
        show([{"subject": subject, "id": id_} for subject, id_ in ids.items()], as_json)


@app.command()
def token(
    user: Annotated[str, typer.Argument(help="A UUID, or any name: the same name is the same user.")],
    role: Annotated[list[str] | None, typer.Option(help="A role to carry; may be repeated.")] = None,
    hours: Annotated[float, typer.Option(min=0.001, max=24 * 30, help="How long it is valid.")] = 12.0,
) -> None:
    """Print an access token for development. Refused in production mode."""
    from headwater.configured import shared_key_tokens

    with told():
        settings = loaded()
        if settings.mode == "production":
            raise SettingsError(
                "`headwater token` is for development; in production tokens come from the identity provider"
            )
        tokens = shared_key_tokens(settings)
        print(tokens.issue(user_id(user), tuple(role or ()), timedelta(hours=hours)))  # noqa: T201 – nothing else may be on the line


@app.command()
def user(name: Annotated[str, typer.Argument(help="Any name.")]) -> None:
    """Print the user id that `headwater token NAME` speaks for."""
    with told():
        print(user_id(name))  # noqa: T201


@app.command("settings")
def settings_table(as_json: Json = False) -> None:
    """List every setting with its default and meaning."""
    show(settings_docs.table(), as_json)


@app.command()
def asyncapi() -> None:
    """Print the AsyncAPI document of topics and sockets."""
    from headwater import web

    print_json(web.asyncapi())


@app.command()
def openapi() -> None:
    """Print the OpenAPI document of the REST interface."""
    from headwater.web import openapi_document

    print_json(openapi_document())


@app.command("graphql-schema")
def schema() -> None:
    """Print the GraphQL schema."""
    from headwater.web import graphql_schema

    print(graphql_schema())  # noqa: T201 – a document


def main() -> None:
    """Run the command line. What was typed wrong is told in one line, too, and with exit code 2."""
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


def user_id(name: str) -> UUID:
    """Return the id a development name stands for: itself if it is a UUID. Raise `StackError` for an empty one."""
    if not name.strip():
        raise StackError("the user is empty: give a UUID, or any name, which always stands for the same UUID")
    try:
        return UUID(name)
    except ValueError:
        return uuid5(NAMESPACE_DNS, f"{name}.headwater.invalid")
