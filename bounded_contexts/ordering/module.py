"""The door of ordering. Who listens to what is decided here and nowhere else."""

from pathlib import Path

from shared_kernel.module import Module, Topic

NAME = "ordering"
MIGRATIONS = Path(__file__).parent / "adapters" / "migrations"


def module() -> Module:
    """Return the context as wiring knows it."""
    return Module(
        name=NAME,
        topics=(Topic("orders"), Topic("order-commands")),
        has_outbox=True,
    )
