"""Pick the adapters: the only place that knows which technology stands behind a port."""

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import cache
from pathlib import Path

from pydantic import SecretStr
from sqlalchemy.exc import DBAPIError

from bounded_contexts.audit import module as audit
from bounded_contexts.audit.adapters.log_postgres import PostgresLog
from bounded_contexts.audit.adapters.signing import DerivedKey
from bounded_contexts.audit.application.ports import Ports as AuditPorts
from bounded_contexts.documents import module as documents
from bounded_contexts.gateway import module as gateway
from bounded_contexts.gateway.adapters.forwarding import Gateway
from bounded_contexts.identity import module as identity
from bounded_contexts.identity.adapters.api_keys_postgres import PostgresApiKeys
from bounded_contexts.identity.adapters.graph import users as joined_users
from bounded_contexts.identity.adapters.signing_keys import PostgresSigningKeys
from bounded_contexts.identity.adapters.users_cached import CachedUsers
from bounded_contexts.identity.application.ports import ACCESS_LIFETIME
from bounded_contexts.identity.application.ports import Ports as IdentityPorts
from bounded_contexts.inventory import module as inventory
from bounded_contexts.messaging import module as messaging
from bounded_contexts.messaging.adapters.conversations_postgres import PostgresConversations
from bounded_contexts.messaging.adapters.history_jsonl import JsonLinesHistory
from bounded_contexts.messaging.adapters.history_postgres import PostgresHistory
from bounded_contexts.messaging.application.ports import Ports as MessagingPorts
from bounded_contexts.notifications import module as notifications
from bounded_contexts.ordering import module as ordering
from bounded_contexts.payments import module as payments
from bounded_contexts.realtime import module as realtime
from bounded_contexts.realtime.adapters.sessions_postgres import PostgresSessions
from headwater.addresses import without_password
from headwater.configured import kafka_config, registry, shared_key_tokens
from headwater.offers import forwarding
from headwater.settings import PREFIX, Settings, SettingsError, required, secret_key
from headwater.wiring_documents import module_of_documents
from headwater.wiring_graph import merged
from headwater.wiring_identity import (
    access_tokens,
    api_keys,
    cached_users,
    module_of_identity,
    ports_of_identity,
    signing_keys,
)
from headwater.wiring_inventory import module_of_inventory
from headwater.wiring_notifications import module_of_notifications
from headwater.wiring_operations import module_of_operations
from headwater.wiring_ordering import module_of_ordering
from headwater.wiring_payments import module_of_payments
from headwater.wiring_realtime import module_of_realtime
from headwater.wiring_redis import redis_server
from headwater.wiring_sagas import module_of_sagas
from infra.access_tokens import LEEWAY, AccessTokens
from infra.avro import Codec, schema_text
from infra.dead_letters import PostgresDeadLetters
from infra.event_store_postgres import PostgresEventStore
from infra.graph import Users
from infra.group_control import PostgresGroupControl
from infra.group_operations import GroupOperations
from infra.handled import PostgresHandled
from infra.kafka_client import KafkaConfig
from infra.kafka_consumer import KafkaBroker
from infra.kafka_log import KafkaLog
from infra.kafka_producer import FOR_EVER, KafkaProducer
from infra.kafka_reader import KafkaReader
from infra.member import GroupStore
from infra.migrations import ContextSchema, migrate, role_url
from infra.opaque import OpaqueTokens
from infra.outcomes import Outcomes
from infra.positions import PostgresPositions, ReadModel
from infra.postgres import Database, refusal
from infra.redis_server import RedisServer
from infra.revocations import Revocations, UnrevokedTokens
from infra.sagas import module as sagas
from infra.shadow import shadow_schema
from infra.topics import TopicReport, declared_topics, ensure_topics
from schemas.catalogue import EVENTS
from shared_kernel.errors import Unavailable
from shared_kernel.module import Feed, Module

