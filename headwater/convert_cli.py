"""The command `convert`."""

import contextlib
import gc
import os
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import IO, TYPE_CHECKING, Annotated, BinaryIO

import typer
from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TimeRemainingColumn

from headwater.console import Json, err, plain, print_json, told
from infra.local.errors import StackError

if TYPE_CHECKING:
    from bounded_contexts.documents.domain.losses import Losses

STDIO = "-"


def convert(
    source: Annotated[str, typer.Argument(metavar="IN", help="The file to read; - is standard input.")],
    target: Annotated[str, typer.Argument(metavar="OUT", help="The file to write; - is standard output.")],
    read: Annotated[str | None, typer.Option("--from", help="Format of IN; default: what its name ends with.")] = None,
    write: Annotated[str | None, typer.Option("--to", help="Format of OUT; default: what its name ends with.")] = None,
    option: Annotated[
        list[str] | None, typer.Option("--option", "-o", help="NAME=VALUE of docs/documents.md, as often as needed.")
    ] = None,
    as_json: Json = False,
) -> None:
    """Convert a file into another format, without any server, and tell what was lost.

    json, ndjson, xml, csv, tsv, toml, yaml, msgpack, xlsx and properties, each into each. OUT appears when it is complete: after
    an error there is none, and a former one is as it was."""
    from bounded_contexts.documents.adapters import catalogue
    from bounded_contexts.documents.adapters.converting import GARBAGE
    from bounded_contexts.documents.adapters.converting import convert as pieces
    from bounded_contexts.documents.adapters.formats.conversion import Conversion
    from bounded_contexts.documents.domain.options import options_of

    gc.set_threshold(*GARBAGE)
    with told():
        reads = catalogue.named(read) if read else catalogue.of_file(source)
        writes = catalogue.named(write) if write else catalogue.of_file(target)
        conversion = Conversion(options_of(dict(_pair(each) for each in option or ())))
        with opened(source) as (stream, size), complete(target) as out, _progress(stream, size) as watched:
            for piece in pieces(watched, reads, writes, conversion):
                out.write(piece)
        report(conversion.losses, as_json)


def _pair(text: str) -> tuple[str, str]:
    name, equals, value = text.partition("=")
    if not equals:
        raise StackError(f"--option {text}: write NAME=VALUE")
    return name, value


@contextlib.contextmanager
def opened(name: str) -> Iterator[tuple[BinaryIO, int | None]]:
    """Give the file, or standard input, and its size in bytes where that is known. Raise `StackError`."""
    if name == STDIO:
        yield sys.stdin.buffer, None
        return
    try:
        with Path(name).open("rb") as stream:
            yield stream, os.fstat(stream.fileno()).st_size
    except OSError as error:
        raise StackError(f"{error.filename}: {error.strerror}") from None


@contextlib.contextmanager
def complete(name: str) -> Iterator[IO[bytes]]:
    """Give a file that takes its name when all has been written. Raise `StackError`."""
    if name == STDIO:
        yield sys.stdout.buffer
        sys.stdout.buffer.flush()
        return
    path = Path(name).absolute()
    try:
        handle, waiting = tempfile.mkstemp(prefix=f".{path.name}.", dir=path.parent)
    except OSError as error:
        raise StackError(f"{path.parent}: {error.strerror}") from None
    try:
        with os.fdopen(handle, "wb") as out:
            yield out
        Path(waiting).chmod(0o666 & ~_umask())
        Path(waiting).replace(path)
    except BaseException:
        Path(waiting).unlink(missing_ok=True)
        raise


def _umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask


@contextlib.contextmanager
def _progress(stream: BinaryIO, size: int | None) -> Iterator[BinaryIO]:
    """Show on a terminal how far reading is."""
    if size is None or not err.is_terminal:
        yield stream
        return
    columns = TextColumn("{task.description}"), BarColumn(), DownloadColumn(), TimeRemainingColumn()
    with Progress(*columns, console=err, transient=True) as progress:
        yield progress.wrap_file(stream, total=size, description="converting")


def report(losses: "Losses", as_json: bool) -> None:
    """Print what was changed: the first ones, and how many."""
    if as_json:
        first = [{"code": each.code, "pointer": each.pointer, "detail": each.detail} for each in losses.first]
        print_json({"losses": dict(losses.counts), "first": first, "notes": losses.all_notes})
        return
    for each in losses.first:
        err.print(plain(f"{each.code} {each.pointer or '/'}: {each.detail}"), style="yellow", markup=False)
    if losses.total > len(losses.first):
        err.print(f"and {losses.total - len(losses.first)} more", style="yellow", markup=False)
