"""The door of the gateway: what is served here and what is forwarded. It has neither topics nor tables."""

from collections.abc import Mapping, Sequence

from bounded_contexts.gateway.adapters.forwarding import Gateway
from bounded_contexts.gateway.adapters.upstreams import Patience, Upstream

NAME = "gateway"


def module(urls: Mapping[str, Sequence[str]], patience: Patience) -> Gateway:
    """Return the context as wiring knows it; `urls` are those of the processes of each context that is served elsewhere."""
    return Gateway({context: Upstream(context, each, patience) for context, each in urls.items()})
