"""The commands about event stores and what the relay makes of them: `events verify`, `relay rebuild`."""

import asyncio
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TaskID, TextColumn, TimeElapsedColumn

from headwater.console import Json, err, loaded, out, plain, print_json, told

if TYPE_CHECKING:
    from infra.event_verification import Report

events = typer.Typer(no_args_is_help=True, help="The events that contexts have stored.")
relay = typer.Typer(no_args_is_help=True, help="What is stored, on its way to the topics.")

COLUMNS = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())


@events.command("verify")
def verify(
    context: Annotated[
        list[str] | None, typer.Option(help="Only this context; may be repeated. All that have an event store else.")
    ] = None,
    as_json: Json = False,
) -> None:
    """Compare event stores with their topics: no gap in a stream, every event there as it was stored, in the order of its
    stream. The system may run. Exit code 1 when something is found."""
    from headwater import tasks

    bars: dict[tuple[str, str], TaskID] = {}
    with told():
        with Progress(*COLUMNS, console=err, transient=True, disable=not err.is_terminal) as bar:

            def progress(of: str, what: str, done: int, total: int) -> None:
                if (of, what) not in bars:
                    bars[of, what] = bar.add_task(f"{of} {what}")
                bar.update(bars[of, what], completed=done, total=total)

            reports = asyncio.run(tasks.verify_events(loaded(), context or (), progress))
        if as_json:
            print_json([_json(report) for report in reports])
        else:
            for report in reports:
                _tell(report)
        if not all(report.holds for report in reports):
            raise typer.Exit(1)


@relay.command("rebuild")
def rebuild(
    context: Annotated[str, typer.Option(help="The context that owns the topic.")],
    topic: Annotated[str, typer.Option(help="Name of the topic, without a prefix. It has to be there.")],
    again: Annotated[bool, typer.Option("--again", help="Put the events behind the records that are there.")] = False,
) -> None:
    """Fill a topic that was lost or emptied from the event store, with the same event ids, in the order of each stream.

    Stop the relay and the groups that read the topic before: docs/event-store.md says what they need afterwards."""
    from headwater import tasks

    with told():
        with Progress(*COLUMNS, console=err, transient=True, disable=not err.is_terminal) as bar:
            task = bar.add_task(topic, total=None)

            def progress(done: int, total: int) -> None:
                bar.update(task, completed=done, total=total)

            count, groups = asyncio.run(tasks.refill_topic(loaded(), context, topic, progress, again=again))
        out.print(f"{count} event(s) are on {topic} again")
        out.print(f"groups that stand on the former one: {', '.join(groups) or 'none'}")


def _tell(report: "Report") -> None:
    for each in report.findings:
        out.print(f"{report.context}: {each.kind}: {plain(each.detail)}", style="red", markup=False)
    if (more := report.counts.total() - len(report.findings)) > 0:
        out.print(f"{report.context}: and {more} more", style="red")
    verdict = ", ".join(f"{count} {kind}" for kind, count in report.counts.items()) or "all hold"
    seen = f"{report.events} events in {report.streams} streams, {report.records} records, {report.repeats} of them repeats"
    until = f"{report.waiting} wait for the relay, up to {report.moment.isoformat()}"
    out.print(f"{report.context}: {seen}, {until}: {verdict}", soft_wrap=True)


def _json(report: "Report") -> dict[str, Any]:
    counted = ("context", "moment", "streams", "events", "records", "waiting", "repeats", "holds")
    found = [{"kind": each.kind, "detail": each.detail} for each in report.findings]
    return {name: getattr(report, name) for name in counted} | {"counts": report.counts, "findings": found}
