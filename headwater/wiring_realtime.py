"""Pick realtime's adapters, as `wiring` does for the others."""

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from functools import partial
from typing import Protocol

from bounded_contexts.gateway.adapters.graphql import Graph
from bounded_contexts.identity.application.ports import Ports as IdentityPorts
from bounded_contexts.messaging.application.members import members_for
from bounded_contexts.messaging.application.ports import Ports as MessagingPorts
from bounded_contexts.realtime import module as realtime
from bounded_contexts.realtime.adapters.connections_postgres import PostgresConnections
from bounded_contexts.realtime.adapters.past_kafka import KafkaPast
from bounded_contexts.realtime.adapters.presence_postgres import PostgresPresences
from bounded_contexts.realtime.adapters.recovery_postgres import PostgresKeptChannels
from bounded_contexts.realtime.adapters.sessions_postgres import PostgresSessions
from bounded_contexts.realtime.adapters.signals_postgres import PostgresSignals
from bounded_contexts.realtime.application.limits import Limits, origins
from bounded_contexts.realtime.application.ports import Ports
from bounded_contexts.realtime.application.publishing import PublishPorts
from headwater.settings import Settings
from headwater.wiring_publishing import key_ports, time_tokens
from infra.access_tokens import AccessTokens
from infra.avro import Codec
from infra.kafka_client import KafkaConfig
from infra.kafka_log import KafkaLog
from infra.kafka_producer import KafkaProducer
from infra.kafka_reader import KafkaReader
from infra.opaque import OpaqueTokens
from infra.postgres import Database
from infra.revocations import Revocations
from shared_kernel.module import Module, SocketCommand


class Given(Protocol):
    """What the house gives the context."""

    settings: Settings
    kafka: KafkaConfig
    codec: Codec
    databases: dict[str, Database]
    commands: KafkaProducer
    access_tokens: AccessTokens
    opaque_tokens: OpaqueTokens
    revocations: Revocations


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
        kept_channels=PostgresKeptChannels(database),
    )


def module_of_realtime(
    given: Given, talk: MessagingPorts, offering: Sequence[Module], graph: Graph, accounts: IdentityPorts
) -> Module:
    """Return the context, with the commands that the others offer over sockets."""
    settings = given.settings
    commands = {name: command for module in offering for name, command in module.socket_commands.items()}
    limits = Limits(
        queue_events=settings.realtime_queue_limit,
        connections_per_user=settings.realtime_connections_per_user,
        connections_per_user_everywhere=settings.realtime_connections_per_user_everywhere,
        strangers_per_address=settings.realtime_strangers_per_address,
        allowed_origins=origins(settings.realtime_allowed_origins),
        connections_per_address=settings.realtime_connections_per_address,
        public_connections=settings.realtime_public_connections,
        open_channels=tuple(sorted(origins(settings.realtime_open_channels))),
        region=settings.region,
    )
    ports = ports_of_realtime(given, talk, commands)
    return realtime.module(
        ports,
        given.access_tokens,
        given.opaque_tokens,
        limits,
        given.revocations,
        graph.subscription,
        PublishPorts(KafkaLog(given.commands, given.codec), partial(datetime.now, UTC)),
        key_ports(settings, given.databases[realtime.NAME], given.codec, accounts),
        time_tokens(settings),
        with_demo=settings.mode == "development",
    )
