"""Events turned into events exactly once, on real Kafka."""

import asyncio
import contextlib
import os
import sys
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

import pytest
from confluent_kafka import KafkaError, KafkaException, Message, Producer
from prometheus_client import REGISTRY

from bounded_contexts.operations import module as door
from headwater.web import application
from headwater.wiring import House
from headwater.wiring_sagas import saga_operations
from infra import tracing
from infra.access_tokens import SharedKeyTokens
from infra.broker_groups import BrokerGroups
from infra.group_operations import GroupOperations
from infra.health import Health
from infra.kafka_consumer import KafkaConsumer
from infra.kafka_log import KafkaLog
from infra.kafka_reader import KafkaReader, Raw
from infra.member import dead_letter_topic
from infra.outcomes import Outcomes
from infra.topics import ensure_topics
from infra.transform import CommitUnknown, TransformRunner
from schemas.messaging.events import MessageSent
from schemas.notifications.events import NotificationsRead
from shared_kernel.causation import Cause, because
from shared_kernel.errors import Unavailable
from shared_kernel.module import Module, Topic, Transform, turn
from tests.contract.test_event_log import sent
from tests.integration.conftest import client_of
from tests.integration.test_group_operations import environment
from tests.otlp import receiving
from tests.probes import during, eventually

ROOT = Path(__file__).parents[2]
GROUP = "messaging.echo"


async def echo(message: MessageSent) -> Sequence[NotificationsRead]:
    """Return something that can be told from its source."""
    if message.body == "poison":
        raise ValueError("cannot be turned")
    return [read(message)] if message.body != "nothing" else []


def read(message: MessageSent) -> NotificationsRead:
    return NotificationsRead(
        recipient_id=message.conversation_id,
        notification_ids=(message.message_id,),
        all_until=None,
        read_at=message.sent_at,
    )


def echoing(group: str, batch_size: int = 2000) -> Transform:
    return Transform(group, (turn(MessageSent, echo),), batch_size)


@asynccontextmanager
async def running(house: House) -> AsyncIterator[None]:
    runner = TransformRunner(echoing(GROUP), house.kafka, house.codec)
    async with during(runner.run()):
        yield


async def records(house: House, topic: str) -> list[Raw]:
    """Return what readers of committed records see, from the beginning to the end."""
    found: list[Raw] = []
    async with KafkaReader(house.kafka).open([topic]) as reader:
        ends = await reader.ends()
        reader.seek(await reader.beginnings())
        async for batch in reader.batches():
            found += batch
            if all(at >= ends[key] for key, at in (await reader.positions()).items()):
                return found
    raise AssertionError("batches never end")


async def turned(house: House) -> list[UUID]:
    """Return which messages have been turned, in the order of their partitions."""
    raws = await records(house, "notifications")
    events = [house.codec.decode(raw.value) for raw in raws]
    return [event.notification_ids[0] for event in events if isinstance(event, NotificationsRead)]


async def all_turned(house: House, sent_ids: Mapping[UUID, Sequence[UUID]]) -> list[UUID]:
    """Wait until all of them have been turned, and return what has; otherwise say where those lie that have not."""
    wanted = {id_ for ids in sent_ids.values() for id_ in ids}
    found: list[UUID] = []

    async def are_turned() -> bool:
        nonlocal found
        found = await turned(house)
        return wanted <= set(found)

    try:
        await eventually(are_turned)
    except AssertionError:
        raise AssertionError(await whereabouts(house, wanted - set(found))) from None
    return found


async def whereabouts(house: House, missing: set[UUID]) -> str:
    """Return where the messages lie, where the group is, and how far readers of committed records see."""
    raws = await records(house, "messages")
    events = [(raw, house.codec.decode(raw.value)) for raw in raws]
    lying = [(raw.partition, raw.offset) for raw, event in events if getattr(event, "message_id", None) in missing]
    groups = BrokerGroups(house.kafka)
    committed, members = groups.committed(GROUP), groups.members(GROUP)
    async with KafkaReader(house.kafka).open(["messages", "notifications"]) as reader:
        ends = await reader.ends()
    return f"{len(missing)} of {len(raws)} are not turned: {lying}; {committed=}, {members=}, {ends=}"


