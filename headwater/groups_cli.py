"""The commands for operators of consumer groups: `groups`, `dlq`, `replay`."""

import asyncio
import sys
from collections.abc import Awaitable, Callable
from dataclasses import replace
from typing import TYPE_CHECKING, Annotated, TypeVar

import typer
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from headwater.console import Json, err, loaded, out, plain, show, told
from shared_kernel.errors import NotFound, Refused

if TYPE_CHECKING:
    from infra.dead_letters import Choice, Letter
    from infra.group_operations import GroupOperations, GroupView, Move

ERROR_SHOWN = 200  # characters; `dlq show` has the rest
T = TypeVar("T")

groups = typer.Typer(help="The consumer groups: how far they are, and pausing them.")
dlq = typer.Typer(no_args_is_help=True, help="Dead letters: records a group could not handle.")

Group = Annotated[str, typer.Argument(help="Name of the group, as `headwater groups` lists it.")]
Id = Annotated[str | None, typer.Option("--id", help="One letter: TOPIC/PARTITION/OFFSET, as `dlq list` prints it.")]
Key = Annotated[str | None, typer.Option(help="Letters with this key.")]
Type = Annotated[
    str | None, typer.Option(help="Letters of this event type, for example headwater.messaging.MessageSent.")
]
All = Annotated[bool, typer.Option("--all", help="All letters of the group.")]
DryRun = Annotated[bool, typer.Option("--dry-run", help="Say what would happen and change nothing.")]
WATCH_S = 0.5


@groups.callback(invoke_without_command=True)
def list_groups(context: typer.Context, as_json: Json = False) -> None:
    """List the groups: state, members, lag, what they are doing, dead letters."""
    if context.invoked_subcommand is None:
        with told():
            views = _with_groups(lambda operations: operations.view())
            show([_row(view) for view in views], as_json)


@groups.command("show")
def show_group(group: Group, as_json: Json = False) -> None:
    """Show one group's partitions: where it stands, where they end, since when it stands there."""
    with told():
        (view,) = _with_groups(lambda operations: operations.view([group]))
        unmoved = "never" if view.dead_letters is not None else "?"  # the broker keeps no times
        rows = [
            {
                "topic": each.topic,
                "partition": each.partition,
                "next": each.next,
                "end": each.end,
                "lag": each.lag,
                "moved_at": each.moved_at.isoformat(timespec="seconds") if each.moved_at else unmoved,
            }
            for each in view.partitions
        ]
        show(rows, as_json)


@groups.command()
def pause(group: Group) -> None:
    """Have the group's members finish what runs and begin nothing more, until `resume`; restarts do not change that."""
    with told():
        _with_groups(lambda operations: operations.pause(group))
        out.print(f"{group} pauses within a second")


@groups.command()
def resume(group: Group) -> None:
    """Have a paused group go on."""
    with told():
        _with_groups(lambda operations: operations.resume(group))
        out.print(f"{group} goes on within a second")


@dlq.command("list")
def list_letters(
    group: Group,
    key: Key = None,
    type: Type = None,  # noqa: A002 – the option's name
    after: Annotated[str | None, typer.Option(help="Only those behind this one: TOPIC/PARTITION/OFFSET.")] = None,
    limit: Annotated[int, typer.Option(min=1, max=1000, help="How many at most; fewer when they are large.")] = 100,
    as_json: Json = False,
) -> None:
    """List dead letters, in the order of their partitions."""
    from infra.dead_letters import Choice

    async def page(operations: "GroupOperations") -> "tuple[list[Letter], int]":
        choice = Choice(None, key, type, after, limit)
        letters = await operations.letters(group, choice)
        behind = replace(choice, after=letters[-1].id) if letters else choice
        return letters, await operations.count_letters(group, behind)

    with told():
        letters, more = _with_groups(page)
        show([_letter_row(each) for each in letters], as_json)
        if more:
            err.print(f"{more} more: --after {letters[-1].id}", markup=False)


@dlq.command("show")
def show_letter(group: Group, id: Annotated[str, typer.Argument(help="TOPIC/PARTITION/OFFSET.")]) -> None:  # noqa: A002
    """Print one dead letter: why, its headers, its bytes in hexadecimal, the stack."""
    from infra.dead_letters import Choice

    with told():
        found = _with_groups(lambda operations: operations.letters(group, Choice(id)))
        if not found:
            raise NotFound("letter_not_found", f"{group} has no dead letter {id}")
        (letter,) = found
        for name, value in _letter_row(letter).items():
            out.print(plain(f"{name}: {value}"), markup=False)
        for name, header in letter.record.headers:
            out.print(plain(f"header {name}: {(header or b'').decode('utf-8', 'replace')}"), markup=False)
        out.print(f"value: {'null' if letter.record.value is None else letter.record.value.hex()}", markup=False)
        out.print(plain(letter.stack), markup=False)


@dlq.command()
def redrive(
    group: Group,
    id: Id = None,  # noqa: A002
    key: Key = None,
    type: Type = None,  # noqa: A002
    everything: All = False,
    dry_run: DryRun = False,
) -> None:
    """Have the group try letters again, and all others with their keys, so that order per key holds."""
    with told():
        choice = _choice(id, key, type, everything)
        if dry_run:
            count = _with_groups(lambda operations: operations.count_letters(group, choice))
            out.print(f"{count} letter(s) are meant; others with their keys would come along")
            return

        async def asked_for(operations: "GroupOperations") -> int:
            await _some(operations, group, choice)
            return await operations.redrive(group, choice)

        count = _with_groups(asked_for)
        out.print(f"{count} letter(s) will be tried again as soon as {group} runs; see `headwater dlq list {group}`")


