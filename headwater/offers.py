"""Where each context's routes and sockets stand, for the process that serves them and for every proxy in front."""

from collections.abc import Iterator, Sequence
from dataclasses import replace

from fastapi import APIRouter

from bounded_contexts.gateway import module as gateway
from bounded_contexts.gateway.adapters.forwarding import Gateway
from bounded_contexts.gateway.adapters.offers import Offer
from bounded_contexts.gateway.adapters.upstreams import Patience
from headwater.settings import CONTEXT_UPSTREAM, Settings, SettingsError
from shared_kernel.module import Module

API = "/api/v1"
SOCKETS = "/socket.io/"
COMPAT_SOCKETS = "/ws"
COMPAT_PUBLIC_SOCKETS = "/ws/public"
GRAPH = "/graphql"
WEB = "web"  # no context's name


def offers(modules: Sequence[Module], *, compat: bool) -> Iterator[tuple[Module, Offer]]:
    """Yield what each context offers, with the routes of older services if they are switched on.

    What a context with a feed has for role `web` is an offer of its own, which no upstream of the context serves."""
    for module in modules:
        routers = [(API, module.router), ("", module.root_router)]
        if module.feed:
            yield replace(module, feed=None), Offer(WEB, _routers(routers))
            routers = [(API, module.feed_router)]
        routers.append(("", module.compat_router if compat else None))
        older = module.compat_sockets if compat else None
        sockets = [(SOCKETS, module.sockets), (COMPAT_SOCKETS, older), (COMPAT_PUBLIC_SOCKETS, older)]
        yield (
            module,
            Offer(
                module.name,
                _routers(routers),
                tuple(path for path, served in sockets if served),
                (GRAPH,) if module.graph_sockets else (),
                {
                    API + path: size
                    for path, size in {**module.large_bodies, **module.held_bodies, **module.line_bodies}.items()
                },
            ),
        )


def _routers(given: Sequence[tuple[str, object]]) -> tuple[tuple[str, APIRouter], ...]:
    return tuple((prefix, router) for prefix, router in given if isinstance(router, APIRouter))


def forwarding(settings: Settings, modules: Sequence[Module]) -> Gateway:
    """Return what forwards to the configured upstreams. Raise `SettingsError` for one of a context that there is not."""
    if unknown := sorted(settings.upstreams.keys() - {module.name for module in modules}):
        raise SettingsError(f"{CONTEXT_UPSTREAM}{unknown[0].upper()}: there is no such context")
    patience = Patience(settings.upstream_connect_timeout, settings.upstream_answer_timeout)
    return gateway.forwarding(settings.upstream_urls, patience)
