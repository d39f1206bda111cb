"""The newest deliveries of this node, within a limit of records and bytes: what lagging and returning clients get."""

from bisect import bisect_right
from collections import OrderedDict, defaultdict, deque
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field, replace
from heapq import merge
from itertools import islice
from sys import getsizeof
from uuid import UUID

from bounded_contexts.realtime.application.reactions import Delivery, Recipient
from shared_kernel.events import Position, Recorded
from shared_kernel.module import Offsets

ENTRY_BYTES = 900  # what an entry takes beside its texts
RECIPIENT_BYTES = 400  # and for each recipient: its place in the index, and its name in the data

Reading = dict[str, dict[int, int]]  # `Offsets` that move


@dataclass(slots=True, eq=False)
class Entry:
    """A delivery and where it lies."""

    seq: int  # counts this node's deliveries
    position: Position
    id: str
    delivery: Delivery
    text: str  # as it is sent, up to the position
    bytes: int = field(init=False)  # that it is taken to hold

    def __post_init__(self) -> None:
        self.weigh()

    def weigh(self) -> None:
        """Count what it holds: its data as well as the text made of that, each as wide as its widest character."""
        data = sum(getsizeof(each) for each in self.delivery.data.values())
        self.bytes = ENTRY_BYTES + getsizeof(self.text) + data + RECIPIENT_BYTES * len(self.delivery.recipients)


class Recent:
    """Holds deliveries in the order they were read and knows how far reading has come.

    Ids are kept for longer than deliveries, so a record that comes again is recognised."""

    def __init__(self, most_records: int, most_bytes: int) -> None:
        self.reached: Reading = {}  # everything before it has been delivered
        self._begins: Reading = {}  # everything from it on is here
        self._most_records, self._most_bytes = most_records, most_bytes
        self._bytes = 0
        self._last = 0
        self._entries: deque[Entry] = deque()
        self._of: defaultdict[Recipient, list[Entry]] = defaultdict(list)
        self._first: OrderedDict[str, Position] = OrderedDict()  # event id → its first record

    def begin(self, start: Offsets) -> None:
        """Say where reading starts, before anything is added."""
        self._begins, self.reached = copied(start), copied(start)

    def reach(self, offsets: Offsets) -> None:
        """Note how far reading has come, also past records that are nobody's delivery."""
        for topic, partitions in offsets.items():
            known = self.reached.setdefault(topic, {})
            for number, offset in partitions.items():
                if offset > known.setdefault(number, 0):
                    known[number] = offset
                # A partition that was added since is here from its beginning on.
                self._begins.setdefault(topic, {}).setdefault(number, offset)

    def is_news(self, recorded: Recorded) -> bool:
        """Return whether neither this record nor another one with its id has been read."""
        at = recorded.position
        return at.offset >= self.reached.get(at.topic, {}).get(at.partition, 0) and recorded.id not in self._first

    def repeats(self, recorded: Recorded) -> bool:
        """Return whether this record, read again from the past, has the id of one that comes before it."""
        first, at = self._first.get(recorded.id), recorded.position
        if first is None or first == at:
            return False
        return (first.topic, first.partition) != (at.topic, at.partition) or first.offset < at.offset

    def add(self, recorded: Recorded, delivery: Delivery, text: str) -> Entry:
        """Keep the delivery; forget the oldest ones that are too many."""
        self._last += 1
        entry = Entry(self._last, recorded.position, recorded.id, delivery, text)
        self._entries.append(entry)
        for recipient in delivery.recipients:
            self._of[recipient].append(entry)
        self._bytes += entry.bytes
        self.passed(recorded)
        while len(self._entries) > self._most_records or (self._bytes > self._most_bytes and len(self._entries) > 1):
            self._forget()
        return entry

    def clear(self, message: UUID, revised: Callable[[str, Delivery, Delivery], str]) -> None:
        """Keep the deliveries of the message without its text; `revised` puts one delivery for another into a text."""
        for entry in self._entries:
            former = entry.delivery
            if former.data.get("id") == str(message) and former.data.get("body"):
                self._bytes -= entry.bytes
                entry.delivery = replace(former, data={**former.data, "body": ""})
                entry.text = revised(entry.text, former, entry.delivery)
                entry.weigh()
                self._bytes += entry.bytes

    def passed(self, recorded: Recorded) -> None:
        """Note that the record has been read."""
        at = recorded.position
        self._begins.setdefault(at.topic, {}).setdefault(at.partition, at.offset)
        partitions = self.reached.setdefault(at.topic, {})
        partitions[at.partition] = max(at.offset + 1, partitions.get(at.partition, 0))
        if recorded.id:
            self._first.setdefault(recorded.id, at)
            if len(self._first) > 2 * self._most_records:
                self._first.popitem(last=False)

    @property
    def begins(self) -> Offsets:
        """Return from where on everything is here, per partition."""
        return copied(self._begins)

    @property
    def start(self) -> int:
        """Return the `seq` before the oldest delivery that is here."""
        return self._entries[0].seq - 1 if self._entries else self._last

    def missing(self, position: Offsets) -> int:
        """Return how many records lie between the position and what is here."""
        return sum(
            max(begin - position.get(topic, {}).get(number, 0), 0)
            for topic, begins in self._begins.items()
            for number, begin in begins.items()
        )

    def is_ahead(self, position: Offsets) -> bool:
        """Return whether the position is beyond what has been read."""
        return any(
            offset > reached.get(number, 0)
            for topic, reached in self.reached.items()
            for number, offset in position.get(topic, {}).items()
        )

    def within(self, position: Offsets) -> Reading:
        """Return the position on the partitions that are read here; one it does not name was empty then."""
        return {
            topic: {number: position.get(topic, {}).get(number, 0) for number in partitions}
            for topic, partitions in self.reached.items()
        }

    def after(self, recipients: Iterable[Recipient], seq: int, limit: int) -> list[Entry] | None:
        """Return the recipients' next deliveries after `seq`, or None when some of anybody's have been forgotten."""
        if seq < self.start:
            return None
        found = []
        for recipient in recipients:
            entries = self._of.get(recipient, [])
            at = bisect_right(entries, seq, key=_seq)
            found.append(entries[at : at + limit])
        return found[0] if len(found) == 1 else list(islice(merge(*found, key=_seq), limit))

    def _forget(self) -> None:
        entry = self._entries.popleft()
        self._bytes -= entry.bytes
        at = entry.position
        self._begins[at.topic][at.partition] = at.offset + 1
        for recipient in entry.delivery.recipients:
            entries = self._of[recipient]
            del entries[0]
            if not entries:
                del self._of[recipient]


def copied(offsets: Offsets) -> Reading:
    """Return offsets that may be changed."""
    return {topic: dict(partitions) for topic, partitions in offsets.items()}


def _seq(entry: Entry) -> int:
    return entry.seq
