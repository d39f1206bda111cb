"""The processes that serve a context, and which of them is asked."""

from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass, field
from http import HTTPStatus
from itertools import count
from time import monotonic

AWAY_S = 5.0  # how long a process that could not be reached is asked last
LARGE_ANSWER_S = 3_600.0  # of a large body: who works on it has a limit of its own, which is shorter
MOST_SESSIONS = 100_000  # polling sessions whose process is known


@dataclass(frozen=True, slots=True)
class Patience:
    """How long an upstream may take, in seconds."""

    connect_s: float = 5.0
    answer_s: float = 60.0  # from the request to the head of the answer, and from one piece of the answer to the next


@dataclass(slots=True)
class Upstream:
    """A context's processes, at `urls`. Requests go around; those of one polling session to the process that has it."""

    context: str
    urls: Sequence[str]
    patience: Patience = field(default_factory=Patience)
    _turns: "count[int]" = field(default_factory=count)
    _away_until: dict[str, float] = field(default_factory=dict)
    _sessions: "OrderedDict[str, str]" = field(default_factory=OrderedDict)

    def candidates(self, session: str = "") -> list[str]:
        """Return whom to ask, one after the other until one can be reached."""
        if session in self._sessions:
            self._sessions.move_to_end(session)
            return [self._sessions[session]]
        turn = next(self._turns) % len(self.urls)
        now = monotonic()
        return sorted([*self.urls[turn:], *self.urls[:turn]], key=lambda url: self._away_until.get(url, now) > now)

    def away(self, url: str) -> None:
        """Note that the process could not be reached."""
        self._away_until[url] = monotonic() + AWAY_S

    def began(self, session: str, url: str) -> None:
        """Note which process a polling session belongs to."""
        self._sessions[session] = url
        if len(self._sessions) > MOST_SESSIONS:
            self._sessions.popitem(last=False)


def status_for(error: Exception) -> HTTPStatus:
    """Return what a client is told of a process that could not be asked."""
    return HTTPStatus.GATEWAY_TIMEOUT if isinstance(error, TimeoutError) else HTTPStatus.BAD_GATEWAY
