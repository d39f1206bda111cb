"""The consumer runtime on real Kafka and PostgreSQL: order, one effect, retries, dead letters, restarts."""

import asyncio
import contextlib
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from uuid import UUID, uuid4

import pytest
import sqlalchemy as sa
from confluent_kafka import KafkaException, Message
from confluent_kafka.admin import AdminClient

from headwater.wiring import House
from infra.consumer import ConsumerRunner
from infra.kafka_consumer import KafkaConsumer
from infra.kafka_log import KafkaLog
from infra.kafka_reader import KafkaReader, Raw
from infra.member import dead_letter_topic
from infra.topics import ensure_topics
from schemas.messaging.events import ConversationStarted, MessageSent
from shared_kernel.errors import Unavailable
from shared_kernel.module import Consumer, Topic, on, on_batch
from tests.contract.test_event_log import sent
from tests.integration.nodes import publish_header_that_is_no_text
from tests.probes import during, eventually

Handle = Callable[[MessageSent], Awaitable[None]]


@pytest.fixture
async def log(house: House) -> KafkaLog:
    return KafkaLog(house.commands, house.codec)


@pytest.fixture
async def table(house: House) -> AsyncIterator[str]:
    """A table for effects, so that one can see what happened how often."""
    name = f"messaging.effect_{uuid4().hex}"
    owner = house.settings.database_url
    assert owner
    from infra.postgres import Database

    database = Database(owner.get_secret_value())
    async with database.transaction() as connection:
        await connection.execute(
            sa.text(f"create table {name} (place bigint generated always as identity, id uuid, key uuid)")
        )
        await connection.execute(sa.text(f"grant all on {name} to public"))
    yield name
    async with database.transaction() as connection:
        await connection.execute(sa.text(f"drop table {name}"))
    await database.close()


@asynccontextmanager
async def member(house: House, group: str, handle: Handle) -> AsyncIterator[ConsumerRunner]:
    """Run one member of the group while the block lasts."""
    await ensure_topics(house.kafka, [Topic(dead_letter_topic("messages", group), partitions=1)], 1)
    async with running(house, Consumer(group, (on(MessageSent, handle),))) as runner:
        yield runner


@asynccontextmanager
async def running(house: House, consumer: Consumer) -> AsyncIterator[ConsumerRunner]:
    """Run one member while the block lasts."""
    runner = ConsumerRunner(consumer, house.broker, house.codec, house.groups["messaging"], house.bulk)
    async with during(runner.run()):
        yield runner


def effect(house: House, table: str) -> Handle:
    async def store(message: MessageSent) -> None:
        async with house.databases["messaging"].transaction() as connection:
            insert = sa.text(f"insert into {table} (id, key) values (:id, :key)")
            await connection.execute(insert, {"id": message.message_id, "key": message.conversation_id})

    return store


async def effects(house: House, table: str) -> list[UUID]:
    async with house.databases["messaging"].transaction() as connection:
        return list((await connection.execute(sa.text(f"select id from {table} order by place"))).scalars())


async def letters(house: House, group: str) -> list[Raw]:
    """Return the group's dead letters."""
    topic = dead_letter_topic("messages", group)
    async with KafkaReader(house.kafka).open([topic]) as reader:
        reader.seek(await reader.beginnings())
        async for batch in reader.batches():
            return batch
    raise AssertionError("batches never end")


async def publish(log: KafkaLog, messages: Sequence[MessageSent]) -> None:
    await asyncio.gather(*(log.publish(message) for message in messages))


async def test_every_event_has_one_effect_in_the_order_of_its_key(house: House, log: KafkaLog, table: str) -> None:
    keys = [uuid4() for _ in range(10)]
    messages = [sent(key) for _ in range(100) for key in keys]
    await publish(log, messages)

    async with member(house, f"g{uuid4().hex}", only(keys, effect(house, table))):
        done = await eventually(lambda: effects(house, table), until=lambda found: len(found) >= len(messages))

    assert sorted(done) == sorted(message.message_id for message in messages)
    for key in keys:
        expected = [message.message_id for message in messages if message.conversation_id == key]
        assert [id_ for id_ in done if id_ in set(expected)] == expected


