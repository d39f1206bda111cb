"""`headwater proxy-config`: the committed samples, and what the programs themselves say about a configuration."""

from pathlib import Path
from typing import Any

import pytest
import yaml

from headwater.environment import load
from headwater.offers import offers
from headwater.proxy_cli import configuration
from headwater.wiring import SHAPE, build
from infra.local.errors import StackError
from tests.proxies import check

SAMPLES = Path(__file__).parents[2] / "deploy" / "proxy"
FILES = {"nginx": "nginx.conf", "haproxy": "haproxy.cfg", "traefik": "traefik.yml"}
EVERYTHING = load(
    {
        "HEADWATER_COMPAT_ROUTES": "true",
        "HEADWATER_UPSTREAM_REALTIME": "http://127.0.0.1:9001,http://127.0.0.1:9002",
        "HEADWATER_UPSTREAM_MESSAGING": "http://127.0.0.1:9003",
        "HEADWATER_UPSTREAM_IDENTITY": "http://127.0.0.1",
    }
)


@pytest.mark.parametrize("proxy", FILES)
def test_the_sample_is_what_is_printed(proxy: str) -> None:
    assert (SAMPLES / FILES[proxy]).read_text(encoding="utf-8") == configuration(load({}), proxy)


@pytest.mark.connected
@pytest.mark.parametrize("proxy", ["nginx", "haproxy"])
def test_the_program_takes_it_and_not_a_broken_one(proxy: str, tmp_path: Path) -> None:
    text = configuration(EVERYTHING, proxy, "http://127.0.0.1:9000,https://127.0.0.1:9443", 8080)

    assert check(proxy, text, tmp_path) == ""
    assert check(proxy, text.replace("keep", "kept"), tmp_path) != ""


def test_the_file_of_traefik_is_whole() -> None:
    """Traefik itself could not be had where this was written: its parts are compared with each other."""
    found: dict[str, Any] = yaml.safe_load(configuration(EVERYTHING, "traefik"))["http"]

    assert found.keys() == {"routers", "services", "serversTransports"}
    assert {each["service"] for each in found["routers"].values()} == found["services"].keys()
    assert found.keys() >= {"serversTransports"}
    for name, each in found["services"].items():
        balancer = each["loadBalancer"]
        assert balancer["serversTransport"] in found["serversTransports"]
        assert all(server["url"].startswith("http") for server in balancer["servers"])
        assert ("sticky" in balancer) == (name == "realtime")
    ranks = {name: each["priority"] for name, each in found["routers"].items()}
    assert min(ranks, key=lambda name: ranks[name]) == "web"


@pytest.mark.parametrize("proxy", FILES)
def test_every_route_of_a_context_with_processes_of_its_own_is_there(proxy: str) -> None:
    text = configuration(EVERYTHING, proxy)
    table = {offer.context: offer for _, offer in offers(build(SHAPE).modules, compat=True)}

    assert [
        path for context in ("messaging", "identity", "realtime") for path in table[context].paths() if path not in text
    ] == []
    assert [path for path in table["notifications"].paths() if path in text] == []
    assert all(path in text for path in table["realtime"].sockets)


def test_another_proxy_is_refused() -> None:
    with pytest.raises(StackError, match="there are those for traefik, nginx, haproxy"):
        configuration(load({}), "caddy")
