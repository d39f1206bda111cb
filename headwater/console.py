"""How commands load settings, print and fail."""

import json
import logging
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.console import Console
from rich.table import Table
from rich.text import Text

from infra.local.errors import StackError
from shared_kernel.errors import HeadwaterError

if TYPE_CHECKING:
    from headwater.settings import Settings

out = Console(highlight=False, soft_wrap=True)
err = Console(stderr=True, highlight=False, soft_wrap=True)

PROSE_WIDTH = 30  # at least, however narrow the terminal
GAP = 2  # between columns

Json = Annotated[bool, typer.Option("--json", help="Print JSON for scripts.")]


def loaded(**overrides: object) -> "Settings":
    """Return the settings of the environment, with the servers of a running `headwater up`. Raise `SettingsError`."""
    from headwater.environment import load  # not above: commands without settings take 30 MB less
    from headwater.supervisor import attach

    return attach(load(None, **overrides))


def show(rows: list[dict[str, Any]], as_json: bool) -> None:
    """Print the rows as a table or as JSON."""
    if as_json:
        print_json(rows)
        return
    table, width = Table(box=None, pad_edge=False), 0
    for name in rows[0] if rows else ():
        cells = [name, *(plain(str(row[name])) for row in rows)]
        is_prose = any(" " in cell for cell in cells)
        table.add_column(name, no_wrap=not is_prose, overflow="fold")  # ids are for copying: whole, on one line
        width += PROSE_WIDTH if is_prose else max(map(len, cells)) + GAP
    for row in rows:
        table.add_row(*(Text(plain(str(value))) for value in row.values()))
    if width > out.width:
        table.width = width
    out.print(table)


def plain(text: str) -> str:
    """Return the text as a terminal may have it: whoever writes to a topic must not steer the terminal of who reads it."""
    return "".join(each if each.isprintable() or each in "\n\t" else f"\\u{ord(each):04x}" for each in text)


def print_json(value: object) -> None:
    """Print for scripts."""
    sys.stdout.write(json.dumps(value, indent=2, default=str) + "\n")


def tell(problem: str) -> None:
    """Print what went wrong, in the one line that every failure has."""
    err.print(f"headwater: {problem}", style="red", markup=False)


PLACES = ("line", "column", "cell", "pointer")  # of inputs, that errors know


def _actionable() -> tuple[type[Exception], ...]:
    """Return the errors that a person can act on. Asked for when something was raised: where these are takes 20 MB."""
    from headwater.settings import SettingsError
    from infra.schema_compiler import SchemaError
    from infra.schema_registry import SchemaRejected

    return SettingsError, StackError, SchemaError, SchemaRejected, HeadwaterError


@contextmanager
def told() -> Iterator[None]:
    """Tell what a person can act on in one line; a pipe that closes and Ctrl-C are no failures."""
    try:
        yield
    except _actionable() as error:
        more = error.more if isinstance(error, HeadwaterError) else {}
        place = ", ".join([f"{name} {more[name]}" for name in PLACES if name in more])
        tell(f"{error} ({plain(place)})" if place else str(error))
        raise typer.Exit(1) from None
    except (BrokenPipeError, KeyboardInterrupt):
        raise typer.Exit(0) from None


@contextmanager
def unheard(logger: logging.Logger) -> Iterator[None]:
    """Keep what a library says from the terminal: what is wrong is told in one line."""
    nobody = logging.NullHandler()
    logger.addHandler(nobody)
    logger.propagate = False
    try:
        yield
    finally:
        logger.propagate = True
        logger.removeHandler(nobody)
