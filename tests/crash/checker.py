"""Compare what was promised with what there is. It shares no code with what it judges, not even how ids are made."""

from bisect import bisect_left
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from itertools import chain
from math import inf
from typing import NamedTuple

from tests.crash.evidence import EFFECTS, Event, Evidence, Partition, Row
from tests.crash.history import Kind, Operation

State = tuple[str, str, str, int, bool]  # id, name, text, version, whether deleted
Naming = tuple[Kind, str, Callable[[Event], str]]  # what was asked, the event it leads to, and its name by that event
PREVIEW = 120  # characters; the texts of the workload are shorter


class Violation(NamedTuple):
    """A promise that was broken."""

    kind: str  # lost, doubled, phantom, reordered, wrong, position, dead, unfinished; of orders also both, stock, money
    what: str


@dataclass(slots=True)
class Said:
    """A message as the topic tells it."""

    first: Event
    body: str
    version: int = 1
    is_deleted: bool = False
    edits: set[str] = field(default_factory=set)

    @property
    def name(self) -> str:
        return str(self.first.data["client_id"])

    @property
    def shown(self) -> str:
        return "" if self.is_deleted else self.body


def check(evidence: Evidence) -> list[Violation]:
    """Return every broken promise, none when all were kept."""
    said = told(evidence.events)
    checks = (
        _topic(evidence, said),
        _table(evidence, said),
        _histories(evidence, said),
        _inbox(evidence, said),
        _unread(evidence, said),
        _sockets(evidence, said),
        _decisions(evidence),
        positions(evidence.positions, evidence.ends, EFFECTS),
        _moments(evidence, said),
        (Violation("dead", f"{row}") for row in evidence.dead),
    )
    return list(chain.from_iterable(checks))


def told(events: Iterable[Event]) -> dict[str, Said]:
    """Return message id → what the topic says of it, in the topic's order; a repeated record says nothing new."""
    said: dict[str, Said] = {}
    for event in events:
        if event.topic != "messages":
            continue
        known = said.get(event.data["message_id"])
        if event.type == "MessageSent" and known is None:
            said[event.data["message_id"]] = Said(event, event.data["body"])
        elif event.type == "MessageEdited" and known and not known.is_deleted and event.id not in known.edits:
            known.edits.add(event.id)
            known.body, known.version = event.data["body"], known.version + 1
        elif event.type == "MessageDeleted" and known:
            known.is_deleted = True
    return said


def by_conversation(said: Mapping[str, Said]) -> dict[str, list[Said]]:
    """Return conversation → its messages in the topic's order."""
    grouped: dict[str, list[Said]] = defaultdict(list)
    for each in said.values():
        grouped[each.first.data["conversation_id"]].append(each)
    return grouped


def _topic(evidence: Evidence, said: Mapping[str, Said]) -> Iterator[Violation]:
    """Every acknowledged request is there, none that was refused, nobody else's, in the order of the acknowledgements."""
    naming: tuple[Naming, ...] = (
        ("send", "MessageSent", lambda event: event.data["client_id"]),
        ("edit", "MessageEdited", lambda event: event.data["body"]),
        ("delete", "MessageDeleted", lambda event: said[event.data["message_id"]].name + " deleted"),
        ("rename", "ConversationRenamed", lambda event: event.data["title"]),
    )
    yield from acknowledged(evidence.operations, evidence.events, naming)
    for conversation in by_conversation(said).values():
        homes = {(each.first.partition, each.first.key) for each in conversation}
        if len(homes) > 1:
            yield Violation("reordered", f"topic: one conversation in {homes}")


def acknowledged(
    operations: Sequence[Operation], events: Sequence[Event], naming: Iterable[Naming]
) -> Iterator[Violation]:
    """Compare what was asked with what happened: lost, refused and yet there, nobody's, twice, or overtaken within its key."""
    asked = {each.name: each for each in operations}
    for kind, type_, name_of in naming:
        found = [(name_of(event), event) for event in events if event.type == type_]
        ids: dict[str, set[str]] = defaultdict(set)
        by_key: dict[str, dict[str, None]] = defaultdict(dict)
        for name, event in found:
            ids[name].add(event.id)
            if name in asked:
                by_key[event.key].setdefault(name)
        wanted = [each for each in operations if each.kind == kind]
        yield from (
            Violation("lost", f"topic: {each}") for each in wanted if each.outcome == "ok" and each.name not in ids
        )
        yield from (
            Violation("phantom", f"topic: {each}") for each in wanted if each.outcome == "fail" and each.name in ids
        )
        yield from (Violation("phantom", f"topic: {name}") for name in ids if name not in asked)
        yield from (Violation("doubled", f"topic: {name} as {all_}") for name, all_ in ids.items() if len(all_) > 1)
        for names in by_key.values():
            late = overtaken([asked[name] for name in names])
            yield from (Violation("reordered", f"topic: {each}") for each in late)