# Enough to ask for the shape of the house: nothing is reached with it.
SHAPE = Settings(
    kafka_bootstrap_servers="nowhere:1",
    database_url=SecretStr("postgresql://nowhere/headwater"),
    schema_registry_url="http://nowhere",
    secret_key=SecretStr("0" * 32),
    jwt_hs256_secret=SecretStr("0" * 32),
)
MIGRATIONS: Mapping[str, Path] = {
    messaging.NAME: messaging.MIGRATIONS,
    notifications.NAME: notifications.MIGRATIONS,
    audit.NAME: audit.MIGRATIONS,
    realtime.NAME: realtime.MIGRATIONS,
    identity.NAME: identity.MIGRATIONS,
    ordering.NAME: ordering.MIGRATIONS,
    inventory.NAME: inventory.MIGRATIONS,
    payments.NAME: payments.MIGRATIONS,
    documents.NAME: documents.MIGRATIONS,
    sagas.NAME: sagas.MIGRATIONS,
}
ONLY_GROW: Mapping[str, tuple[str, ...]] = {audit.NAME: audit.ONLY_GROW}


@dataclass(slots=True)
class House:
    """Everything a process needs, built without touching a server; `start` connects."""

    settings: Settings
    kafka: KafkaConfig
    codec: Codec
    commands: KafkaProducer  # linger 1 ms: somebody waits for each acknowledgement
    bulk: KafkaProducer  # linger 5 ms: relay and dead letters
    signing_keys: PostgresSigningKeys
    api_keys: PostgresApiKeys
    revocations: Revocations
    access_tokens: AccessTokens
    opaque_tokens: OpaqueTokens
    databases: dict[str, Database]
    current_users: CachedUsers
    redis: RedisServer | None
    modules: tuple[Module, ...] = ()
    groups: dict[str, GroupStore] = field(default_factory=dict)  # by context
    gateway: Gateway = field(default_factory=Gateway)

    @property
    def broker(self) -> KafkaBroker:
        """Return the broker as consumer groups see it."""
        return KafkaBroker(self.kafka)

    @property
    def heard(self) -> tuple[Feed, ...]:
        """Return what every process hears that people reach."""
        return self.revocations.feed, self.current_users.feed

    @property
    def group_operations(self) -> GroupOperations:
        """Return the operators' side of the consumer groups."""
        return GroupOperations(self.kafka, self.modules, self.groups)

    async def start(self) -> None:
        """Connect. Raise `Unavailable` while the registry is away."""
        await self.codec.start()
        self.commands.start()
        self.bulk.start()

    async def close(self) -> None:
        """Send what waits, then let go of everything."""
        await asyncio.gather(self.commands.close(), self.bulk.close())
        await self.codec.registry.close()
        await self.gateway.close()
        for module in self.modules:
            if module.close:
                await module.close()
        for database in self.databases.values():
            await database.close()
        if self.redis:
            await self.redis.close()


def build(settings: Settings, rebuilt: str | None = None) -> House:
    """Return the house for these settings; where a context is `rebuilt`, on the shadow of its tables.

    Raise `SettingsError` for what only the house can know to be wrong."""
    if unknown := sorted(settings.database_urls.keys() - MIGRATIONS.keys()):
        raise SettingsError(f"{PREFIX}DATABASE_URL_{unknown[0].upper()}: there is no such context with a database")
    kafka = kafka_config(settings)
    databases = {
        name: context_database(settings, name, shadow_schema(name) if name == rebuilt else name) for name in MIGRATIONS
    }
    revocations = Revocations(ACCESS_LIFETIME + 2 * LEEWAY)
    codec = Codec(registry(settings), EVENTS)
    keys = signing_keys(settings, databases[identity.NAME])
    redis = redis_server(settings)
    users = cached_users(settings, databases[identity.NAME], codec, redis)
    of_programs = api_keys(databases[identity.NAME], codec, users)
    shared = shared_key_tokens(settings) if settings.jwt_hs256_secret else None
    house = House(
        settings=settings,
        kafka=kafka,
        codec=codec,
        commands=KafkaProducer(kafka),
        # The relay must not go past a record that timed out: the next of its stream would come first.
        bulk=KafkaProducer(kafka, linger_ms=5, delivery_timeout_s=FOR_EVER),
        signing_keys=keys,
        api_keys=of_programs,
        revocations=revocations,
        access_tokens=UnrevokedTokens(access_tokens(settings, keys, of_programs, shared), revocations),
        opaque_tokens=OpaqueTokens(secret_key(settings)),
        databases=databases,
        current_users=users,
        redis=redis,
    )
    house.groups = {name: _group_store(database, name) for name, database in house.databases.items()}
    accounts = identity_ports(house)
    people = joined_users(accounts.directory)
    talk = messaging_ports(house)
    offering = (
        module_of_identity(settings, accounts, keys),
        _messaging(house, talk, people),
        module_of_notifications(house, people),
        module_of_ordering(house, accounts.directory, people),
        module_of_inventory(house),
        module_of_payments(house),
        module_of_documents(house, talk, accounts.directory),
    )
    graph = merged(offering, house.opaque_tokens)
    heard = (*offering, module_of_realtime(house, talk, offering, graph, accounts), module_of_sagas(house))
    inside = (*heard, _audit(house, heard), gateway.module(graph))
    house.modules = (*inside, module_of_operations(house, inside))
    house.gateway = forwarding(settings, house.modules)
    return house


