"""The door of inventory. Who listens to what is decided here and nowhere else."""

from datetime import timedelta
from functools import partial
from pathlib import Path

from bounded_contexts.inventory.adapters.graph import graph
from bounded_contexts.inventory.adapters.http import router
from bounded_contexts.inventory.application import commands
from bounded_contexts.inventory.application.expiry import expire_due
from bounded_contexts.inventory.application.ports import Ports
from bounded_contexts.inventory.application.together import batch
from schemas.inventory.events import (
    CommitStock,
    ReleaseStock,
    ReserveStock,
    ReturnStock,
    StockCommitted,
    StockItemAdded,
    StockReceived,
    StockReleased,
    StockReserved,
    UnitsCommitted,
    UnitsReleased,
    UnitsReserved,
    UnitsReturned,
)
from shared_kernel.module import Chore, Consumer, Count, Module, Topic, on, on_batch

NAME = "inventory"
COMMANDS = "inventory.commands"
STOCK = "inventory.stock"
MIGRATIONS = Path(__file__).parent / "adapters" / "migrations"


def module(ports: Ports) -> Module:
    """Return the context as wiring knows it."""
    moved = ports.stock_writer.moved
    return Module(
        name=NAME,
        topics=(Topic("stock"), Topic("reservations"), Topic("stock-commands")),
        router=router(ports),
        graph=graph(ports),
        has_outbox=True,
        consumers=(
            Consumer(
                COMMANDS,
                (
                    on(ReserveStock, partial(commands.reserve, ports=ports)),
                    on(ReleaseStock, partial(commands.release, ports=ports)),
                    on(CommitStock, partial(commands.commit, ports=ports)),
                    on(ReturnStock, partial(commands.take_back, ports=ports)),
                ),
                does="holds, sells and frees stock for orders",
                batch_size=100,  # items are locked until the last of them is decided on
                together=partial(batch, ports=ports),
            ),
            Consumer(
                STOCK,
                (
                    on(StockItemAdded, ports.stock_writer.added),
                    on_batch(StockReceived, moved),
                    on_batch(UnitsReserved, moved),
                    on_batch(UnitsReleased, moved),
                    on_batch(UnitsCommitted, moved),
                    on_batch(UnitsReturned, moved),
                    on(StockReserved, ports.held.changed),
                    on(StockReleased, ports.held.changed),
                    on(StockCommitted, ports.held.changed),
                ),
                does="stores stock items, their movements and what orders hold",
                read_model=("stock_item", "stock_movement", "reservation"),
                counts=(
                    Count("stock_reserved", "Orders whose lines are all held.", StockReserved),
                    Count("stock_committed", "Orders whose lines are all sold.", StockCommitted),
                ),
            ),
        ),
        chores=(
            Chore(
                COMMANDS, "releases reservations that have expired", timedelta(seconds=5), partial(expire_due, ports)
            ),
        ),
    )
