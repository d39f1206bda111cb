"""What payments are asked, and what they learn of the provider. Each function writes exactly once."""

from uuid import UUID

from bounded_contexts.payments.application.ports import Ports
from bounded_contexts.payments.domain import payment
from bounded_contexts.payments.domain.commands import Ask, Command, Outcome, Settle, Step, payment_id_of
from bounded_contexts.payments.domain.payment import Payment
from shared_kernel.decider import execute

ATTEMPTS = 10  # a command, the chore and a webhook may meet at one payment, each with several steps


async def ask(command: Command, ports: Ports) -> Payment:
    """Record what a saga asks, before the provider hears of it; return the payment. Asking again changes nothing."""
    request = Ask(command=command, at=ports.now())
    state, _, _ = await execute(payment, ports.store, payment_id_of(command.order_id), request, ATTEMPTS)
    return state


async def settle(payment_id: UUID, step: Step, outcome: Outcome, ports: Ports) -> Payment:
    """Record how the provider has answered; return the payment. A step whose outcome is known stays as it is."""
    known = Settle(step=step, outcome=outcome, at=ports.now())
    state, _, _ = await execute(payment, ports.store, payment_id, known, ATTEMPTS)
    return state
