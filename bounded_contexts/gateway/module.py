"""The door of the gateway: one GraphQL schema, and what is served here and what elsewhere. It has no topics nor tables."""

from collections.abc import Mapping, Sequence

from bounded_contexts.gateway.adapters.forwarding import Gateway
from bounded_contexts.gateway.adapters.graphql import Graph
from bounded_contexts.gateway.adapters.graphql_http import graphql_routes
from bounded_contexts.gateway.adapters.upstreams import Patience, Upstream
from shared_kernel.module import Module

NAME = "gateway"


def module(graph: Graph) -> Module:
    """Return the context as wiring knows it."""
    return Module(name=NAME, root_router=graphql_routes(graph))


def forwarding(urls: Mapping[str, Sequence[str]], patience: Patience) -> Gateway:
    """Return what forwards; `urls` are those of the processes of each context that is served elsewhere."""
    return Gateway({context: Upstream(context, each, patience) for context, each in urls.items()})