async def publish(house: House, keys: int, each: int, body: str = "hello") -> dict[UUID, list[UUID]]:
    """Publish to several conversations in turn; return the messages of each, in order."""
    log = KafkaLog(house.commands, house.codec)
    conversations = [uuid4() for _ in range(keys)]
    messages = [sent(key, body) for _ in range(each) for key in conversations]
    for start in range(0, len(messages), 500):
        await asyncio.gather(*(log.publish(message) for message in messages[start : start + 500]))
    return {
        key: [message.message_id for message in messages if message.conversation_id == key] for key in conversations
    }


async def test_every_event_is_turned_once_in_the_order_of_its_key(own_house: House) -> None:
    sent_ids = await publish(own_house, keys=10, each=50)
    async with running(own_house):
        found = await eventually(lambda: turned(own_house), until=lambda ids: len(ids) >= 500)
    async with running(own_house):
        more = await publish(own_house, keys=1, each=1)
        found = await eventually(lambda: turned(own_house), until=lambda ids: len(ids) >= 501)

    for ids in (sent_ids | more).values():
        assert [id_ for id_ in found if id_ in set(ids)] == ids
    assert len(found) == 501


async def test_members_that_die_leave_nothing_behind_and_nothing_out(own_house: House) -> None:
    sent_ids = await publish(own_house, keys=10, each=400)
    for lifetime_s in ("1.2", "1.5", "0"):
        async with member(own_house, lifetime_s) as process:
            if lifetime_s != "0":
                assert await process.wait() == -9
            else:
                found = await all_turned(own_house, sent_ids)

    assert len(found) == 4000
    for ids in sent_ids.values():
        assert [id_ for id_ in found if id_ in set(ids)] == ids


async def test_members_that_come_and_go_double_nothing(own_house: House) -> None:
    async with running(own_house):
        publishing = asyncio.create_task(publish(own_house, keys=10, each=300))
        for _ in range(5):
            async with running(own_house):
                await asyncio.sleep(0.3)  # the length of a member's life, not a wait for something
        sent_ids = await publishing
        found = await all_turned(own_house, sent_ids)

    assert len(found) == 3000
    for ids in sent_ids.values():
        assert [id_ for id_ in found if id_ in set(ids)] == ids


async def test_what_cannot_be_turned_is_a_dead_letter_in_the_same_transaction(own_house: House) -> None:
    dead = dead_letter_topic("messages", GROUP)
    await ensure_topics(own_house.kafka, [Topic(dead, partitions=1)], 1)
    await publish(own_house, keys=1, each=1, body="poison")
    await own_house.commands.send("messages", "key", b"no event", [])
    await publish(own_house, keys=1, each=1, body="nothing")
    good = await publish(own_house, keys=1, each=1)
    async with running(own_house):
        found = await eventually(lambda: turned(own_house))
        letters = await eventually(lambda: records(own_house, dead), until=lambda raws: len(raws) >= 2)

    assert [found] == list(good.values())
    errors = {dict(letter.headers)["dlq_error"].decode().split(":")[0] for letter in letters}
    assert errors == {"ValueError", "Undecodable"}


async def test_what_may_pass_is_tried_again(own_house: House) -> None:
    failures = 3

    async def flaky(message: MessageSent) -> Sequence[NotificationsRead]:
        nonlocal failures
        if failures:
            failures -= 1
            raise Unavailable("somewhere_unavailable")
        return [read(message)]

    sent_ids = await publish(own_house, keys=1, each=3)
    runner = TransformRunner(Transform(GROUP, (turn(MessageSent, flaky),)), own_house.kafka, own_house.codec)
    task = asyncio.create_task(runner.run())
    found = await eventually(lambda: turned(own_house), until=lambda ids: len(ids) >= 3)
    task.cancel()
    await asyncio.wait([task])

    assert [found] == list(sent_ids.values())