@pytest.mark.parametrize("lanes", [0, 8])
async def test_what_the_library_delivers_twice_has_one_effect(
    own_house: House, table: str, monkeypatch: pytest.MonkeyPatch, lanes: int
) -> None:
    hand_over = KafkaConsumer._hand_over

    def twice(consumer: KafkaConsumer, messages: list[Message]) -> None:
        hand_over(consumer, messages)
        hand_over(consumer, messages[len(messages) // 2 :])

    monkeypatch.setattr(KafkaConsumer, "_hand_over", twice)
    messages = [sent(key) for _ in range(20) for key in (uuid4(), uuid4(), uuid4())]
    await publish(KafkaLog(own_house.commands, own_house.codec), messages)
    group = Consumer(f"g{uuid4().hex}", (on(MessageSent, effect(own_house, table)),), lanes=lanes)
    async with running(own_house, group):
        await eventually(lambda: effects(own_house, table), until=lambda found: len(set(found)) >= len(messages))
        await publish(KafkaLog(own_house.commands, own_house.codec), messages[:1])
        found = await eventually(lambda: effects(own_house, table), until=lambda found: len(found) > len(messages))

    assert sorted(found) == sorted([each.message_id for each in messages] + [messages[0].message_id])


async def test_a_member_goes_on_where_the_last_one_stopped(house: House, log: KafkaLog, table: str) -> None:
    group, key = f"g{uuid4().hex}", uuid4()
    first, second = [sent(key) for _ in range(50)], [sent(key) for _ in range(50)]

    await publish(log, first)
    async with member(house, group, only([key], effect(house, table))):
        await eventually(lambda: effects(house, table), until=lambda found: len(found) >= 50)
    await publish(log, second)
    async with member(house, group, only([key], effect(house, table))):
        done = await eventually(lambda: effects(house, table), until=lambda found: len(found) >= 100)

    assert done == [message.message_id for message in (*first, *second)]


async def test_two_members_share_the_work_and_double_nothing(house: House, log: KafkaLog, table: str) -> None:
    group, keys = f"g{uuid4().hex}", [uuid4() for _ in range(30)]
    messages = [sent(key) for _ in range(20) for key in keys]
    handle = only(keys, effect(house, table))

    async with member(house, group, handle):
        await publish(log, messages[:300])
        async with member(house, group, handle):
            await publish(log, messages[300:])
            done = await eventually(lambda: effects(house, table), until=lambda found: len(found) >= len(messages))

    assert sorted(done) == sorted(message.message_id for message in messages)


async def test_members_share_every_topic(own_house: House) -> None:
    house, group = own_house, f"g{uuid4().hex}"

    async def ignore(_: object) -> None: ...

    consumer = Consumer(group, (on(MessageSent, ignore), on(ConversationStarted, ignore)))
    admin = AdminClient(house.kafka.confluent())

    def shares() -> list[Counter[str]]:
        described = admin.describe_consumer_groups([house.kafka.topic(group)])[house.kafka.topic(group)].result(10)
        return [Counter(each.topic for each in member.assignment.topic_partitions) for member in described.members]

    async def asked() -> list[Counter[str]]:
        with contextlib.suppress(KafkaException):  # nobody has joined yet
            return await asyncio.to_thread(shares)
        return []

    async with running(house, consumer), running(house, consumer):
        half = Counter({house.kafka.topic(topic): 3 for topic in ("messages", "conversations")})
        await eventually(asked, until=lambda found: found == [half, half])


async def test_what_may_pass_is_tried_again_until_it_does(house: House, log: KafkaLog, table: str) -> None:
    key, failures = uuid4(), 4
    store = effect(house, table)

    async def flaky(message: MessageSent) -> None:
        nonlocal failures
        await store(message)
        if failures:
            failures -= 1
            raise Unavailable("database_unavailable")

    messages = [sent(key) for _ in range(3)]
    await publish(log, messages)
    group = f"g{uuid4().hex}"
    async with member(house, group, only([key], flaky)):
        done = await eventually(lambda: effects(house, table), until=lambda found: len(found) >= 3)

    assert done == [message.message_id for message in messages]
    assert await letters(house, group) == []


async def test_a_hopeless_event_goes_to_the_dead_letters_and_the_others_on(
    house: House, log: KafkaLog, table: str
) -> None:
    key, group = uuid4(), f"g{uuid4().hex}"
    messages = [sent(key, body) for body in ("a", "poison", "b")]
    store = effect(house, table)

    async def refuse_poison(message: MessageSent) -> None:
        await store(message)
        if message.body == "poison":
            raise ValueError("cannot be handled")

    await publish(log, messages)
    async with member(house, group, only([key], refuse_poison)):
        done = await eventually(lambda: effects(house, table), until=lambda found: len(found) >= 2)
        (letter,) = await eventually(lambda: letters(house, group))

    assert done == [messages[0].message_id, messages[2].message_id]
    headers = {name: value.decode() for name, value in letter.headers}
    assert headers["dlq_error"] == "ValueError: cannot be handled"
    assert headers["dlq_attempts"] == "3"
    assert headers["dlq_topic"] == house.kafka.topic("messages")
    assert headers["ce_type"] == MessageSent.NAME
    assert house.codec.decode(letter.value) == messages[1]


@pytest.mark.parametrize("value", [b"", b"garbage", b"\0\0\0\0\x07short", b"\0\xff\xff\xff\xffunknown schema", None])
async def test_bytes_that_are_no_event_go_to_the_dead_letters(
    house: House, log: KafkaLog, table: str, value: bytes | None
) -> None:
    key, group = uuid4(), f"g{uuid4().hex}"
    after = sent(key)
    await house.commands.send("messages", str(key), value, [])
    await log.publish(after)

    async with member(house, group, only([key], effect(house, table))):
        done = await eventually(lambda: effects(house, table))
        found = await eventually(lambda: letters(house, group))

    assert done == [after.message_id]
    assert value in [letter.value for letter in found]


async def test_a_header_whose_name_is_no_text_holds_nobody_up(own_house: House) -> None:
    heard: list[UUID] = []
    group = f"g{uuid4().hex}"
    await ensure_topics(own_house.kafka, [Topic(dead_letter_topic("messages", group), 1)], 1)

    async def hear(message: MessageSent) -> None:
        heard.append(message.message_id)

    async def found() -> list[UUID]:
        return heard

    events = [sent(uuid4()) for _ in range(20)]  # on every partition
    await publish_header_that_is_no_text(own_house.kafka, "messages")
    for each in events:
        await KafkaLog(own_house.commands, own_house.codec).publish(each)
    async with running(own_house, Consumer(group, (on(MessageSent, hear),))):
        await eventually(found, until=lambda ids: set(ids) == {each.message_id for each in events})
    letters = await own_house.groups["messaging"].letters.counts(
        own_house.kafka.topic(group), [(own_house.kafka.topic("messages"), 0)]
    )

    assert list(letters.values()) == [1]


async def test_a_batch_handler_gets_consecutive_events_together(own_house: House) -> None:
    house, log = own_house, KafkaLog(own_house.commands, own_house.codec)
    key, group = uuid4(), f"g{uuid4().hex}"
    messages = [sent(key) for _ in range(200)]
    await publish(log, messages)
    batches: list[list[UUID]] = []

    async def take(batch: Sequence[MessageSent]) -> None:
        mine = [message.message_id for message in batch if message.conversation_id == key]
        batches.extend([mine] if mine else [])

    async def handled() -> int:
        return sum(len(batch) for batch in batches)

    await ensure_topics(house.kafka, [Topic(dead_letter_topic("messages", group), partitions=1)], 1)
    consumer = Consumer(group, (on_batch(MessageSent, take),))
    async with running(house, consumer):
        await eventually(handled, until=lambda count: count >= 200)

    assert [id_ for batch in batches for id_ in batch] == [message.message_id for message in messages]
    assert max(len(batch) for batch in batches) > 1


def only(keys: Sequence[UUID], handle: Handle) -> Handle:
    """Other tests' events are on the topic too."""

    async def mine(message: MessageSent) -> None:
        if message.conversation_id in keys:
            await handle(message)

    return mine
