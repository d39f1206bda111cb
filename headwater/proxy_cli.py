"""The command `proxy-config`."""

from typing import Annotated

import typer

from headwater.addresses import listed, upstreams
from headwater.console import told
from headwater.environment import load
from headwater.settings import CONTEXT_UPSTREAM, Settings
from infra.local.errors import StackError

WEB = "http://web:8080"
REALTIME = "http://realtime-delivery:8080"  # as Compose names them


def proxy_config(
    proxy: Annotated[str, typer.Argument(help="traefik, nginx or haproxy.")],
    web: Annotated[str, typer.Option(help="Base URLs of the processes of role `web`, comma-separated.")] = WEB,
    port: Annotated[int, typer.Option(min=1, max=65535, help="The public port.")] = 80,
) -> None:
    """Print a configuration that puts the proxy in the gateway's place: HEADWATER_UPSTREAM_<CONTEXT> say what is where."""
    with told():
        print(configuration(load(), proxy, web, port), end="")  # noqa: T201 – a file, as it is


def configuration(settings: Settings, proxy: str, web: str = WEB, port: int = 80) -> str:
    """Return the configuration. Raise `StackError` for a proxy that is not known, or addresses that none can have."""
    from bounded_contexts.gateway.adapters.configurations import DEFAULT, PROXIES, Backend, Site
    from headwater.offers import forwarding, offers
    from headwater.wiring import SHAPE, build

    if proxy not in PROXIES:
        raise StackError(f"no configuration for {proxy}; there are those for {', '.join(PROXIES)}")
    try:
        upstreams(web)
    except ValueError as error:
        raise StackError(f"--web: {error}") from None
    given = {"--web": listed(web)}
    given |= {f"{CONTEXT_UPSTREAM}{context.upper()}": each for context, each in settings.upstream_urls.items()}
    for name, each in given.items():
        if len({url.partition(":")[0] for url in each}) > 1:
            raise StackError(
                f"{name}: write either http:// or https:// for all, a proxy speaks one of them to an upstream"
            )
    modules = build(SHAPE.model_copy(update={"documents_input_limit": settings.documents_input_limit})).modules
    forwarding(settings, modules)
    urls = {"realtime": [REALTIME]} | settings.upstream_urls
    table = [offer for _, offer in offers(modules, compat=settings.compat_routes)]
    backends = [
        Backend(each.context, urls[each.context], tuple(each.paths()), each.sockets, each.websockets, each.large_bodies)
        for each in table
        if each.context in urls
    ]
    rest = {path: size for each in table if each.context not in urls for path, size in each.large_bodies.items()}
    patience = (settings.upstream_connect_timeout, settings.upstream_answer_timeout)
    return PROXIES[proxy](Site(port, (*backends, Backend(DEFAULT, listed(web), large_bodies=rest)), *patience))
