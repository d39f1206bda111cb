"""Put the contexts' parts of the GraphQL schema together."""

from collections.abc import Sequence

from bounded_contexts.gateway.adapters.graphql import Graph
from bounded_contexts.realtime.adapters.graph import PART as SUBSCRIPTIONS
from infra.graph import Part
from infra.opaque import OpaqueTokens
from shared_kernel.module import Module


def merged(modules: Sequence[Module], tokens: OpaqueTokens) -> Graph:
    """Return the schema of the modules, and of what is subscribed to."""
    return Graph([*(each.graph for each in modules if isinstance(each.graph, Part)), SUBSCRIPTIONS], tokens)
