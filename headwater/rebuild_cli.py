"""The command `rebuild`."""

import asyncio
import logging
from typing import TYPE_CHECKING, Annotated

import structlog
import typer
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from headwater.console import err, loaded, out, told
from headwater.groups_cli import DryRun, Group

if TYPE_CHECKING:
    from infra.rebuild import Stage


def rebuild(
    group: Group,
    dry_run: DryRun = False,
    keep: Annotated[
        bool,
        typer.Option("--keep", help="Leave the former tables in the schema CONTEXT_before, until the next rebuild."),
    ] = False,
) -> None:
    """Build a group's tables anew from its topics and switch to them; reads and writes go on meanwhile."""
    from headwater import tasks

    # What a person has to act on, on one bar or in one line: a rebuild's member is no process of the installation.
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.ERROR))
    with told():
        settings = loaded()
        if dry_run:
            plan = asyncio.run(tasks.with_rebuild(settings, group, lambda rebuild: rebuild.plan(group)))
            out.print(f"{plan.records} record(s) would be read and these tables replaced: {', '.join(plan.tables)}")
            return
        columns = (TextColumn(group), BarColumn(), MofNCompleteColumn(), TextColumn("{task.fields[rate]}/s"))
        with Progress(*columns, TimeElapsedColumn(), console=err) as progress:
            task = progress.add_task("rebuild", total=None, rate=0)

            def show(stage: "Stage") -> None:
                elapsed = progress.tasks[0].elapsed or 0
                rate = round(stage.done / elapsed) if elapsed else 0
                progress.update(task, completed=stage.done, total=stage.total, rate=rate)

            stage = asyncio.run(
                tasks.with_rebuild(settings, group, lambda rebuild: rebuild.run(group, show, keep=keep))
            )
        out.print(f"{group} stands on new tables, made of {stage.done} record(s)")
