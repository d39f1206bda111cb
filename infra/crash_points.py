"""Places at which a process may be told to kill itself, so that a test finds out what that leaves (docs/reliability.md).

Between two of them either nothing is stored or published, or it does not matter whether it was. A point is passed once for a
batch, never once for a message.
"""

import os
import signal
from typing import Literal, get_args

CrashPoint = Literal[
    "append.before-commit",
    "append.after-commit",
    "publish.after-acknowledgement",
    "relay.before-publish",
    "relay.after-publish",
    "relay.after-acknowledgement",
    "relay.after-deletion",
    "claim.after-commit",
    "batch.after-position",
    "batch.before-commit",
    "batch.after-commit",
    "lanes.before-commit",
    "lanes.after-commit",
    "offset.before-commit",
    "offset.after-commit",
    "letter.after-publish",
    "redrive.before-commit",
    "redrive.after-commit",
    "record.before-commit",
    "record.after-commit",
    "saga.after-save",
    "timer.before-commit",
    "timer.after-commit",
    "transform.after-publish",
    "transform.before-commit",
    "transform.after-commit",
]
CRASH_POINTS: tuple[CrashPoint, ...] = get_args(CrashPoint)

_armed: str | None = None
_left = 0  # how often the point is still to be reached, the last time included


def parsed(at: str) -> tuple[str, int]:
    """Return the point of `name[:nth]` and at which time it is meant, the first unless told. Raise `ValueError`."""
    name, _, nth = at.partition(":")
    if name not in CRASH_POINTS:
        raise ValueError(f"there is no crash point {name}; there are {', '.join(CRASH_POINTS)}")
    if nth and not (nth.isascii() and nth.isdigit() and int(nth)):
        raise ValueError(f"{nth}: behind the colon stands a number from 1 on")
    return name, int(nth or 1)


def arm(at: str) -> None:
    """Have this process kill itself there. Raise `ValueError`."""
    global _armed, _left
    _armed, _left = parsed(at)


def crash_point(name: CrashPoint) -> None:
    """Die here, without any farewell, if somebody asked for it."""
    if name == _armed:
        _come_there()


def _come_there() -> None:
    global _left
    _left -= 1
    if _left == 0:
        os.kill(os.getpid(), signal.SIGKILL)
