"""The commands `schemas`."""

import asyncio

import typer

from headwater.console import Json, loaded, out, show, told
from infra.schema_compiler import check, write

schemas = typer.Typer(no_args_is_help=True, help="The Avro schemas and the classes generated from them.")


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
