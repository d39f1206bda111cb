"""REST face of operations, for the role `operator`: everything `headwater groups` and `headwater dlq` do."""

import base64
from dataclasses import replace
from datetime import datetime
from typing import Annotated, Self

from fastapi import APIRouter, Depends, Query
from pydantic import BaseModel, ConfigDict, Field, StrictBool, model_validator
from starlette.convertors import StringConvertor, register_url_convertor

from infra.access_tokens import User
from infra.broker_groups import BrokerMember
from infra.dead_letters import Choice, Letter
from infra.group_control import MemberReport
from infra.group_operations import GroupOperations, GroupView
from infra.http import Body, NextPage, SignedIn, problems
from shared_kernel.permissions import require


class GroupName(StringConvertor):
    """A path's segment up to a colon, behind which stands what to do."""

    regex = "[^/:]+"


register_url_convertor("group", GroupName())


class MemberAnswer(BaseModel):
    """A member. Of a transform's, only the broker tells, and no more than the first three."""

    member: str
    process: str
    partitions: int
    waiting: int | None = None
    running: int | None = None
    retrying: int | None = None
    handled: int | None = None
    seen_at: datetime | None = None


class PartitionAnswer(BaseModel):
    topic: str
    partition: int
    next: int
    end: int
    lag: int
    moved_at: datetime | None


class GroupAnswer(BaseModel):
    group: str
    state: str
    lag: int
    stands_since: datetime | None
    dead_letters: Annotated[int | None, Field(description="null: a transform's are on their topic only.")]
    members: list[MemberAnswer]
    partitions: list[PartitionAnswer]


class GroupList(BaseModel):
    data: list[GroupAnswer]


class LetterAnswer(BaseModel):
    id: str
    type: str
    key: str | None
    error: str
    attempts: int
    buried_at: datetime
    is_due: bool
    headers: dict[str, str | None]
    value: str | None  # base64, as it lies on the topic
    stack: str


class LetterList(BaseModel):
    data: list[LetterAnswer]
    total: Annotated[int, Field(description="How many letters fit, on this page and all others.")]
    page: NextPage


class Chosen(Body):
    """Which letters are meant: those that fit all that is given."""

    model_config = ConfigDict(json_schema_extra={"examples": [{"type": "headwater.messaging.MessageSent"}]})
    id: str | None = None
    key: str | None = None
    type: str | None = None
    all: StrictBool = False

    @model_validator(mode="after")
    def _something(self) -> Self:
        if self.all == any(each is not None for each in (self.id, self.key, self.type)):
            raise ValueError("say which letters: id, key, type, or all alone")
        return self


class Count(BaseModel):
    count: int


async def operator(user: SignedIn) -> User:
    """Access policy: an operator. Raise `Forbidden` for everybody else."""
    require(user.roles, "operations:groups")
    return user


def router(groups: GroupOperations) -> APIRouter:
    """Return the routes."""
    routes = APIRouter(
        prefix="/admin/groups",
        tags=["operations"],
        dependencies=[Depends(operator)],
        responses=problems(401, 403, 404, 422, 503),
    )

    @routes.get("")
    async def list_groups() -> GroupList:
        """Every consumer group: state, lag, members, dead letters."""
        return GroupList(data=[_group(each) for each in await groups.view()])

    @routes.get("/{group:group}")
    async def read_group(group: str) -> GroupAnswer:
        """One group."""
        (found,) = await groups.view([group])
        return _group(found)

    @routes.post("/{group:group}:pause", status_code=204)
    async def pause(group: str) -> None:
        """Have the group's members begin nothing more, from the next second on; twice is once."""
        await groups.pause(group)

    @routes.post("/{group:group}:resume", status_code=204)
    async def resume(group: str) -> None:
        """Have the group go on; twice is once."""
        await groups.resume(group)

    @routes.get("/{group:group}/dead-letters")
    async def list_letters(
        group: str,
        key: str | None = None,
        type: str | None = None,  # noqa: A002 – the name of the parameter
        id: str | None = None,  # noqa: A002
        limit: Annotated[int, Query(ge=1, le=1000)] = 100,
        cursor: Annotated[str | None, Query(max_length=400, description="`next_cursor` of the page before.")] = None,
    ) -> LetterList:
        """The records the group could not handle, in the order of their partitions; fewer a page when they are large."""
        choice = Choice(id, key, type)
        letters = await groups.letters(group, replace(choice, after=cursor, limit=limit))
        has_more = bool(letters) and await groups.count_letters(group, replace(choice, after=letters[-1].id)) > 0
        return LetterList(
            data=[_letter(each) for each in letters],
            total=await groups.count_letters(group, choice),
            page=NextPage(next_cursor=letters[-1].id if has_more else None, has_more=has_more),
        )

    @routes.post("/{group:group}/dead-letters:redrive", status_code=202)
    async def redrive(group: str, chosen: Chosen) -> Count:
        """Try letters again, and all others with their keys, in order. Safe to repeat: an effect happens once."""
        return Count(count=await groups.redrive(group, Choice(chosen.id, chosen.key, chosen.type)))

    @routes.post("/{group:group}/dead-letters:discard")
    async def discard(group: str, chosen: Chosen) -> Count:
        """Give letters up for good; they stay on the dead-letter topic."""
        return Count(count=await groups.discard(group, Choice(chosen.id, chosen.key, chosen.type)))

    return routes


def _group(view: GroupView) -> GroupAnswer:
    return GroupAnswer(
        group=view.group,
        state=view.state,
        lag=view.lag,
        stands_since=view.oldest,
        dead_letters=view.dead_letters,
        members=[_member(each) for each in view.members],
        partitions=[
            PartitionAnswer(
                topic=each.topic,
                partition=each.partition,
                next=each.next,
                end=each.end,
                lag=each.lag,
                moved_at=each.moved_at,
            )
            for each in view.partitions
        ],
    )


def _member(each: MemberReport | BrokerMember) -> MemberAnswer:
    if isinstance(each, BrokerMember):
        return MemberAnswer(member=each.id, process=each.process, partitions=each.partitions)
    return MemberAnswer(
        member=str(each.member),
        process=each.process,
        partitions=each.workload.partitions,
        waiting=each.workload.waiting,
        running=each.workload.running,
        retrying=each.workload.retrying,
        handled=each.workload.handled,
        seen_at=each.seen_at,
    )


def _letter(letter: Letter) -> LetterAnswer:
    record = letter.record
    return LetterAnswer(
        id=letter.id,
        type=letter.type,
        key=_text(record.key),
        error=letter.error,
        attempts=letter.attempts,
        buried_at=letter.buried_at,
        is_due=letter.is_due,
        headers={name: _text(value) for name, value in record.headers},
        value=None if record.value is None else base64.b64encode(record.value).decode(),
        stack=letter.stack,
    )


def _text(value: bytes | None) -> str | None:
    return None if value is None else value.decode("utf-8", "replace")
