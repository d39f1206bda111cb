"""Do what is due by the clock, in the role of a consumer group."""

import asyncio

import structlog

from infra.postgres import is_transient
from shared_kernel.module import Chore

log = structlog.get_logger()


async def run_chore(chore: Chore) -> None:
    """Do it until cancelled."""
    while True:
        try:
            await chore.call()
        except Exception as error:
            if is_transient(error):
                log.warning("chore.waiting", chore=chore.does, group=chore.group, detail=str(error))
            else:
                log.error("chore.failed", chore=chore.does, group=chore.group, exc_info=error)
        await asyncio.sleep(chore.every.total_seconds())
