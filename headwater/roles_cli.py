"""The commands that run roles and make servers ready for them."""

import asyncio
import gc
from typing import Annotated

import typer

from headwater.console import Json, loaded, out, show, told
from headwater.supervisor import running
from infra.local.errors import StackError
from infra.local.nursery import forks
from infra.local.ports import choose


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


def nursery(connection: Annotated[int, typer.Argument(help="The file descriptor over which it is asked.")]) -> None:
    """Read the code of every role once, and run roles in forks of this process, as `headwater up` asks."""
    import headwater.roles  # noqa: F401 -- read, for the forks to have
    from headwater import wiring
    from headwater.cli import app

    wiring.all_roles()  # each fork asks, and finds what building a first house has made
    app(forks(connection))


def roles(as_json: Json = False) -> None:
    """List the roles a process may take."""
    from headwater import wiring

    show([{"name": role, "does": does} for role, does in wiring.what_roles_do().items()], as_json)


def prepare() -> None:
    """Make the servers ready for the roles: migrate, topics, schemas. Safe to repeat."""
    from headwater import wiring

    with told():
        wiring.prepare(loaded())
        out.print("ready")


def migrate() -> None:
    """Bring every context's database schema to its newest version and renew its role."""
    from headwater import wiring

    with told():
        asyncio.run(wiring.migrate_all(loaded()))
        out.print(f"migrated: {', '.join(wiring.MIGRATIONS)}")


def topics(as_json: Json = False) -> None:
    """Create the topics that are missing and verify the others. Exit code 1 when one differs from its declaration."""
    from headwater import wiring

    with told():
        reports = asyncio.run(wiring.make_topics(loaded()))
        rows = [{"topic": each.name, "partitions": each.partitions, "outcome": each.outcome} for each in reports]
        show(rows, as_json)
        if not all(each.ok for each in reports):
            raise typer.Exit(1)
