"""What the provider tells by itself settles steps whose outcome was not known."""

from dataclasses import dataclass
from typing import get_args
from uuid import UUID

import structlog

from bounded_contexts.payments.application.commands import settle
from bounded_contexts.payments.application.ports import Ports, Statement
from bounded_contexts.payments.application.settling import is_of, outcome_of
from bounded_contexts.payments.domain import payment
from bounded_contexts.payments.domain.commands import Step
from shared_kernel.decider import state_of
from shared_kernel.errors import Refused, Taken

log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class Told:
    """A payment as the provider tells of it."""

    payment_id: UUID
    statement: Statement


async def told(event_id: str, attempted_at: int, news: Told, ports: Ports) -> None:
    """Take over what the provider tells, in whatever order and however often it does. Raise `Taken` for the very request that
    was taken before, `Refused` for a payment of another amount.

    What follows from it is for the role that talks with the provider. The request is noted last: one that failed half-way can be
    made again, and what it has settled already stays as it is."""
    await _take_over(news, ports)
    if not await ports.heard.first(event_id, attempted_at, ports.now()):
        raise Taken("replayed", "this request was accepted before")


async def _take_over(news: Told, ports: Ports) -> None:
    state, _ = await state_of(payment, ports.store, news.payment_id)
    if state.currency is None:
        log.warning("payments.told_of_nobodys", payment_id=str(news.payment_id))
        return
    if not is_of(state, news.payment_id, news.statement):
        raise Refused("payment_differs", "the payment was of another amount")
    for step in get_args(Step):
        if outcome := outcome_of(step, news.statement):
            await settle(news.payment_id, step, outcome, ports)
