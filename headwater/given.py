"""What the house gives to a context that is wired in a file of its own."""

from typing import Protocol

from headwater.settings import Settings
from infra.avro import Codec
from infra.kafka_client import KafkaConfig
from infra.kafka_producer import KafkaProducer
from infra.member import GroupStore
from infra.opaque import OpaqueTokens
from infra.postgres import Database


class Given(Protocol):
    """The part of the house that contexts may use."""

    settings: Settings
    kafka: KafkaConfig
    codec: Codec
    databases: dict[str, Database]
    commands: KafkaProducer
    opaque_tokens: OpaqueTokens
    groups: dict[str, GroupStore]
