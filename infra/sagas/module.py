"""The door of the sagas: one consumer group hears for all of them, and fires their timers."""

from pathlib import Path

from infra.sagas.runner import COUNT_EVERY, LOOK_EVERY, SagaRunner
from shared_kernel.module import Chore, Consumer, Module, on

NAME = "sagas"  # of the group and its role, the database schema and its role
MIGRATIONS = Path(__file__).parent / "migrations"


def module_of(runner: SagaRunner) -> Module:
    """Return the sagas as wiring knows them."""
    hearing = Consumer(
        NAME,
        tuple(on(event, runner.hear) for event in runner.events),
        does="leads flows across contexts, and back",
        parks=True,
        together=runner.together,
    )
    timers = Chore(NAME, "fires the timers of sagas", LOOK_EVERY, runner.fire)
    counting = Chore(NAME, "counts sagas", COUNT_EVERY, runner.count)
    return Module(name=NAME, consumers=(hearing,), chores=(timers, counting), has_outbox=True)
