"""The door of the gateway."""

from bounded_contexts.gateway.adapters.graphql import Graph
from bounded_contexts.gateway.adapters.graphql_http import graphql_routes
from shared_kernel.module import Module

NAME = "gateway"


def module(graph: Graph) -> Module:
    """Return the context as wiring knows it."""
    return Module(name=NAME, root_router=graphql_routes(graph))
