"""The door of ordering. Who listens to what is decided here and nowhere else."""

from functools import partial
from pathlib import Path

from bounded_contexts.ordering.adapters.graph import graph
from bounded_contexts.ordering.adapters.http import router
from bounded_contexts.ordering.application.commands import confirm_order, reject_order
from bounded_contexts.ordering.application.ports import Ports
from infra.graph import Users
from schemas.identity.events import UserBlocked, UserErased, UserUnblocked
from schemas.ordering.events import (
    ConfirmOrder,
    OrderCancellationRequested,
    OrderCancelled,
    OrderConfirmed,
    OrderPlaced,
    OrderRejected,
    OrderReturned,
    OrderShipped,
    RejectOrder,
)
from shared_kernel.module import Consumer, Count, Module, Topic, on, on_batch

NAME = "ordering"
COMMANDS = "ordering.commands"
ORDERS = "ordering.orders"
ORDERS_AT_ONCE = 64  # that commands are about; what they decide is committed together (docs/adr/0040)
READ_MODEL = ("listed_order", "buyer")
MIGRATIONS = Path(__file__).parent / "adapters" / "migrations"


def module(ports: Ports, users: Users) -> Module:
    """Return the context as wiring knows it."""
    return Module(
        name=NAME,
        topics=(Topic("orders"), Topic("order-commands")),
        router=router(ports),
        graph=graph(ports, users),
        has_outbox=True,
        consumers=(
            Consumer(
                COMMANDS,
                (
                    on(ConfirmOrder, partial(confirm_order, ports=ports)),
                    on(RejectOrder, partial(reject_order, ports=ports)),
                ),
                does="confirms and rejects orders, as sagas ask",
                lanes=ORDERS_AT_ONCE,
            ),
            Consumer(
                ORDERS,
                (
                    on_batch(OrderPlaced, ports.order_writer.placed),
                    on(OrderCancellationRequested, ports.order_writer.changed),
                    on(OrderConfirmed, ports.order_writer.changed),
                    on(OrderRejected, ports.order_writer.changed),
                    on(OrderShipped, ports.order_writer.changed),
                    on(OrderCancelled, ports.order_writer.changed),
                    on(OrderReturned, ports.order_writer.changed),
                    on(UserBlocked, ports.order_writer.admitted),
                    on(UserUnblocked, ports.order_writer.admitted),
                    on(UserErased, ports.order_writer.admitted),
                ),
                does="lists orders and who placed them",
                read_model=READ_MODEL,
                counts=(
                    Count("orders_placed", "Orders that somebody placed.", OrderPlaced),
                    Count("orders_confirmed", "Orders whose stock is taken and paid.", OrderConfirmed),
                    Count("orders_rejected", "Orders that came to nothing.", OrderRejected),
                    Count("orders_cancelled", "Confirmed orders that were called off.", OrderCancelled),
                ),
            ),
        ),
    )
