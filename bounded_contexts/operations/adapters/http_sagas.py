"""REST face of the sagas, for the role `operator`: what `headwater sagas` does."""

from datetime import datetime
from typing import Annotated, Any
from uuid import UUID

from fastapi import APIRouter, Depends, Query
from pydantic import BaseModel, Field

from infra.access_tokens import User
from infra.http import NextPage, SignedIn, problems
from infra.opaque import OpaqueTokens
from infra.sagas.operations import SagaChoice, SagaDetail, SagaOperations, SagaView, State
from shared_kernel.permissions import require

CURSOR_OF = "sagas"


class SagaAnswer(BaseModel):
    id: UUID
    saga: Annotated[str, Field(description="Name of its table: order_fulfilment, order_refund.")]
    order_id: UUID
    state: State
    parked: Annotated[str | None, Field(description="Why it waits for an operator: unanswered_undo, not_understood.")]
    is_stuck: Annotated[bool, Field(description="Parked, or open for longer than it should be.")]
    correlation_id: str
    started_at: datetime
    changed_at: datetime
    ended_at: datetime | None


class SagaList(BaseModel):
    data: list[SagaAnswer]
    page: NextPage


class StepAnswer(BaseModel):
    name: str
    status: Annotated[str, Field(description="asked, answered, refused, undoing or undone.")]
    tries: int
    due_at: Annotated[datetime | None, Field(description="When it has been silent for too long.")]


class NoteAnswer(BaseModel):
    at: datetime
    what: str
    step: str
    detail: str
    causation_id: str
    actor_id: UUID | None


class SagaDetailAnswer(SagaAnswer):
    data: Annotated[dict[str, Any], Field(description="What it remembers.")]
    steps: list[StepAnswer]
    history: list[NoteAnswer]


async def saga_operator(user: SignedIn) -> User:
    """Access policy: an operator. Raise `Forbidden` for everybody else."""
    require(user.roles, "operations:sagas")
    return user


def saga_router(sagas: SagaOperations, tokens: OpaqueTokens) -> APIRouter:
    """Return the routes."""
    routes = APIRouter(
        prefix="/admin/sagas",
        tags=["operations"],
        dependencies=[Depends(saga_operator)],
        responses=problems(401, 403, 404, 422, 503),
    )

    @routes.get("")
    async def list_sagas(
        saga: Annotated[str | None, Query(pattern=r"^[a-z_]{1,100}$")] = None,
        state: State | None = None,
        stuck: Annotated[bool, Query(description="Only those that are stuck.")] = False,
        order_id: UUID | None = None,
        limit: Annotated[int, Query(ge=1, le=200)] = 50,
        cursor: Annotated[str | None, Query(max_length=400, description="`next_cursor` of the page before.")] = None,
    ) -> SagaList:
        """Sagas, those that began last first."""
        choice = SagaChoice(saga, state, stuck, order_id, _opened(tokens, cursor), limit + 1)
        found = await sagas.page(choice)
        shown, has_more = found[:limit], len(found) > limit
        next_ = tokens.seal("cursor", _place(shown[-1]), of=CURSOR_OF) if has_more else None
        return SagaList(
            data=[SagaAnswer(**_plain(each)) for each in shown], page=NextPage(next_cursor=next_, has_more=has_more)
        )

    @routes.get("/{saga_id:uuid}")
    async def read_saga(saga_id: UUID) -> SagaDetailAnswer:
        """One saga: its steps, what it remembers, and everything that has happened."""
        return _detail(await sagas.detail(saga_id))

    @routes.post("/{saga_id:uuid}:retry")
    async def retry_saga(saga_id: UUID) -> SagaDetailAnswer:
        """Ask again for everything that is open, and let a parked saga go on. Safe to repeat: an effect happens once."""
        await sagas.retry(saga_id)
        return _detail(await sagas.detail(saga_id))

    @routes.post("/{saga_id:uuid}:compensate")
    async def compensate_saga(saga_id: UUID) -> SagaDetailAnswer:
        """Have the saga undo what it has done, unless it has asked for what is not taken back. Twice is once."""
        await sagas.compensate(saga_id)
        return _detail(await sagas.detail(saga_id))

    return routes


def _place(saga: SagaView) -> list[str]:
    return [saga.started_at.isoformat(), str(saga.id)]


def _opened(tokens: OpaqueTokens, cursor: str | None) -> tuple[datetime, UUID] | None:
    if cursor is None:
        return None
    started_at, id_ = tokens.open("cursor", cursor, of=CURSOR_OF)
    return datetime.fromisoformat(started_at), UUID(id_)


def _plain(saga: SagaView) -> dict[str, Any]:
    return {
        "id": saga.id,
        "saga": saga.definition,
        "order_id": saga.key,
        "state": saga.state,
        "parked": saga.parked,
        "is_stuck": saga.is_stuck,
        "correlation_id": saga.correlation_id,
        "started_at": saga.started_at,
        "changed_at": saga.changed_at,
        "ended_at": saga.ended_at,
    }


def _detail(found: SagaDetail) -> SagaDetailAnswer:
    return SagaDetailAnswer(
        **_plain(found.saga),
        data=dict(found.data),
        steps=[
            StepAnswer(name=each.name, status=each.status, tries=each.tries, due_at=each.due_at) for each in found.steps
        ],
        history=[
            NoteAnswer(
                at=each.at,
                what=each.what,
                step=each.step,
                detail=each.detail,
                causation_id=each.causation_id,
                actor_id=each.actor,
            )
            for each in found.notes
        ],
    )
