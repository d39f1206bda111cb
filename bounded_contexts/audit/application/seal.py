"""Make roots: one when the UTC day has turned, others when somebody asks."""

from bounded_contexts.audit.application.ports import Ports
from bounded_contexts.audit.domain.root import Root, body_of


async def seal(ports: Ports) -> Root | None:
    """Make a root over the heads of all chains. Return None if another process has just made one."""
    return await _sealed(ports, await ports.log.last_root())


async def seal_daily(ports: Ports) -> Root | None:
    """Make the day's first root, unless it is there: it covers all of the day before."""
    previous = await ports.log.last_root()
    if previous and previous.made_at.date() >= ports.now().date():
        return None
    return await _sealed(ports, previous)


async def _sealed(ports: Ports, previous: Root | None) -> Root | None:
    number, made_at = (previous.number if previous else 0) + 1, ports.now()
    body = body_of(number, made_at, previous, await ports.log.heads())
    root = Root(number, made_at, body, ports.key.sign(body), ports.key.public_key)
    return root if await ports.log.seal(root) else None
