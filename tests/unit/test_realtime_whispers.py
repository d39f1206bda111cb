"""What a client can do without: it goes first when its queue fills."""

from datetime import UTC, datetime
from typing import Any
from uuid import uuid4

from bounded_contexts.realtime.adapters.outbox import Outbox
from bounded_contexts.realtime.adapters.session import Session
from bounded_contexts.realtime.application.own_messages import OwnMessages
from infra.access_tokens import User


class Line:
    """A connection whose client reads nothing."""

    def __init__(self) -> None:
        self.sid = "1"
        self.outbox = Outbox(6, 1 << 20)

    def send(self, packet: Any) -> None:
        self.outbox.put_nowait(packet)

    def dismiss(self) -> None: ...

    hang_up = cut = dismiss


async def test_a_whisper_takes_no_more_than_half_of_the_queue() -> None:
    ann = uuid4()
    session = Session(User(ann, frozenset(), datetime.now(UTC)), None, False, OwnMessages(ann), Line())

    before = session.whisper("typing.stopped", {})
    session.is_ready = True
    told = [session.whisper("typing.stopped", {"number": number}) for number in range(5)]

    assert before is False
    assert told == [True, True, True, False, False]
    assert not session.is_full