@cache
def all_roles() -> tuple[str, ...]:
    """Return every role a process may take: `web`, `relay`, and each consumer group and feed by its name. A house is
    built to find out, a fifth of a second the first time."""
    return tuple(what_roles_do())


def what_roles_do() -> dict[str, str]:
    """Return the same with a few words on each."""
    house = build(SHAPE)
    groups = {each.group: each.does for module in house.modules for each in module.groups}
    groups |= {module.recorder.group: module.recorder.does for module in house.modules if module.recorder}
    feeds = {module.feed.name: "Socket.IO gateway" for module in house.modules if module.feed}
    return {"web": "REST interface", "relay": "moves outbox rows to Kafka", **groups, **feeds}


async def migrate_all(settings: Settings) -> None:
    """Bring every context's schema and role to the newest version. Raise `SettingsError` if a database refuses us."""
    owner = database_at(settings, owner_url(settings), "headwater migrate", patient=True)
    schemas = [
        ContextSchema(
            name,
            path,
            context_database(settings, name, name) if name in settings.database_urls else None,
            ONLY_GROW.get(name, ()),
        )
        for name, path in MIGRATIONS.items()
    ]
    try:
        await migrate(owner, schemas, secret_key(settings))
    except (DBAPIError, Unavailable) as error:
        if (said := refusal(error)) is None:
            if isinstance(error, Unavailable):
                raise _pointing_at(settings.configured_databases, error) from error
            raise
        variables = " or ".join(settings.configured_databases) or f"{PREFIX}DATABASE_URL"
        raise SettingsError(f"the database refuses us ({said}): correct {variables}") from None
    finally:
        await owner.close()


async def make_topics(settings: Settings) -> list[TopicReport]:
    """Create the topics that are missing and report on all."""
    kafka = kafka_config(settings)
    try:
        return await ensure_topics(kafka, declared_topics(build(settings).modules), settings.topic_replication)
    except Unavailable as error:
        raise _pointing_at({f"{PREFIX}KAFKA_BOOTSTRAP_SERVERS": kafka.bootstrap_servers}, error) from error


async def register_schemas(settings: Settings) -> dict[str, int]:
    """Register every event's newest version; return subject → id. Raise `SchemaRejected` for an incompatible one."""
    client = registry(settings)
    try:
        ids = {}
        for event in EVENTS:
            ids[event.NAME] = await client.register(event.NAME, schema_text(event))
            await client.require_compatibility(event.NAME)
        return ids
    finally:
        await client.close()


def prepare(settings: Settings) -> None:
    """Make servers ready for the roles: migrations, topics, schemas. Safe to repeat."""

    async def all_three() -> None:
        work = (migrate_all(settings), make_topics(settings), register_schemas(settings))
        # All end by themselves: httpcore leaves the socket of a cancelled TLS handshake open.
        for outcome in await asyncio.gather(*work, return_exceptions=True):
            if isinstance(outcome, BaseException):
                raise outcome

    asyncio.run(all_three())