def overtaken(operations: Sequence[Operation]) -> Iterator[Operation]:
    """Yield, from operations in the order they took effect, those that began after a later one was acknowledged."""
    earliest = inf
    for each in reversed(operations):
        if each.begun > earliest:
            yield each
        if each.outcome == "ok" and each.ended is not None:
            earliest = min(earliest, each.ended)


def _table(evidence: Evidence, said: Mapping[str, Said]) -> Iterator[Violation]:
    """The table is the topic's messages, once each, numbered 1, 2, 3 … in the topic's order."""
    yield from _same(
        "table",
        by_conversation(said),
        _grouped(evidence.messages),
        lambda row: (row["message_id"], row["client_id"], row["body"], row["version"], row["deleted_at"] is not None),
        lambda each: (each.first.data["message_id"], each.name, each.body, each.version, each.is_deleted),
    )


def _histories(evidence: Evidence, said: Mapping[str, Said]) -> Iterator[Violation]:
    """Every reader is shown the same."""
    conversations = by_conversation(said)
    for (reader, conversation), shown in evidence.histories.items():
        yield from _same(
            f"REST for {reader}",
            {conversation: conversations.get(conversation, [])},
            {conversation: shown},
            lambda row: (row["id"], row["client_id"], row["body"], row["version"], row["deleted_at"] is not None),
            lambda each: (each.first.data["message_id"], each.name, each.shown, each.version, each.is_deleted),
        )
    readers = Counter(conversation for _, conversation in evidence.histories)
    yield from (Violation("lost", f"REST: {each} has no two readers") for each in conversations if readers[each] < 2)


def _same(
    where: str,
    conversations: Mapping[str, Sequence[Said]],
    rows_of: Mapping[str, Sequence[Row]],
    of_row: Callable[[Row], State],
    of_said: Callable[[Said], State],
) -> Iterator[Violation]:
    for conversation in conversations.keys() | rows_of.keys():
        wanted = [of_said(each) for each in conversations.get(conversation, ())]
        rows = [(row["seq"], of_row(row)) for row in rows_of.get(conversation, ())]
        found = [row for _, row in rows]
        at = f"{where}, conversation {conversation}"
        yield from compared(at, [row[0] for row in wanted], [row[0] for row in found])
        states = dict(zip((row[0] for row in wanted), wanted, strict=True))
        yield from (
            Violation("wrong", f"{at}: {row} is {states[row[0]]}") for row in found if states.get(row[0], row) != row
        )
        if [seq for seq, _ in rows] != list(range(1, len(rows) + 1)):
            yield Violation("reordered", f"{at}: numbers {[seq for seq, _ in rows][:20]}…")


def compared(at: str, wanted: Sequence[str], found: Sequence[str]) -> Iterator[Violation]:
    """Compare two sequences of ids: what is missing, there twice, too much, in another order."""
    times = Counter(found)
    yield from (Violation("lost", f"{at}: {id_}") for id_ in wanted if not times[id_])
    yield from (Violation("doubled", f"{at}: {id_} {n} times") for id_, n in times.items() if n > 1)
    known = set(wanted)
    yield from (Violation("phantom", f"{at}: {id_}") for id_ in times if id_ not in known)
    common = [id_ for id_ in dict.fromkeys(wanted) if times[id_]]
    once = [id_ for id_ in dict.fromkeys(found) if id_ in known]
    if common != once:
        yield Violation(
            "reordered", f"{at}: {next(pair for pair in zip(common, once, strict=True) if pair[0] != pair[1])}"
        )


def _inbox(evidence: Evidence, said: Mapping[str, Said]) -> Iterator[Violation]:
    """Every recipient has one entry of every message, with the newest text or, if it was deleted, withdrawn."""
    wanted = {(id_, user): each for id_, each in said.items() for user in each.first.data["recipient_ids"]}
    found = Counter((row["cause_id"], row["recipient_id"]) for row in evidence.entries)
    yield from (Violation("lost", f"inbox: {each}") for each in wanted if not found[each])
    yield from (Violation("doubled", f"inbox: {each}") for each, times in found.items() if times > 1)
    yield from (Violation("phantom", f"inbox: {each}") for each in found if each not in wanted)
    for row in evidence.entries:
        each = wanted.get((row["cause_id"], row["recipient_id"]))
        if each and (row["preview"], row["withdrawn_at"] is not None) != (each.shown[:PREVIEW], each.is_deleted):
            yield Violation("wrong", f"inbox: {row} is {each}")


