"""Release what was held for too long."""

from bounded_contexts.inventory.application.commands import expire
from bounded_contexts.inventory.application.ports import Ports

LIMIT = 100  # orders read at once


async def expire_due(ports: Ports) -> int:
    """Expire every reservation whose time is over; return how many this call has. Several processes may do so at once."""
    expired = 0
    while due := await ports.held.due(ports.now(), LIMIT):
        answers = [await expire(order_id, ports) for order_id in due]
        expired += sum(len(each) for each in answers)
        if len(due) < LIMIT or not any(answers):  # the rest is for later: the list may be behind what others have done
            break
    return expired
