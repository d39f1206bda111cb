"""The role `sagas` with another patience than the house has."""

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import replace
from datetime import timedelta
from typing import Any

from headwater.wiring import House
from headwater.wiring_sagas import SAGAS
from infra.chores import run_chore
from infra.consumer import ConsumerRunner
from infra.group_control import PostgresGroupControl
from infra.sagas.module import NAME, module_of
from infra.sagas.runner import SagaRunner
from shared_kernel.saga import Definition, Step
from tests.probes import during

SOON = timedelta(seconds=1)


def hastened(definition: Definition[Any], limit: timedelta, *names: str) -> Definition[Any]:
    """Return the saga with so much patience at these steps, at every one if none is named."""

    def row(each: Step[Any] | tuple[Step[Any], ...]) -> Step[Any] | tuple[Step[Any], ...]:
        if isinstance(each, tuple):
            return tuple(map(step, each))
        return step(each)

    def step(each: Step[Any]) -> Step[Any]:
        return replace(each, limit=limit) if not names or each.name in names else each

    return replace(definition, steps=tuple(map(row, definition.steps)))


@asynccontextmanager
async def running_sagas(house: House, limit: timedelta = SOON, *names: str) -> AsyncIterator[SagaRunner]:
    """Run one member of the group and its timers while the block lasts."""
    control = PostgresGroupControl(house.databases[NAME], NAME)
    sagas = [hastened(each, limit, *names) for each in SAGAS]
    runner = SagaRunner(house.databases[NAME], house.codec, sagas, lambda: control.is_paused(house.kafka.topic(NAME)))
    module = module_of(runner)
    (consumer,) = module.consumers
    member = ConsumerRunner(consumer, house.broker, house.codec, house.groups[NAME], house.bulk)
    async with AsyncExitStack() as stack:
        await stack.enter_async_context(during(member.run()))
        for chore in module.chores:
            await stack.enter_async_context(during(run_chore(chore)))
        yield runner
