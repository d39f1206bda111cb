"""What single commands do with a part of the house, and let go of."""

from collections.abc import AsyncIterator, Awaitable, Callable, Collection, Sequence
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import TypeVar
from uuid import UUID

from bounded_contexts.audit import module as audit
from bounded_contexts.audit.adapters.export import Format, Progress, export
from bounded_contexts.audit.adapters.range_kafka import Selection
from bounded_contexts.audit.adapters.records import line
from bounded_contexts.audit.adapters.tail import Stretch, tail
from bounded_contexts.audit.application.ports import Ports as AuditPorts
from bounded_contexts.identity import module as identity
from bounded_contexts.identity.application.commands import change_user
from bounded_contexts.identity.domain import user
from bounded_contexts.identity.domain.commands import Asker, GrantRole, RevokeRole
from headwater.configured import kafka_config, registry
from headwater.settings import Settings
from headwater.wiring import (
    House,
    audit_ports,
    build,
    context_database,
    database_at,
    identity_ports,
    owner_url,
)
from headwater.wiring_identity import signing_keys
from headwater.wiring_sagas import saga_operations
from infra.avro import Codec
from infra.event_verification import Report, Verification
from infra.group_operations import GroupOperations
from infra.kafka_producer import KafkaProducer
from infra.kafka_reader import KafkaReader
from infra.rebuild import Rebuild
from infra.sagas.operations import SagaOperations
from infra.topic_refill import Refill
from schemas.catalogue import EVENTS
from shared_kernel.decider import state_of
from shared_kernel.errors import NotFound, Refused

OPERATOR = UUID(int=0)  # whoever runs the installation, as events name them
T = TypeVar("T")


async def audit_lines(settings: Settings, topic: str, start: str, follow: bool) -> AsyncIterator[str]:
    """Yield the topic's records as lines of JSON."""
    codec = Codec(registry(settings), EVENTS)
    try:
        await codec.start()
        async for record in tail(KafkaReader(kafka_config(settings)), codec, topic, Stretch(start, follow)):
            yield line(record).decode()
    finally:
        await codec.registry.close()


async def audit_export(
    settings: Settings, topics: Sequence[str], selection: Selection, to: tuple[Path, Format], progress: Progress
) -> int:
    """Write the topics' records into a file; return how many."""
    codec = Codec(registry(settings), EVENTS)
    try:
        await codec.start()
        return await export(KafkaReader(kafka_config(settings)), codec, topics, selection, to, progress)
    finally:
        await codec.registry.close()


async def change_role(settings: Settings, email: str, role: str, *, granted: bool) -> str:
    """Give a role to the user with this address or take it; return the user's id. Raise `NotFound`, `Refused`."""
    house = build(settings)
    try:
        await house.codec.start()
        ports = identity_ports(house)
        owner = await ports.accounts.owner(email)
        if owner is None:
            raise NotFound("user_not_found", f"nobody has the address {email}")
        state, _ = await state_of(user, ports.users, owner)
        if granted and not state.is_verified:
            raise Refused(
                "email_unverified", f"{email} has not shown to be the account's: let its mail be answered first"
            )
        kind = GrantRole if granted else RevokeRole
        ask = kind(user_id=owner, role=role, asker=Asker(OPERATOR, frozenset({"admin"})), at=ports.now())
        await change_user(ask, ports)
    finally:
        await _let_go(house)
    return str(owner)


async def rotate_keys(settings: Settings, *, at_once: bool) -> str:
    """Add a signing key; return its `kid`."""
    database = context_database(settings, identity.NAME, identity.NAME)
    try:
        return await signing_keys(settings, database).rotate(datetime.now(UTC), at_once=at_once)
    finally:
        await database.close()


async def _let_go(house: House) -> None:
    """Close what a command has used of a house that was not started."""
    await house.codec.registry.close()
    for database in house.databases.values():
        await database.close()


@asynccontextmanager
async def audit_log(settings: Settings, trusted: Sequence[bytes] = ()) -> AsyncIterator[AuditPorts]:
    """Lend the audit log to a command."""
    database = context_database(settings, audit.NAME, audit.NAME)
    try:
        yield audit_ports(settings, database, trusted)
    finally:
        await database.close()


async def with_groups(settings: Settings, work: Callable[[GroupOperations], Awaitable[T]]) -> T:
    """Return what the work returns, done with the house's consumer groups."""
    house = build(settings)
    try:
        return await work(house.group_operations)
    finally:
        for database in house.databases.values():
            await database.close()


async def with_sagas(settings: Settings, work: Callable[[SagaOperations], Awaitable[T]]) -> T:
    """Return what the work returns, done with the house's sagas."""
    house = build(settings)
    try:
        await house.codec.start()  # what is asked again is encoded here
        return await work(saga_operations(house))
    finally:
        await _let_go(house)


async def with_rebuild(settings: Settings, group: str, work: Callable[[Rebuild], Awaitable[T]]) -> T:
    """Return what the work returns, done with rebuilds of the group's context."""
    context = group.partition(".")[0]
    house = build(settings, rebuilt=context)
    if context in settings.database_urls:
        owner = context_database(settings, context, context, patient=True)
    else:
        owner = database_at(settings, owner_url(settings), "headwater rebuild", patient=True)
    try:
        await house.codec.start()  # and no producer: what handlers hear again must not leave the house
        return await work(Rebuild(owner, house.modules, house.groups, house.kafka, house.codec))
    finally:
        await house.codec.registry.close()
        for database in (owner, *house.databases.values()):
            await database.close()


async def verify_events(
    settings: Settings, contexts: Collection[str], told: Callable[[str, str, int, int], None]
) -> list[Report]:
    """Return how the event stores of these contexts, or of all, stand to their topics. Raise `NotFound` for one without."""
    known = [module.name for module in build(settings).modules if module.has_outbox]
    if unknown := sorted(set(contexts) - {*known}):
        raise NotFound("context_not_found", f"{unknown[0]} stores no events; {', '.join(known)} do")
    reports = []
    for name in contexts or known:
        database = context_database(settings, name, name, patient=True)
        try:
            look = Verification(database, name, kafka_config(settings), _topics(), partial(told, name))
            reports.append(await look.run())
        finally:
            await database.close()
    return [report for report in reports if report]


async def refill_topic(
    settings: Settings, context: str, topic: str, told: Callable[[int, int], None], *, again: bool
) -> tuple[int, list[str]]:
    """Fill the topic from the context's event store; return how many events that were, and which groups read it."""
    modules = build(settings).modules
    owned = {each.name for module in modules if module.name == context for each in module.topics}
    if topic not in owned:
        raise NotFound(
            "topic_not_found", f"{context} owns no topic {topic}; its own are {', '.join(sorted(owned)) or 'none'}"
        )
    groups = [group.group for module in modules for group in module.groups if topic in group.topics]
    groups += [module.recorder.group for module in modules if module.recorder and topic in module.recorder.topics]
    types = [name for name, place in _topics().items() if place == topic]
    database = context_database(settings, context, context, patient=True)
    producer = KafkaProducer(kafka_config(settings), linger_ms=5)
    producer.start()
    try:
        count = await Refill(database, context, kafka_config(settings), producer).run(topic, types, told, again=again)
    finally:
        await producer.close()
        await database.close()
    return count, groups


def _topics() -> dict[str, str]:
    """Return where the events of each type belong."""
    return {event.NAME: event.TOPIC for event in EVENTS}
