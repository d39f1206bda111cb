"""Ask the provider for what is due, until nothing is or its answer is not known.

Whoever was killed in between is followed by another who asks again, with the same keys: the saga's command is delivered again,
and `resolve` looks for what nobody is at any more.
"""

from datetime import timedelta
from uuid import UUID

import structlog

from bounded_contexts.payments.application.commands import ask, settle
from bounded_contexts.payments.application.ports import Instruction, Ports, Statement, Unknown
from bounded_contexts.payments.domain import payment
from bounded_contexts.payments.domain.commands import (
    Command,
    Declined,
    Done,
    Outcome,
    Step,
    payment_id_of,
    step_id,
)
from bounded_contexts.payments.domain.payment import Payment, due
from shared_kernel.decider import state_of
from shared_kernel.errors import Unavailable

OVERDUE = timedelta(seconds=10)  # longer than a call with its retries takes
PAGE = 100  # payments looked for at once
AWAY = 20  # payments in a row that the provider says nothing of: more than have a circuit breaker open

log = structlog.get_logger()


async def hear(command: Command, ports: Ports) -> None:
    """Do what a saga asks. Where the provider does not answer, the command is heard all the same, and `resolve` goes on: the
    undo that a saga asks for when it has waited long enough must not queue behind the do."""
    state = await ask(command, ports)
    await _pursue(payment_id_of(command.order_id), state, ports)


async def resolve(ports: Ports) -> None:
    """Find out what has become of the payments that have waited for the provider for a while. Safe to repeat, and to do by
    several at once."""
    since, after, silent = ports.now() - OVERDUE, None, 0
    while ids := await ports.payments.waiting(since, PAGE, after):
        for id_ in ids:
            # One that is never answered must not hold up the others; where nobody is, the provider is away.
            silent = 0 if await _attended(id_, ports) else silent + 1
            if silent == AWAY:
                return
        after = ids[-1]


async def _attended(payment_id: UUID, ports: Ports) -> bool:
    """Return as `_resolved` does, True where it failed for a reason of the payment's own. Raise `Unavailable`: the others would
    fail, too."""
    try:
        return await _resolved(payment_id, ports)
    except Unavailable:
        raise
    except Exception as error:  # whatever is wrong with it, others wait behind it
        log.exception("payments.not_resolved", payment_id=str(payment_id), error=type(error).__name__)
        return True


async def _resolved(payment_id: UUID, ports: Ports) -> bool:
    """Return whether the provider has said what it knows."""
    state, _ = await state_of(payment, ports.store, payment_id)
    if (step := due(state)) is None:
        return True
    # Looked up first: a provider forgets keys after a while, and would take an old request for a new one.
    statement = await ports.provider.look_up(payment_id)
    if isinstance(statement, Unknown):
        log.warning("payments.not_looked_up", payment_id=str(payment_id), why=statement.why)
        return False
    if statement and not is_of(state, payment_id, statement):
        return True  # it would not do what it is asked for, either
    if statement and (outcome := outcome_of(step, statement)):
        state = await settle(payment_id, step, outcome, ports)
    await _pursue(payment_id, state, ports)
    return True


async def _pursue(payment_id: UUID, state: Payment, ports: Ports) -> None:
    while step := due(state):
        outcome = await ports.provider.ask(_instruction(payment_id, step, state))
        if isinstance(outcome, Unknown):
            log.warning("payments.outcome_unknown", payment_id=str(payment_id), step=step, why=outcome.why)
            return
        if step == "refund" and isinstance(outcome, Declined):
            log.error("payments.refund_declined", payment_id=str(payment_id), reason=outcome.reason)
        state = await settle(payment_id, step, outcome, ports)


def _instruction(payment_id: UUID, step: Step, state: Payment) -> Instruction:
    declined = state.refunds_declined if step == "refund" else 0
    key = step_id(payment_id, step, declined)
    return Instruction(step, payment_id, key, state.amount_minor, state.currency or "")


def is_of(state: Payment, payment_id: UUID, statement: Statement) -> bool:
    """Return whether the provider speaks of the amount that it was asked for."""
    if (statement.amount_minor, statement.currency) == (state.amount_minor, state.currency):
        return True
    log.error("payments.provider_disagrees", payment_id=str(payment_id), state=statement.state)
    return False


def outcome_of(step: Step, statement: Statement) -> Outcome | None:
    """Return what a payment in this state says about the step, None if the step has not happened yet."""
    done = Done(statement.reference)
    match step, statement.state:
        case "authorize", "declined":
            return Declined(statement.reason)
        case (
            ("authorize", _)
            | ("capture", "captured" | "refunded")
            | ("void", "voided" | "declined")
            | ("refund", "refunded")
        ):
            return done
        case "capture", "voided":
            return Declined("voided_before")
        case "void", "captured" | "refunded":
            return Declined("already_captured")
        case _:
            return None