async def test_operators_see_members_and_lag_and_auditors_what_became_of_each_record(
    own_house: House, tokens: SharedKeyTokens
) -> None:
    echo_module = Module("messaging", transforms=(echoing(GROUP),))
    operations = GroupOperations(own_house.kafka, [echo_module], own_house.groups)
    outcomes = Outcomes(own_house.kafka, lambda: [echo_module], own_house.groups)
    own_house.modules = (door.module(operations, saga_operations(own_house), own_house.opaque_tokens),)
    operator = client_of(application(own_house, {"web"}, Health(("web",), {})), tokens, uuid4(), ("operator",))
    await publish(own_house, keys=1, each=3)
    (raw, *_) = await records(own_house, "messages")
    place = (raw.topic, raw.partition, raw.offset)

    async def seen() -> dict[str, Any]:
        return dict((await operator.get(f"/admin/groups/{GROUP}")).json())

    before = await seen()
    assert (before["state"], before["lag"], before["members"], before["dead_letters"]) == ("stopped", 3, [], None)
    async with running(own_house):
        while_running = await eventually(seen, until=lambda found: found["lag"] == 0)
        assert while_running["state"] == "running"
        assert [each["partitions"] for each in while_running["members"]] == [6]
        assert while_running["members"][0]["seen_at"] is None

    assert [each["group"] for each in (await operator.get("/admin/groups")).json()["data"]] == [GROUP]
    assert (await operator.post(f"/admin/groups/{GROUP}:pause")).json()["code"] == "is_transform"
    found = await outcomes.of({place: MessageSent.NAME, (raw.topic, raw.partition, 99): MessageSent.NAME})
    assert [each.outcome for handlings in found.values() for each in handlings] == ["passed", "not_yet"]
    assert await outcomes.of({place: "of.somebody.Else"}) == {place: []}


async def test_what_becomes_of_each_record_and_what_is_left_is_told(own_house: House) -> None:
    def told(name: str, **labels: str) -> float:
        return figure(name, group=GROUP, **labels)

    async def told_records() -> list[float]:
        found = [
            told("records_total", topic="messages", outcome=each) for each in ("handled", "ignored", "dead_letter")
        ]
        return [now - then for now, then in zip(found, before, strict=True)]

    def held() -> float:
        return told("partition_moves_total", kind="assigned") - told("partition_moves_total", kind="revoked")

    await ensure_topics(own_house.kafka, [Topic(dead_letter_topic("messages", GROUP), partitions=1)], 1)
    before, had, held_before = [0.0] * 3, told("partitions"), held()
    before, failed = await told_records(), told("failed_attempts_total", topic="messages", kind="permanent")
    await own_house.bulk.send("messages", b"k", b"other", [("ce_type", b"somebody.Elses")])
    await publish(own_house, keys=1, each=1, body="poison")
    await publish(own_house, keys=1, each=3)
    async with running(own_house):
        await eventually(told_records, until=lambda found: found == [3, 1, 1])
        assert told("partitions") - had == held() - held_before > 0

        async def lag() -> float | None:
            return told("lag_records", topic="messages")

        await eventually(lag, until=lambda found: found == 0)
    assert told("failed_attempts_total", topic="messages", kind="permanent") == failed + 3


async def test_what_an_event_turns_into_goes_on_in_its_trace(own_house: House) -> None:
    trace_id, caller = uuid4().hex, "00f067aa0ba902b7"
    with receiving() as receiver:
        tracing.configure(receiver.url, 1.0, [GROUP])
        with because(Cause("c", "c", f"00-{trace_id}-{caller}-01")):
            await publish(own_house, keys=1, each=1)
        async with running(own_house):
            await eventually(lambda: turned(own_house))
        tracing.shutdown()
    (product,) = await records(own_house, "notifications")

    send, process = sorted(receiver.trace(trace_id), key=lambda span: span.kind)
    assert (send.name, process.name) == ("send messages", "process messages")
    assert (send.parent_id, process.parent_id) == (caller, send.span_id)
    assert process.attributes["messaging.consumer.group.name"] == GROUP
    assert dict(product.headers)["traceparent"].decode() == f"00-{trace_id}-{process.span_id}-01"


