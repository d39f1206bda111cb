"""The door of documents. Who listens to what is decided here and nowhere else."""

from shared_kernel.module import Module

NAME = "documents"


def module() -> Module:
    """Return the context as wiring knows it: so far only the command line converts."""
    return Module(name=NAME)
