"""The door of inventory. Who listens to what is decided here and nowhere else."""

from pathlib import Path

from shared_kernel.module import Module, Topic

NAME = "inventory"
MIGRATIONS = Path(__file__).parent / "adapters" / "migrations"


def module() -> Module:
    """Return the context as wiring knows it."""
    return Module(
        name=NAME,
        topics=(Topic("stock"), Topic("reservations"), Topic("stock-commands")),
        has_outbox=True,
    )
