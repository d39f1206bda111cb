"""What each context shows at the public port. Mounting, forwarding and the configurations of proxies go by this table alone."""

import re
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

from fastapi import APIRouter, FastAPI
from fastapi.routing import RouteContext, iter_route_contexts
from starlette.routing import BaseRoute, Match
from starlette.types import Scope

NAMED = re.compile(r"\(\?P<\w+>")


@dataclass(frozen=True)
class Offer:
    """`routers` come with the prefix they are mounted under; a path of `sockets` that ends with a slash is all below it. At a
    path of `websockets` other requests are somebody else's. At a path of `large_bodies` a body has so many bytes at most; it
    comes, and is worked on, for as long as the route itself allows."""

    context: str
    routers: tuple[tuple[str, APIRouter], ...] = ()
    sockets: tuple[str, ...] = ()
    websockets: tuple[str, ...] = ()
    large_bodies: Mapping[str, int] = field(default_factory=dict)

    @cached_property
    def routes(self) -> tuple[RouteContext, ...]:
        """Return the routes at their whole paths."""
        table = FastAPI(openapi_url=None, docs_url=None, redoc_url=None)
        self.mount(table)
        return tuple(iter_route_contexts(table.routes))

    def mount(self, app: FastAPI) -> None:
        """Have the application serve the routes itself."""
        for prefix, router in self.routers:
            app.include_router(router, prefix=prefix)

    def match(self, scope: Scope) -> tuple[Match, dict[str, Any]]:
        """Return how well a route fits the request, and which: the first that fits wholly, or else in all but its method."""
        found: tuple[Match, dict[str, Any]] = (Match.NONE, {})
        path, method = scope["path"], scope["method"]
        for pattern, methods, route in self._table:
            if pattern.match(path):
                if method in methods:
                    return Match.FULL, {"route": route}
                if found[0] is Match.NONE:
                    found = (Match.PARTIAL, {"route": route})
        return found

    @cached_property
    def _table(self) -> list[tuple[re.Pattern[str], Collection[str], BaseRoute]]:
        return [(each.path_regex, each.methods or (), each.original_route) for each in self.routes]

    def paths(self) -> Iterator[str]:
        """Yield the regular expression of each path once, as every proxy reads it: without names of groups."""
        for pattern in dict.fromkeys(route.path_regex.pattern for route in self.routes):
            yield NAMED.sub("(", pattern).replace("\\-", "-")