def _group_store(database: Database, context: str) -> GroupStore:
    return GroupStore(
        PostgresPositions(database, context),
        PostgresDeadLetters(database, context),
        PostgresGroupControl(database, context),
        PostgresHandled(database, context),
    )


def identity_ports(house: House) -> IdentityPorts:
    """Return what identity's commands need, for the command line too."""
    name = identity.NAME
    stored = ReadModel(house.groups[name].positions, identity.DIRECTORY, house.kafka.prefix)
    return ports_of_identity(house, stored)


def messaging_ports(house: House) -> MessagingPorts:
    """Return what messaging's commands need."""
    database = house.databases[messaging.NAME]
    history = _history(house.settings, database)
    conversations = PostgresConversations(database)
    return MessagingPorts(
        store=PostgresEventStore(database, messaging.NAME, house.codec),
        log=KafkaLog(house.commands, house.codec),
        history_writer=history,
        history=history,
        conversation_writer=conversations,
        conversations=conversations,
        stored=ReadModel(house.groups[messaging.NAME].positions, messaging.HISTORY, house.kafka.prefix),
        now=_now,
    )


def _messaging(house: House, ports: MessagingPorts, users: Users) -> Module:
    in_files = house.settings.messaging_history == "jsonl"
    return messaging.module(ports, house.opaque_tokens, users, read_model=() if in_files else messaging.READ_MODEL)


def _history(settings: Settings, database: Database) -> PostgresHistory | JsonLinesHistory:
    if settings.messaging_history == "postgres":
        return PostgresHistory(database)
    return JsonLinesHistory(settings.messaging_history_directory or settings.home / "history")


def _audit(house: House, heard: Sequence[Module]) -> Module:
    topics = sorted(topic.name for module in heard for topic in module.topics)
    letters = sorted({topic.name for topic in declared_topics(heard)} - {*topics})
    ports = audit_ports(house.settings, house.databases[audit.NAME])
    outcomes = Outcomes(house.kafka, lambda: house.modules, house.groups)
    devices = PostgresSessions(house.databases[realtime.NAME], house.codec)
    return audit.module(ports, outcomes, devices, KafkaReader(house.kafka), house.codec, topics, letters)


def audit_ports(settings: Settings, database: Database, trusted: Sequence[bytes] = ()) -> AuditPorts:
    """Return what keeps, seals and verifies; roots signed by a `trusted` public key hold too."""
    return AuditPorts(PostgresLog(database), DerivedKey(secret_key(settings), trusted), _now)


def context_database(settings: Settings, context: str, schema: str, *, patient: bool = False) -> Database:
    """Return the context's database, tables without a schema's name being those of `schema`."""
    name = f"headwater {context}"
    if own := settings.database_urls.get(context):
        url, variable = own.get_secret_value(), f"DATABASE_URL_{context.upper()}"
        return database_at(settings, url, name, schema, variable, patient=patient)
    url = role_url(owner_url(settings), context, secret_key(settings))
    return database_at(settings, url, name, schema, patient=patient)


def database_at(
    settings: Settings,
    url: str,
    name: str,
    schema: str = "public",
    variable: str = "DATABASE_URL",
    *,
    patient: bool = False,
) -> Database:
    """Return the database at the URL. Raise `SettingsError`, naming the variable, for a URL's wrong parameters."""
    size, ca_file = settings.database_pool_size, settings.database_ssl_ca_file
    try:
        return Database(url, pool_size=size, ssl_ca_file=ca_file, name=name, schema=schema, patient=patient)
    except ValueError as error:
        raise SettingsError(f"{PREFIX}{variable}: {error}") from None


def _pointing_at(variables: Mapping[str, str], error: Unavailable) -> Unavailable:
    """Return the error with what to look at: another kind of server at that address is silent, not absent."""
    looked = " or ".join(f"{name} ({without_password(value)})" for name, value in variables.items())
    return Unavailable(error.code, f"{error.detail}; is that what {looked} should name?")


def owner_url(settings: Settings) -> str:
    """Return the database's URL, which is its owner's."""
    return required(settings.database_url, "DATABASE_URL").get_secret_value()


def _now() -> datetime:
    return datetime.now(UTC)
