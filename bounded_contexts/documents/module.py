"""The door of documents. Who listens to what is decided here and nowhere else."""

from collections.abc import Awaitable, Callable

from bounded_contexts.documents.adapters.http_convert import PATH, Waited, convert_routes
from shared_kernel.module import Module

NAME = "documents"


def module(waited: Waited, close: Callable[[], Awaitable[None]]) -> Module:
    """Return the context as wiring knows it; `close` ends what converts."""
    return Module(name=NAME, router=convert_routes(waited), large_bodies={PATH: waited.limits.input_bytes}, close=close)
