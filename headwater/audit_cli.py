"""The commands of audit: tail, export."""

import asyncio
import logging
import sys
from datetime import datetime
from pathlib import Path
from typing import Annotated, Literal

import typer
from rich.progress import Progress, TaskID

from headwater.console import err, loaded, out, told
from headwater.settings import Settings

audit = typer.Typer(no_args_is_help=True, help="What happened, from the topics themselves.")

TIMES = ["%Y-%m-%d", "%Y-%m-%dT%H:%M:%S", "%Y-%m-%dT%H:%M:%S%z"]


@audit.command("tail")
def audit_tail(
    topic: Annotated[str, typer.Argument(help="Name of the topic, without a prefix.")],
    start: Annotated[str, typer.Option("--from", help="`beginning`, `end`, an offset, or an ISO 8601 time.")] = "end",
    follow: Annotated[
        bool, typer.Option("--follow/--no-follow", help="Go on with what comes, or stop at the end.")
    ] = True,
) -> None:
    """Print a topic's events, decoded, one JSON object a line: position, headers, data."""
    with told():
        asyncio.run(_tail(loaded(), topic, start, follow))


@audit.command("export")
def audit_export(
    topics: Annotated[list[str], typer.Argument(help="Names of topics, without a prefix.")],
    to: Annotated[Path, typer.Option("--out", dir_okay=False, help="The file; it is there once it is whole.")],
    format_: Annotated[
        Literal["jsonl", "avro", "parquet"], typer.Option("--format", help="Parquet needs the extra `parquet`.")
    ] = "jsonl",
    since: Annotated[datetime | None, typer.Option("--from", formats=TIMES, help="Only records from then on.")] = None,
    until: Annotated[datetime | None, typer.Option("--to", formats=TIMES, help="Only records before then.")] = None,
) -> None:
    """Write topics into one file, up to what there is now. A time without a zone is local time."""
    from bounded_contexts.audit.adapters.range_kafka import Selection
    from headwater import wiring

    logging.getLogger("aiokafka").setLevel(logging.CRITICAL)
    selection = Selection(since=since and since.astimezone(), until=until and until.astimezone())
    tasks: dict[str, TaskID] = {}
    with told(), Progress(console=err, transient=True) as bar:

        def progress(topic: str, done: int, total: int) -> None:
            if topic not in tasks:
                tasks[topic] = bar.add_task(topic)
            bar.update(tasks[topic], completed=done, total=total)

        count = asyncio.run(wiring.audit_export(loaded(), topics, selection, (to, format_), progress))
        out.print(f"{count} records in {to}")


async def _tail(settings: Settings, topic: str, start: str, follow: bool) -> None:
    from headwater import wiring

    logging.getLogger("aiokafka").setLevel(logging.CRITICAL)  # what is wrong is told in one line
    async for line in wiring.audit_lines(settings, topic, start, follow):
        sys.stdout.write(line)
        sys.stdout.flush()
