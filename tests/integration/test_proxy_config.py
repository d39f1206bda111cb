"""`headwater proxy-config`: the committed samples, and what the programs themselves say about a configuration."""

from pathlib import Path
from typing import Any

import pytest
import yaml

from bounded_contexts.gateway.adapters.configurations import AUTHORITIES
from headwater.environment import load
from headwater.offers import offers
from headwater.proxy_cli import configuration
from headwater.wiring import SHAPE, build
from infra.local.errors import StackError
from tests.proxies import check

PROVING = ("nginx", "haproxy")  # Traefik does by itself
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
    text = configuration(EVERYTHING, proxy, "https://127.0.0.1:9000,https://localhost:9443", 8080)

    assert check(proxy, text, tmp_path) == ""
    assert check(proxy, text.replace("keep", "kept"), tmp_path) != ""


def test_processes_that_speak_tls_have_to_be_who_they_say() -> None:
    settings = load({"HEADWATER_UPSTREAM_IDENTITY": "https://id.example"})
    nginx, haproxy = (
        configuration(settings, proxy, "https://one.example,https://two.example:8443") for proxy in PROVING
    )

    for line in ("verify on", f"trusted_certificate {AUTHORITIES}", "server_name on", "name $certified"):
        assert f"proxy_ssl_{line};" in nginx
    assert 'map $proxy_host $certified { default ""; identity "id.example"; web "one.example"; }' in nginx
    for host, port in (("id.example", 443), ("one.example", 443), ("two.example", 8443)):
        secure = f"check ssl verify required ca-file @system-ca verifyhost {host} sni str({host}) check-sni {host}"
        assert f" {host}:{port} {secure}\n" in haproxy


@pytest.mark.parametrize("web", ["", "web:8080", "http://web/path", "http://one,https://two"])
def test_addresses_that_no_proxy_can_have_are_refused(web: str) -> None:
    with pytest.raises(StackError, match=r"^--web: write "):
        configuration(load({}), "nginx", web)


def test_a_context_speaks_tls_with_all_its_processes_or_with_none() -> None:
    with pytest.raises(StackError, match=r"^HEADWATER_UPSTREAM_IDENTITY: write either"):
        configuration(load({"HEADWATER_UPSTREAM_IDENTITY": "http://one,https://two"}), "nginx")


def test_queries_go_to_the_gateways_processes_and_subscriptions_beside_them() -> None:
    text = configuration(load({"HEADWATER_UPSTREAM_GATEWAY": "http://queries:8080"}), "nginx")

    assert "map $upgrade $realtime_or_gateway { default http://gateway; websocket http://realtime; }" in text
    assert "location = /graphql { proxy_pass $realtime_or_gateway; }" in text


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


def test_documents_may_be_as_large_as_the_processes_let_them_be() -> None:
    settings = load({"HEADWATER_DOCUMENTS_INPUT_LIMIT": "5000000", "HEADWATER_UPSTREAM_DOCUMENTS": "http://documents"})

    nginx, haproxy = (configuration(settings, proxy) for proxy in PROVING)
    routers = yaml.safe_load(configuration(settings, "traefik"))["http"]["routers"]

    path = "/api/v1/documents/convert"
    assert f"location = {path} {{\n            client_max_body_size 5000000;" in nginx
    assert f"deny_status 413 if {{ path {path} }} {{ req.hdr_val(content-length) gt 5000000 }}" in haproxy
    assert f"Path(`{path}`)" in routers["documents-large"]["rule"]
    assert routers["documents-large"]["priority"] == max(each["priority"] for each in routers.values())


def test_another_proxy_is_refused() -> None:
    with pytest.raises(StackError, match="there are those for traefik, nginx, haproxy"):
        configuration(load({}), "caddy")
