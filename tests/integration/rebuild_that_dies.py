"""`headwater rebuild` that kills itself at a point. Started by a test."""

import os
import signal
import sys
from collections.abc import Awaitable, Callable
from typing import Any

from bounded_contexts.messaging.adapters.history_postgres import PostgresHistory
from headwater.cli import main
from infra.rebuild import _Run
from infra.shadow import Shadow


def deadly(work: Callable[..., Awaitable[Any]]) -> Callable[..., Awaitable[Any]]:
    """Return the work that is the last thing this process does."""

    async def call(*arguments: Any) -> None:
        await work(*arguments)
        os.kill(os.getpid(), signal.SIGKILL)

    return call


POINTS: dict[str, tuple[type, str]] = {
    "made": (Shadow, "create"),
    "reading": (PostgresHistory, "edited"),  # some partitions have committed, this one has not
    "switched": (_Run, "_take_over"),  # all is done and nothing committed
}
owner, name = POINTS[sys.argv.pop(1)]
setattr(owner, name, deadly(getattr(owner, name)))
main()