@dlq.command()
def discard(
    group: Group,
    id: Id = None,  # noqa: A002
    key: Key = None,
    type: Type = None,  # noqa: A002
    everything: All = False,
    dry_run: DryRun = False,
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask.")] = False,
) -> None:
    """Give letters up for good. They stay on the dead-letter topic, but nothing will try them again."""
    with told():
        choice = _choice(id, key, type, everything)
        count = _with_groups(lambda operations: _some(operations, group, choice))
        if dry_run:
            out.print(f"{count} letter(s) are meant")
            return
        if not yes and not sys.stdin.isatty():
            raise Refused("not_confirmed", "there is nobody to ask; say --yes")
        if yes or typer.confirm(f"Discard {count} letter(s) of {group}?"):
            count = _with_groups(lambda operations: operations.discard(group, choice))
            out.print(f"{count} letter(s) discarded")


def replay(
    group: Group,
    begin: Annotated[str, typer.Option("--from", help="`beginning`, an offset or an ISO 8601 time.")],
    end: Annotated[
        str | None, typer.Option("--to", help="An offset or a time; default: where the group stands.")
    ] = None,
    dry_run: DryRun = False,
    with_effects: Annotated[
        bool, typer.Option("--with-effects", help="Also for a group that sends mail or the like: it will do so again.")
    ] = False,
    watch: Annotated[bool, typer.Option("--watch", help="Stay and show how far the group is, once it runs.")] = False,
    as_json: Json = False,
) -> None:
    """Have a stopped group handle records again; what it had handled after them is not repeated."""
    with told():
        moves = _with_groups(lambda operations: operations.plan_replay(group, begin, end))
        show([_move_row(move) for move in moves], as_json)
        if not moves:
            err.print("nothing to replay: what is asked for is empty, or lies where the group has not been yet")
        if dry_run and not _with_groups(lambda operations: operations.is_stopped(group)):
            err.print(f"{group} runs: stop its processes before the replay itself", markup=False)
        if dry_run or not moves:
            return
        _with_groups(lambda operations: operations.replay(group, moves, with_effects=with_effects))
        err.print(f"{sum(move.records for move in moves)} record(s) will be handled again as soon as {group} runs")
        if watch:
            _with_groups(lambda operations: _watch(operations, group, moves))


async def _watch(operations: "GroupOperations", group: str, moves: "list[Move]") -> None:
    """Show the replay's progress until it is done."""
    goals = {(move.topic, move.partition): move for move in moves}
    columns = (TextColumn(group), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, console=err) as progress:
        task = progress.add_task("replay", total=sum(move.records for move in moves))
        done = 0
        while done < sum(move.records for move in moves):
            (view,) = await operations.view([group])
            done = 0
            for each in view.partitions:
                if move := goals.get((each.topic, each.partition)):
                    done += min(max(each.next - move.begin, 0), move.records)
            progress.update(task, completed=done)
            await asyncio.sleep(WATCH_S)


def _with_groups(work: "Callable[[GroupOperations], Awaitable[T]]") -> T:
    from headwater import tasks

    return asyncio.run(tasks.with_groups(loaded(), work))


def _choice(id: str | None, key: str | None, type: str | None, everything: bool) -> "Choice":  # noqa: A002
    from infra.dead_letters import Choice

    if everything == any(each is not None for each in (id, key, type)):
        raise Refused("nothing_chosen", "say which letters: --id, --key, --type, or --all alone")
    return Choice(id, key, type)


async def _some(operations: "GroupOperations", group: str, choice: "Choice") -> int:
    """Return how many letters are meant. Raise `NotFound` for none: whoever names some expects them to be there."""
    from infra.dead_letters import Choice

    if not (count := await operations.count_letters(group, choice)) and choice != Choice():
        raise NotFound("letter_not_found", f"{group} has no such dead letter")
    return count


def _row(view: "GroupView") -> dict[str, object]:
    from infra.group_control import MemberReport

    workloads = [each.workload for each in view.members if isinstance(each, MemberReport)]
    return {
        "group": view.group,
        "state": view.state,
        "members": len(view.members),
        "lag": view.lag,
        "stands_since": view.oldest.isoformat(timespec="seconds") if view.oldest else "",
        "running": sum(each.running for each in workloads),
        "retrying": sum(each.retrying for each in workloads),
        "dead_letters": view.dead_letters if view.dead_letters is not None else "?",
    }


def _letter_row(letter: "Letter") -> dict[str, object]:
    return {
        "id": letter.id,
        "type": letter.type,
        "key": (letter.record.key or b"").decode("utf-8", "replace"),
        "attempts": letter.attempts,
        "buried_at": letter.buried_at.isoformat(timespec="seconds"),
        "due": letter.is_due,
        "error": (letter.error.splitlines() or [""])[0][:ERROR_SHOWN],
    }


def _move_row(move: "Move") -> dict[str, object]:
    return {
        "topic": move.topic,
        "partition": move.partition,
        "stands_at": move.now,
        "from": move.begin,
        "to": move.end,
        "records": move.records,
    }
