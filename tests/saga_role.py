"""The role `sagas` with more patience than the house has."""

from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import replace
from datetime import timedelta
from typing import Any
from uuid import UUID

import asyncpg

from headwater.wiring import House
from headwater.wiring_sagas import SAGAS
from infra.chores import run_chore
from infra.consumer import ConsumerRunner
from infra.group_control import PostgresGroupControl
from infra.sagas.module import NAME, module_of
from infra.sagas.runner import SagaRunner
from shared_kernel.saga import Definition, Step
from tests.probes import during

NEVER = timedelta(hours=1)  # is anybody silent for so long
WAITED = """
update sagas.step set due_at = now()
where saga in (select id from sagas.saga where key = any($1) order by id for update) and name = $2 and status = 'asked'"""


def patient(definition: Definition[Any]) -> Definition[Any]:
    """Return the saga with patience at every step, so that nothing is undone because a machine is slow."""

    def row(each: Step[Any] | tuple[Step[Any], ...]) -> Step[Any] | tuple[Step[Any], ...]:
        return tuple(map(step, each)) if isinstance(each, tuple) else step(each)

    def step(each: Step[Any]) -> Step[Any]:
        return replace(each, limit=NEVER)

    return replace(definition, steps=tuple(map(row, definition.steps)))


async def lose_patience(connection: "asyncpg.Connection[Any]", orders: Sequence[UUID], step: str) -> None:
    """Have the sagas of these orders have waited for long enough for the step's answer, where it has been asked."""
    await connection.execute(WAITED, orders, step)


@asynccontextmanager
async def running_sagas(house: House) -> AsyncIterator[SagaRunner]:
    """Run one patient member of the group and its timers while the block lasts."""
    control = PostgresGroupControl(house.databases[NAME], NAME)
    sagas = [patient(each) for each in SAGAS]
    runner = SagaRunner(house.databases[NAME], house.codec, sagas, lambda: control.is_paused(house.kafka.topic(NAME)))
    module = module_of(runner)
    (consumer,) = module.consumers
    member = ConsumerRunner(consumer, house.broker, house.codec, house.groups[NAME], house.bulk)
    async with AsyncExitStack() as stack:
        await stack.enter_async_context(during(member.run()))
        for chore in module.chores:
            await stack.enter_async_context(during(run_chore(chore)))
        yield runner
