"""The door of audit. It listens to no event in particular: it reads whatever lies on a topic."""

from collections.abc import Collection

from bounded_contexts.audit.adapters.http import router
from infra.avro import Codec
from infra.kafka_reader import KafkaReader
from shared_kernel.module import Module

NAME = "audit"


def module(reader: KafkaReader, codec: Codec, topics: Collection[str]) -> Module:
    """Return the context as wiring knows it; `topics` are those that auditors may read."""
    return Module(name=NAME, router=router(reader, codec, topics))
