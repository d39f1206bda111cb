"""The commands for sagas: which there are, how each is, asking again, undoing, and a picture of the table."""

import asyncio
from collections.abc import Awaitable, Callable
from datetime import datetime
from typing import TYPE_CHECKING, Annotated, Literal, TypeVar
from uuid import UUID

import typer

from headwater.console import Json, err, loaded, out, plain, print_json, show, told
from shared_kernel.errors import NotFound, Refused

if TYPE_CHECKING:
    from infra.sagas.operations import NoteView, SagaOperations, SagaView

T = TypeVar("T")

sagas = typer.Typer(no_args_is_help=True, help="Flows across contexts: how far they are, and repairing them.")

Id = Annotated[UUID, typer.Argument(help="Id of the saga, as `headwater sagas list` prints it.")]


@sagas.command("list")
def list_sagas(
    saga: Annotated[str | None, typer.Option(help="Only of this table: order_fulfilment, order_refund.")] = None,
    state: Annotated[
        Literal["running", "undoing", "parked", "done", "undone"] | None, typer.Option(help="Only those in this state.")
    ] = None,
    stuck: Annotated[bool, typer.Option("--stuck", help="Only those that are parked or open for too long.")] = False,
    order: Annotated[UUID | None, typer.Option(help="Only those of this order.")] = None,
    after: Annotated[str | None, typer.Option(help="Only those behind this one: its STARTED_AT/ID.")] = None,
    limit: Annotated[int, typer.Option(min=1, max=1000, help="How many at most.")] = 50,
    as_json: Json = False,
) -> None:
    """List sagas, those that began last first."""
    from infra.sagas.operations import SagaChoice

    with told():
        choice = SagaChoice(saga, state, stuck, order, _place(after), limit + 1)
        found = _with_sagas(lambda operations: operations.page(choice))
        show([_row(each) for each in found[:limit]], as_json)
        if len(found) > limit:
            last = found[limit - 1]
            err.print(f"there are more: --after {last.started_at.isoformat()}/{last.id}", markup=False)


@sagas.command("show")
def show_saga(id: Id, as_json: Json = False) -> None:  # noqa: A002
    """Show one saga: its steps, what it remembers, and everything that has happened."""
    with told():
        found = _with_sagas(lambda operations: operations.detail(id))
        steps = [
            {"step": each.name, "status": each.status, "tries": each.tries, "due_at": each.due_at or ""}
            for each in found.steps
        ]
        notes = [_note_row(each) for each in found.notes]
        if as_json:
            print_json(_row(found.saga) | {"data": found.data, "steps": steps, "history": notes})
            return
        for name, value in (_row(found.saga) | dict(found.data)).items():
            out.print(plain(f"{name}: {value}"), markup=False)
        show(steps, as_json)
        show(notes, as_json)


@sagas.command()
def retry(id: Id) -> None:  # noqa: A002
    """Ask again for everything that is open, and let a parked saga go on. Safe to repeat: an effect happens once."""
    with told():
        _with_sagas(lambda operations: operations.retry(id))
        out.print(f"{id} asks again", markup=False)


@sagas.command()
def compensate(id: Id) -> None:  # noqa: A002
    """Have a saga undo what it has done, unless it has asked for what is not taken back."""
    with told():
        _with_sagas(lambda operations: operations.compensate(id))
        out.print(f"{id} undoes what it has done", markup=False)


@sagas.command("diagram")
def print_diagram(
    name: Annotated[str | None, typer.Argument(help="order_fulfilment or order_refund; all if none is named.")] = None,
) -> None:
    """Print the table as a Mermaid flowchart."""
    from headwater.wiring_sagas import SAGAS
    from shared_kernel.saga_diagram import diagram

    with told():
        chosen = [each for each in SAGAS if name in (None, each.name)]
        if not chosen:
            raise NotFound("saga_not_found", f"there is no {name}; there are {', '.join(each.name for each in SAGAS)}")
        print("\n\n".join(map(diagram, chosen)))  # noqa: T201 – a document


def _with_sagas(work: "Callable[[SagaOperations], Awaitable[T]]") -> T:
    from headwater import tasks

    return asyncio.run(tasks.with_sagas(loaded(), work))


def _place(after: str | None) -> tuple[datetime, UUID] | None:
    if after is None:
        return None
    started_at, _, id_ = after.rpartition("/")
    try:
        return datetime.fromisoformat(started_at), UUID(id_)
    except ValueError:
        raise Refused("invalid_place", "say --after STARTED_AT/ID, as the list before ended") from None


def _row(saga: "SagaView") -> dict[str, object]:
    return {
        "id": saga.id,
        "saga": saga.definition,
        "order_id": saga.key,
        "state": saga.state + (f" ({saga.parked})" if saga.parked else ""),
        "stuck": saga.is_stuck,
        "started_at": saga.started_at.isoformat(timespec="milliseconds"),
        "changed_at": saga.changed_at.isoformat(timespec="milliseconds"),
        "ended_at": saga.ended_at.isoformat(timespec="milliseconds") if saga.ended_at else "",
    }


def _note_row(note: "NoteView") -> dict[str, object]:
    return {
        "at": note.at.isoformat(timespec="milliseconds"),
        "what": note.what,
        "step": note.step,
        "detail": note.detail,
        "actor": note.actor or "",
        "cause": note.causation_id,
    }
