"""The commands of audit: tail, export, seal, verify."""

import asyncio
import logging
import sys
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer
from rich.progress import Progress, TaskID

from headwater.console import Json, err, loaded, out, print_json, told, unheard
from headwater.settings import Settings
from shared_kernel.errors import Refused

if TYPE_CHECKING:
    from bounded_contexts.audit.application.verify import Report
    from bounded_contexts.audit.domain.root import Root

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
    from headwater import tasks

    bars: dict[str, TaskID] = {}
    with told(), Progress(console=err, transient=True, disable=not err.is_terminal) as bar:

        def progress(topic: str, done: int, total: int) -> None:
            if topic not in bars:
                bars[topic] = bar.add_task(topic)
            bar.update(bars[topic], completed=done, total=total)

        selection = Selection(since=_zoned(since), until=_zoned(until))
        count = asyncio.run(tasks.audit_export(loaded(), topics, selection, (to, format_), progress))
        out.print(f"{count} records in {to}")


@audit.command("seal")
def audit_seal() -> None:
    """Sign where every chain of the audit log ends now. The line it prints is worth keeping elsewhere."""
    with told():
        root = asyncio.run(_seal(loaded()))
        if root is None:
            out.print("another process has just sealed the log")
        else:
            out.print(f"root {root.number} of {root.made_at.isoformat()}: {root.hash}, key {root.public_key.hex()}")


@audit.command("verify")
def audit_verify(
    topic: Annotated[str | None, typer.Option(help="Only the chains of this topic, without a prefix.")] = None,
    trust: Annotated[
        list[str] | None, typer.Option(help="Public key (hex) of an earlier secret. May be repeated.")
    ] = None,
    roots: Annotated[
        list[str] | None,
        typer.Option("--root", help="Hash of a root that `seal` printed; it must be there. Repeatable."),
    ] = None,
    as_json: Json = False,
) -> None:
    """Walk the audit log's chains and roots. Exit code 1 when one does not hold; says where."""
    with told():
        settings = loaded()
        try:
            keys = [bytes.fromhex(key) for key in trust or ()]
        except ValueError:
            raise Refused(
                "invalid_key", "--trust takes the hexadecimal key that `headwater audit seal` prints"
            ) from None
        of_topic = None if topic is None else settings.topic_prefix + topic
        with Progress(console=err, transient=True, disable=not err.is_terminal) as bar:
            report = asyncio.run(_verify(settings, of_topic, keys, roots or [], bar))
        _tell(report, as_json)
        if not report.holds:
            raise typer.Exit(1)


def _zoned(moment: datetime | None) -> datetime | None:
    try:
        return moment and moment.astimezone()
    except (ValueError, OverflowError):  # the year 1 is not everywhere
        raise Refused("invalid_time", "the time is beyond the calendar") from None


def _tell(report: "Report", as_json: bool) -> None:
    broken = [
        {"topic": topic, "partition": partition, "offset": each.offset, "kind": each.kind, "detail": each.detail}
        for (topic, partition), each in report.broken.items()
    ]
    if as_json:
        counts = {
            "records": report.records,
            "unsealed": report.unsealed,
            "chains": report.chains,
            "roots": report.roots,
        }
        print_json(counts | {"holds": report.holds, "broken": broken, "roots_broken": report.roots_broken})
        return
    for each in broken:
        out.print("{topic}/{partition}: record {offset} was {kind}: {detail}".format(**each), style="red", markup=False)
    if report.roots_broken:
        out.print(report.roots_broken, style="red", markup=False)
    verdict = "all hold" if report.holds else "broken"
    seen = f"{report.records} records in {report.chains} chains, {report.roots} roots, {report.unsealed} records behind them"
    out.print(f"{seen}: {verdict}", soft_wrap=True)


async def _seal(settings: Settings) -> "Root | None":
    from bounded_contexts.audit.application.seal import seal
    from headwater import tasks

    async with tasks.audit_log(settings) as ports:
        return await seal(ports)


async def _verify(
    settings: Settings, topic: str | None, trusted: list[bytes], roots: list[str], bar: Progress
) -> "Report":
    from bounded_contexts.audit.application.verify import verify
    from headwater import tasks

    bars: dict[tuple[str, int], TaskID] = {}

    def progress(topic: str, partition: int, at: int, end: int) -> None:
        chain = (topic, partition)
        if chain not in bars:
            bars[chain] = bar.add_task(f"{topic}/{partition}", total=end + 1)
        bar.update(bars[chain], completed=at + 1)

    async with tasks.audit_log(settings, trusted) as ports:
        return await verify(ports, topic, progress, roots)


async def _tail(settings: Settings, topic: str, start: str, follow: bool) -> None:
    from headwater import tasks

    if follow and err.is_terminal:
        err.print(f"following {topic}; Ctrl-C ends it", markup=False)
    with unheard(logging.getLogger("aiokafka")):
        async for line in tasks.audit_lines(settings, topic, start, follow):
            sys.stdout.write(line)
            sys.stdout.flush()
