"""The records that every consuming side reads: messages of 100 conversations, sealed and encoded as the product does."""

import asyncio
from collections.abc import Iterator
from datetime import UTC, datetime
from itertools import count
from uuid import UUID, uuid4

from infra.envelope import seal
from schemas.messaging.events import MessageSent
from shared_kernel.events import event_key
from tests.load.side import opened

KEYS = 100
BODY = "x" * 32  # about 200 bytes with the rest
AT_ONCE = 5_000


def messages() -> Iterator[MessageSent]:
    """Yield messages of the conversations in turn; `client_id` counts them."""
    conversations = [uuid4() for _ in range(KEYS)]
    sender, recipient, first = uuid4(), uuid4(), uuid4().int >> 1
    for number in count():
        yield MessageSent(
            message_id=UUID(int=first + number),
            conversation_id=conversations[number % KEYS],
            sender_id=sender,
            recipient_ids=(recipient,),
            client_id=str(number),
            body=BODY,
            sent_at=datetime.now(UTC),
        )


class Order:
    """Notices when a message is handled before an earlier one of its conversation."""

    def __init__(self) -> None:
        self.violations = 0
        self._last: dict[UUID, int] = {}

    def note(self, message: MessageSent) -> None:
        number = int(message.client_id)
        self.violations += number <= self._last.get(message.conversation_id, -1)
        self._last[message.conversation_id] = number


async def fill(records: int) -> dict[str, float]:
    """Put so many messages on the topic."""
    made = messages()
    async with opened() as house:
        for done in range(0, records, AT_ONCE):
            await asyncio.gather(
                *(
                    house.bulk.send(each.TOPIC, event_key(each), house.codec.encode(each), seal(each))
                    for _, each in zip(range(min(AT_ONCE, records - done)), made, strict=False)
                )
            )
    return {"records": records}
