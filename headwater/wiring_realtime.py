"""Pick realtime's adapters, as `wiring` does for the others."""

from collections.abc import Mapping
from functools import partial
from typing import Protocol

from bounded_contexts.messaging.application.members import members_for
from bounded_contexts.messaging.application.ports import Ports as MessagingPorts
from bounded_contexts.realtime import module as realtime
from bounded_contexts.realtime.adapters.connections_postgres import PostgresConnections
from bounded_contexts.realtime.adapters.past_kafka import KafkaPast
from bounded_contexts.realtime.adapters.presence_postgres import PostgresPresences
from bounded_contexts.realtime.adapters.sessions_postgres import PostgresSessions
from bounded_contexts.realtime.adapters.signals_postgres import PostgresSignals
from bounded_contexts.realtime.application.ports import Ports
from infra.avro import Codec
from infra.kafka_client import KafkaConfig
from infra.kafka_reader import KafkaReader
from infra.postgres import Database
from shared_kernel.module import SocketCommand


class Given(Protocol):
    """What the house gives the context."""

    kafka: KafkaConfig
    codec: Codec
    databases: dict[str, Database]


def ports_of_realtime(given: Given, talk: MessagingPorts, commands: Mapping[str, SocketCommand]) -> Ports:
    """Return what realtime needs; who belongs to a conversation it asks of messaging."""
    database = given.databases[realtime.NAME]
    return Ports(
        past=KafkaPast(KafkaReader(given.kafka), given.codec),
        sessions=PostgresSessions(database, given.codec),
        commands=commands,
        signals=PostgresSignals(database),
        members=partial(members_for, ports=talk),
        presences=PostgresPresences(database),
        contacts=talk.conversations.contacts,
        connections=PostgresConnections(database),
    )
