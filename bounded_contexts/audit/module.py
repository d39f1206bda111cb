"""The door of audit: so far `headwater audit tail`, which wiring takes from the adapters."""

from shared_kernel.module import Module

NAME = "audit"


def module() -> Module:
    """Return the context as wiring knows it."""
    return Module(name=NAME)