def _unread(evidence: Evidence, said: Mapping[str, Said]) -> Iterator[Violation]:
    """The counts are those of the topics: what was not deleted, and of it what nobody marked."""
    until: dict[str, datetime] = {}
    for event in evidence.events:
        if event.type == "NotificationsRead" and (mark := event.data["all_until"]):
            user = event.data["recipient_id"]
            until[user] = max(mark, until.get(user, mark))
    counts: dict[str, list[int]] = defaultdict(lambda: [0, 0])
    for each in said.values():
        for user in () if each.is_deleted else each.first.data["recipient_ids"]:
            counts[user][0] += 1
            counts[user][1] += user not in until or each.first.data["sent_at"] > until[user]
    for user, shown in evidence.unread.items():
        if shown != tuple(counts[user]):
            yield Violation("wrong", f"counts of {user}: {shown}, the topics say {counts[user]}")


def _sockets(evidence: Evidence, said: Mapping[str, Said]) -> Iterator[Violation]:
    """A socket that came back again and again heard every message of its user, in each conversation's order."""
    conversations = by_conversation(said)
    for user, heard in evidence.heard.items():
        mine: set[str] = set()
        for conversation, messages in conversations.items():
            data = messages[0].first.data
            if user not in (data["sender_id"], *data["recipient_ids"]):
                continue
            found = [each.name for each in heard if (each.type, each.conversation) == ("message.created", conversation)]
            yield from compared(f"socket of {user}, {conversation}", [each.name for each in messages], found)
            mine.add(conversation)
        created = [each for each in heard if each.type == "message.created"]
        yield from (
            Violation("phantom", f"socket of {user}: {each}") for each in created if each.conversation not in mine
        )


def _decisions(evidence: Evidence) -> Iterator[Violation]:
    """What the event store has is on the topic, stream by stream in order, and nothing else is; titles follow."""
    stored: dict[str, list[str]] = defaultdict(list)
    for row in evidence.stored:
        stored[row["stream"]].append(row["id"])
        if row["version"] != len(stored[row["stream"]]):
            yield Violation("reordered", f"event store: {row}")
    sent: dict[str, dict[str, None]] = defaultdict(dict)
    titles: dict[str, str] = {}
    for event in evidence.events:
        if event.topic == "conversations" and event.id not in sent[event.key]:
            sent[event.key][event.id] = None
            titles[event.key] = event.data.get("title") or titles.get(event.key, "")
    for stream in stored.keys() | sent.keys():
        yield from compared(f"topic, stream {stream}", stored[stream], list(sent[stream]))
    if titles != evidence.titles:
        yield Violation("wrong", f"titles: {sorted(set(titles.items()) ^ set(evidence.titles.items()))}")
    if evidence.outbox:
        yield Violation("unfinished", f"outbox: {evidence.outbox} row(s)")


def positions(rows: Sequence[Row], ends: Mapping[Partition, int], groups: Iterable[str]) -> Iterator[Violation]:
    """Every group stands at the end of its partitions and has left nothing out; these stand somewhere."""
    at = {(row["group"], row["topic"], row["partition"]): row for row in rows}
    used = {(row["group"], row["topic"]) for row in rows}
    for group, topic in sorted(used):
        for (name, number), end in ends.items():
            if name != topic:
                continue
            row = at.get((group, topic, number), {"next": 0, "beyond": []})
            if row["next"] > end:
                yield Violation("position", f"{group} stands at {row['next']} of {topic}/{number}, which ends at {end}")
            elif row["next"] < end or row["beyond"]:
                yield Violation("unfinished", f"{group} stands at {row['next']} of {end} in {topic}/{number}")
    for group in {*groups} - {group for group, _ in used}:
        yield Violation("unfinished", f"{group} stands nowhere")


def _moments(evidence: Evidence, said: Mapping[str, Said]) -> Iterator[Violation]:
    """At every moment a group had stored exactly what lies before its position."""
    places: dict[str, tuple[Partition, list[int], list[int]]] = {}
    for conversation, messages in by_conversation(said).items():
        first = messages[0].first
        recipients = [0]
        for each in messages:
            recipients.append(recipients[-1] + len(each.first.data["recipient_ids"]))
        places[conversation] = ((first.topic, first.partition), [each.first.offset for each in messages], recipients)
    for moment in evidence.moments:
        for conversation, (home, offsets, recipients) in places.items():
            before = bisect_left(offsets, moment.positions.get(home, 0))
            wanted = recipients[before] if moment.group == "notifications.inbox" else before
            if (found := moment.counts.get(conversation, 0)) != wanted:
                side = "beyond" if found < wanted else "behind"
                yield Violation(
                    "position", f"{moment.group} is {side} what it stored: {found} of {wanted}, {conversation}"
                )


def _grouped(rows: Iterable[Row]) -> dict[str, list[Row]]:
    grouped: dict[str, list[Row]] = defaultdict(list)
    for row in rows:
        grouped[row["conversation_id"]].append(row)
    return grouped
