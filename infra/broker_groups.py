"""What the broker knows about a consumer group: who is in it and, of a transform, how far it is."""

from dataclasses import dataclass

from confluent_kafka import ConsumerGroupState, ConsumerGroupTopicPartitions, KafkaException
from confluent_kafka.admin import AdminClient, ConsumerGroupDescription

from infra.kafka_client import KafkaConfig
from shared_kernel.errors import Unavailable
from shared_kernel.records import Partition

TIMEOUT_S = 10
STOPPED = (ConsumerGroupState.EMPTY, ConsumerGroupState.DEAD)


@dataclass(frozen=True, slots=True)
class BrokerMember:
    """A member as the broker has it."""

    id: str
    process: str  # its client's name and host
    partitions: int


class BrokerGroups:
    """Questions to the broker. They block: ask them in a thread. Each raises `Unavailable`."""

    def __init__(self, config: KafkaConfig) -> None:
        self._config = config

    def has_members(self, name: str) -> bool:
        """Return whether the broker counts anybody as a member."""
        found = self._described(name)
        return found is not None and found.state not in STOPPED

    def members(self, name: str) -> list[BrokerMember]:
        """Return the members."""
        found = self._described(name)
        return [
            BrokerMember(
                member.member_id,
                f"{member.client_id} {member.host}",
                len(member.assignment.topic_partitions) if member.assignment else 0,
            )
            for member in (found.members if found else ())
        ]

    def committed(self, name: str) -> dict[Partition, int]:
        """Return the offset after the last record that is done, by partition on the broker; none where nothing is."""
        group = self._config.topic(name)
        try:
            admin = AdminClient(self._config.confluent())
            asked = admin.list_consumer_group_offsets(
                [ConsumerGroupTopicPartitions(group)], require_stable=True, request_timeout=TIMEOUT_S
            )
            found = asked[group].result(TIMEOUT_S).topic_partitions or []
        except KafkaException as error:
            if error.args[0].name() == "GROUP_ID_NOT_FOUND":
                return {}
            raise Unavailable("broker_unavailable", str(error)) from error
        return {(each.topic, each.partition): each.offset for each in found if each.offset >= 0}

    def _described(self, name: str) -> ConsumerGroupDescription | None:
        group = self._config.topic(name)
        try:
            admin = AdminClient(self._config.confluent())  # lives until the answer is here: it would take it with it
            asked = admin.describe_consumer_groups([group], request_timeout=TIMEOUT_S)
            found: ConsumerGroupDescription = asked[group].result(TIMEOUT_S)
        except KafkaException as error:
            if error.args[0].name() == "GROUP_ID_NOT_FOUND":
                return None
            raise Unavailable("broker_unavailable", str(error)) from error
        return found
