"""Pick inventory's adapters, as `wiring` does for the others."""

from datetime import UTC, datetime, timedelta

from bounded_contexts.inventory import module as inventory
from bounded_contexts.inventory.adapters.reservations_postgres import PostgresReservations
from bounded_contexts.inventory.adapters.stock_postgres import PostgresStock
from bounded_contexts.inventory.application.ports import Ports
from bounded_contexts.inventory.domain.reservation import ReservationEvent
from bounded_contexts.inventory.domain.stock_item import StockEvent, StockItem
from headwater.given import Given
from infra.event_store_postgres import PostgresEventStore
from infra.state_store_postgres import PostgresStateStore
from shared_kernel.module import Module


def module_of_inventory(given: Given) -> Module:
    """Return the context."""
    return inventory.module(ports_of_inventory(given))


def ports_of_inventory(given: Given) -> Ports:
    """Return what inventory's commands need."""
    name = inventory.NAME
    database, codec = given.databases[name], given.codec
    stock = PostgresStock(database)
    return Ports(
        items=PostgresStateStore[StockItem, StockEvent](database, name, codec, StockItem, form=1, of=StockEvent),
        reservations=PostgresEventStore[ReservationEvent](database, name, codec, ReservationEvent),
        both=PostgresEventStore[StockEvent | ReservationEvent](database, name, codec),
        stock_writer=stock,
        stock=stock,
        held=PostgresReservations(database),
        lifetime=timedelta(seconds=given.settings.reservation_lifetime),
        now=lambda: datetime.now(UTC),
    )
