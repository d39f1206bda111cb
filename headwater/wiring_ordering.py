"""Pick ordering's adapters, as `wiring` does for the others."""

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from functools import partial
from uuid import UUID

from bounded_contexts.identity.application.ports import Directory
from bounded_contexts.ordering import module as ordering
from bounded_contexts.ordering.adapters.orders_postgres import PostgresOrders
from bounded_contexts.ordering.application.ports import Ports
from bounded_contexts.ordering.domain.order import OrderEvent
from headwater.given import Given
from infra.event_store_postgres import PostgresEventStore
from infra.graph import Users
from shared_kernel.module import Module


def module_of_ordering(given: Given, people: Directory, users: Users) -> Module:
    """Return the context; what buyers are called it asks of identity."""
    database = given.databases[ordering.NAME]
    orders = PostgresOrders(database)

    async def names(ids: Sequence[UUID]) -> Mapping[UUID, str]:
        return {id_: person.name for id_, person in (await people.named(ids)).items()}

    ports = Ports(
        store=PostgresEventStore[OrderEvent](database, ordering.NAME, given.codec),
        order_writer=orders,
        orders=orders,
        names=names,
        now=partial(datetime.now, UTC),
    )
    return ordering.module(ports, users)
