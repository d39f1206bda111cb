"""Create the topics the modules declare; verify those that are there."""

import asyncio
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import timedelta
from time import monotonic

from confluent_kafka import KafkaError, KafkaException
from confluent_kafka.admin import AdminClient, ConfigResource, NewTopic, TopicMetadata

from infra.kafka_client import RECORD_BYTES, REFUSALS, KafkaConfig
from infra.member import dead_letter_topic
from shared_kernel.errors import Unavailable
from shared_kernel.module import Module, Topic

TIMEOUT_S = 30
POLL_S = 0.1  # a question that fails at once is not asked again at once
LISTEN_S = 1.0  # how often we look whether the broker has refused us for good
DEAD_LETTER_RETENTION = timedelta(days=30)


@dataclass(frozen=True, slots=True)
class TopicReport:
    """What was found or done about one topic."""

    name: str
    partitions: int
    outcome: str  # created, as declared, or what differs

    @property
    def ok(self) -> bool:
        return self.outcome in ("created", "as declared")


def declared_topics(modules: Iterable[Module]) -> list[Topic]:
    """Return every topic of the modules and the dead-letter topics of their groups."""
    modules = list(modules)
    own = [topic for module in modules for topic in module.topics]
    pairs = {
        (handler.event.TOPIC, consumer.group)
        for module in modules
        for consumer in module.groups
        for handler in consumer.handlers
    }
    letters = [dead_letter_topic(topic, group) for topic, group in sorted(pairs)]
    return own + [Topic(name, 1, DEAD_LETTER_RETENTION, record_bytes=RECORD_BYTES) for name in letters]


async def ensure_topics(config: KafkaConfig, topics: Iterable[Topic], replication: int) -> list[TopicReport]:
    """Create what is missing and compare the rest. Existing topics are never changed. Raise `Unavailable`."""
    return await asyncio.to_thread(_ensure, config, list(topics), replication)


def _ensure(config: KafkaConfig, topics: list[Topic], replication: int) -> list[TopicReport]:
    errors: list[KafkaError] = []
    admin = AdminClient(config.confluent() | {"error_cb": errors.append})
    try:
        there = _topics(admin, config, errors)
        missing = [topic for topic in topics if config.topic(topic.name) not in there]
        new = [_new(config, topic, replication) for topic in missing]
        for created in (admin.create_topics(new) if new else {}).values():
            created.result(TIMEOUT_S)
        reports = [TopicReport(topic.name, topic.partitions, "created") for topic in missing]
        for topic in topics:
            if topic not in missing:
                found = len(there[config.topic(topic.name)].partitions)
                reports.append(TopicReport(topic.name, found, _difference(admin, config, topic, found)))
    except KafkaException as error:
        raise Unavailable("broker_unavailable", str(error)) from error
    return sorted(reports, key=lambda report: report.name)


def _topics(admin: AdminClient, config: KafkaConfig, errors: list[KafkaError]) -> dict[str, TopicMetadata]:
    """Return the topics that are there. The library's own error says only that time is up; the cause is in `errors`."""
    deadline = monotonic() + TIMEOUT_S
    while True:
        try:
            return admin.list_topics(timeout=LISTEN_S).topics
        except KafkaException as error:
            admin.poll(POLL_S)
            refusal = next((each for each in errors if each.code() in REFUSALS), None)
            if refusal is None and monotonic() < deadline:
                continue
            heard = [each for each in errors if each.code() != KafkaError._ALL_BROKERS_DOWN]
            cause = refusal or (heard or error.args)[-1]
            where = f"{config.bootstrap_servers} over {config.security_protocol}"
            hint = "" if refusal else " (is that the protocol of this address?)"
            raise Unavailable("broker_unavailable", f"{where}: {cause.str()}{hint}") from error


def _new(config: KafkaConfig, topic: Topic, replication: int) -> NewTopic:
    settings = _settings(topic) | ({"min.insync.replicas": "2"} if replication >= 3 else {})
    return NewTopic(config.topic(topic.name), topic.partitions, replication, config=settings)


def _settings(topic: Topic) -> dict[str, str]:
    retention = int(topic.retention.total_seconds() * 1000) if topic.retention else -1
    settings = {"cleanup.policy": "compact" if topic.compacted else "delete", "retention.ms": str(retention)}
    return settings | ({"max.message.bytes": str(topic.record_bytes)} if topic.record_bytes else {})


def _difference(admin: AdminClient, config: KafkaConfig, topic: Topic, partitions: int) -> str:
    if partitions != topic.partitions:
        return f"{partitions} partitions, declared {topic.partitions}"
    resource = ConfigResource(ConfigResource.Type.TOPIC, config.topic(topic.name))
    actual = admin.describe_configs([resource])[resource].result(TIMEOUT_S)
    for name, value in _settings(topic).items():
        if actual[name].value != value:
            return f"{name}={actual[name].value}, declared {value}"
    return "as declared"
