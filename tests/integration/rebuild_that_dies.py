"""`headwater rebuild` that kills itself at a point, or is told to stop by Ctrl-C. Started by a test."""

import os
import signal
import sys
from collections.abc import Awaitable, Callable
from typing import Any

from bounded_contexts.messaging.adapters.history_postgres import PostgresHistory
from headwater.cli import main
from infra.rebuild import _Run
from infra.shadow import Shadow


def deadly(work: Callable[..., Awaitable[Any]], ending: signal.Signals) -> Callable[..., Awaitable[Any]]:
    """Return the work, behind which the process is told to end."""

    signals = iter([ending])  # once: people wait a second after Ctrl-C

    async def call(*arguments: Any) -> None:
        await work(*arguments)
        for each in signals:
            os.kill(os.getpid(), each)

    return call


POINTS: dict[str, tuple[type, str, signal.Signals]] = {
    "made": (Shadow, "create", signal.SIGKILL),
    "reading": (PostgresHistory, "edited", signal.SIGKILL),  # some partitions have committed, this one has not
    "switched": (_Run, "_take_over", signal.SIGKILL),  # all is done and nothing committed
    "interrupted": (PostgresHistory, "edited", signal.SIGINT),
}
owner, name, ending = POINTS[sys.argv.pop(1)]
setattr(owner, name, deadly(getattr(owner, name), ending))
main()
