"""Work on one document in a consumer's process: tried again where it is lost, ended when nobody wants it any more."""

import asyncio
from collections.abc import Awaitable, Callable, Coroutine
from typing import Protocol
from uuid import UUID

import structlog

LOOK_S = 1.0  # between looks at whether it is still wanted
PAUSE_S = 1.0  # before what was lost is tried again, then twice as long each time

log = structlog.get_logger()


class Lost(Exception):
    """The work came to nothing, through no fault that is known of the document."""

    def __init__(self, code: str) -> None:
        super().__init__(code)
        self.code = code


class Attempt(Protocol):
    """One try at one document."""

    def work(self, why: str | None) -> Coroutine[None, None, None]:
        """Do it, and record what came of it; `why` is the code of what ended the former try. Raise `Lost`, `Unavailable`."""
        ...

    async def is_wanted(self) -> bool:
        """Return whether anybody still waits for it."""
        ...


async def until_over(document_id: UUID, begin: Callable[[], Awaitable[Attempt | None]]) -> None:
    """Try until `begin` has nothing more to try. Raise `Unavailable` where it could not even be begun, which is no attempt."""
    why, pause = None, PAUSE_S
    while attempt := await begin():
        try:
            await _while_wanted(attempt, why)
        except Lost as lost:
            why = lost.code
            log.warning("documents.attempt_lost", document_id=str(document_id), code=why)
            await asyncio.sleep(pause)
            pause *= 2


async def _while_wanted(attempt: Attempt, why: str | None) -> None:
    work = asyncio.create_task(attempt.work(why))
    try:
        while not work.done():
            await asyncio.wait([work], timeout=LOOK_S)
            if not work.done() and not await attempt.is_wanted():
                return
    finally:
        work.cancel()
        await asyncio.wait([work])
    work.result()