def figure(name: str, **labels: str) -> float:
    """Return the sum of the series with these labels, as a scrape would find it."""
    samples = [
        each for family in REGISTRY.collect() for each in family.samples if each.name == f"headwater_consumer_{name}"
    ]
    return sum(each.value for each in samples if labels.items() <= each.labels.items())


@asynccontextmanager
async def member(house: House, lifetime_s: str) -> AsyncIterator[asyncio.subprocess.Process]:
    """Run a member in a process of its own while the block lasts."""
    environ = {"PATH": os.environ["PATH"], "PYTHONPATH": str(ROOT), "PYTHONUNBUFFERED": "1"} | environment(house)
    script = (sys.executable, "-m", "tests.integration.turner_that_dies", lifetime_s)
    process = await asyncio.create_subprocess_exec(*script, env=environ, cwd=ROOT)
    try:
        yield process
    finally:
        with contextlib.suppress(ProcessLookupError):
            process.kill()
        await process.wait()


class Unanswered(Producer):
    """Commits, and the answer is lost; asked again it says so."""

    has_committed = False

    def commit_transaction(self, *arguments: Any) -> None:
        if not self.has_committed:
            super().commit_transaction(*arguments)
        self.has_committed = not self.has_committed
        if self.has_committed:
            raise KafkaException(KafkaError(KafkaError._TIMED_OUT, "no answer", retriable=True))


class Silent(Producer):
    """Commits, and never hears of it."""

    def commit_transaction(self, *arguments: Any) -> None:
        with contextlib.suppress(KafkaException):
            super().commit_transaction(*arguments)
        raise KafkaException(KafkaError(KafkaError._TIMED_OUT, "no answer", retriable=True))


async def test_a_commit_whose_answer_is_lost_is_not_done_again(
    own_house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("infra.transform.Producer", Unanswered)
    sent_ids = await publish(own_house, keys=1, each=10)
    async with running(own_house):
        await eventually(lambda: turned(own_house), until=lambda ids: len(set(ids)) >= 10)
        more = await publish(own_house, keys=1, each=1)  # behind whatever is done again
        found = await eventually(lambda: turned(own_house), until=lambda ids: len(set(ids)) >= 11)

    assert sorted(found) == sorted(id_ for ids in (sent_ids | more).values() for id_ in ids)


async def test_a_member_that_cannot_know_whether_it_has_committed_ends(
    own_house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    sent_ids = await publish(own_house, keys=3, each=10)
    with monkeypatch.context() as patched:
        patched.setattr("infra.transform.Producer", Silent)
        with pytest.raises(CommitUnknown):
            async with asyncio.timeout(60):
                await TransformRunner(echoing(GROUP), own_house.kafka, own_house.codec).run()
    async with running(own_house):
        found = await eventually(lambda: turned(own_house), until=lambda ids: len(set(ids)) >= 30)

    assert sorted(found) == sorted(id_ for ids in sent_ids.values() for id_ in ids)


async def test_what_the_library_delivers_twice_is_turned_once(
    own_house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    hand_over = KafkaConsumer._hand_over

    def twice(consumer: KafkaConsumer, messages: list[Message]) -> None:
        hand_over(consumer, messages)
        hand_over(consumer, messages[len(messages) // 2 :])

    monkeypatch.setattr(KafkaConsumer, "_hand_over", twice)
    sent_ids = await publish(own_house, keys=3, each=10)
    async with running(own_house):
        await eventually(lambda: turned(own_house), until=lambda ids: len(set(ids)) >= 30)
        more = await publish(own_house, keys=1, each=1)
        found = await eventually(lambda: turned(own_house), until=lambda ids: len(set(ids)) >= 31)

    assert sorted(found) == sorted(id_ for ids in (sent_ids | more).values() for id_ in ids)
