"""Configurations of other proxies that do what the gateway does, from the same table of offers and with our limits."""

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from urllib.parse import urlsplit

from bounded_contexts.gateway.adapters.upstreams import LARGE_ANSWER_S
from infra.request_context import BODY_LIMIT
from infra.server import BODY_S, HEAD_LIMIT, HEAD_S, HEADER_LIMIT

KEPT_S = 65  # between requests: less than a role keeps a connection (headwater/roles.py)
SOCKETS = 16_384  # open ones of a worker
DEFAULT = "web"
AUTHORITIES = "/etc/ssl/certs/ca-certificates.crt"


@dataclass(frozen=True, slots=True)
class Backend:
    """Processes and what goes to them: `paths` are regular expressions, the others as in an `Offer`. The last backend has no
    paths and takes the rest."""

    name: str
    urls: Sequence[str]
    paths: Sequence[str] = ()
    sockets: Sequence[str] = ()
    websockets: Sequence[str] = ()
    large_bodies: Mapping[str, int] = field(default_factory=dict)

    @property
    def addresses(self) -> list[str]:
        """Return `host:port` of each process."""
        parts = [urlsplit(url) for url in self.urls]
        return [each.netloc if each.port else f"{each.netloc}:{443 if self.is_secure else 80}" for each in parts]

    @property
    def host(self) -> str:
        """Return the name that the first process's certificate has."""
        return urlsplit(self.urls[0]).hostname or ""

    @property
    def is_secure(self) -> bool:
        """Return whether the processes speak TLS."""
        return self.urls[0].startswith("https:")


@dataclass(frozen=True, slots=True)
class Site:
    """What a configuration is made from."""

    port: int
    backends: Sequence[Backend]  # the last takes what no other does
    connect_s: float
    answer_s: float

    @property
    def large_bodies(self) -> dict[str, int]:
        """Return the paths at which bodies are large, with the bytes that they may have."""
        return {path: size for each in self.backends for path, size in each.large_bodies.items()}


def nginx(site: Site) -> str:
    """Return an `nginx.conf`."""
    lines = [
        *_about("nginx", "`nginx -t -c FILE`"),
        "worker_processes auto;",
        f"worker_rlimit_nofile {4 * SOCKETS};",
        f"events {{ worker_connections {2 * SOCKETS}; }}  # two for each socket",
        "",
        "http {",
        "    server_tokens off;",
        f"    client_header_timeout {HEAD_S:.0f}s;",
        f"    client_body_timeout {BODY_S:.0f}s;",
        f"    client_max_body_size {BODY_LIMIT};",
        f"    large_client_header_buffers 4 {HEAD_LIMIT // 4};",
        f"    keepalive_timeout {KEPT_S}s;",
        "    merge_slashes off;",
        "",
        "    # As they come: nothing is held back, neither an upload nor a stream of events.",
        "    proxy_http_version 1.1;",
        "    proxy_request_buffering off;",
        "    proxy_buffering off;",
        f"    proxy_connect_timeout {site.connect_s:g}s;",
        f"    proxy_send_timeout {site.answer_s:g}s;",
        f"    proxy_read_timeout {site.answer_s:g}s;",
        "    proxy_next_upstream error timeout;",
        "",
        "    # What others say about the client is said anew.",
        "    proxy_set_header Host $http_host;",
        "    proxy_set_header X-Forwarded-For $remote_addr;",
        "    proxy_set_header X-Forwarded-Proto $scheme;",
        "    proxy_set_header X-Forwarded-Host $http_host;",
        '    proxy_set_header Forwarded "";',
        "    proxy_set_header Connection $connection_header;",
        "    proxy_set_header Upgrade $upgrade;",
        '    map $http_upgrade $upgrade { default ""; "~*^websocket$" websocket; }  # and no other is offered',
        '    map $upgrade $connection_header { default ""; websocket upgrade; }',
    ]
    if secure := [each for each in site.backends if each.is_secure]:
        lines += ["", "    # Who speaks TLS is who the certificate says: one name for all processes of an upstream."]
        lines += ["    proxy_ssl_verify on;", f"    proxy_ssl_trusted_certificate {AUTHORITIES};"]
        lines += ["    proxy_ssl_server_name on;", "    proxy_ssl_name $certified;"]
        names = " ".join(f'{each.name} "{each.host}";' for each in secure)
        lines += [f'    map $proxy_host $certified {{ default ""; {names} }}']
    for each in site.backends:
        for path in each.websockets:
            rest = _otherwise(site, path)
            lines += [f"    map $upgrade ${each.name}_or_{rest.name} {{ default {_at(rest)}; websocket {_at(each)}; }}"]
    for each in site.backends:
        # Engine.IO's polls of a session have to meet the same process.
        affinity = ["        hash $remote_addr consistent;"] if each.sockets else []
        servers = [f"        server {address};" for address in each.addresses]
        lines += ["", f"    upstream {each.name} {{", *affinity, *servers, "        keepalive 64;"]
        lines += [f"        keepalive_timeout {KEPT_S}s;", "    }"]
    lines += ["", "    server {", f"        listen {site.port};"]
    for each in site.backends:
        to = f"proxy_pass {_at(each)};"
        places = [f"{'^~' if path.endswith('/') else '='} {path}" for path in each.sockets]
        places += [f'~ "{path}"' for path in each.paths]
        lines += [f"        location {place} {{ {to} }}" for place in places or ["/"]]
        for path, size in each.large_bodies.items():
            lines += [f"        location = {path} {{", f"            client_max_body_size {size};"]
            lines += [f"            proxy_read_timeout {LARGE_ANSWER_S:.0f}s;", f"            {to}", "        }"]
        for path in each.websockets:
            lines += [f"        location = {path} {{ proxy_pass ${each.name}_or_{_otherwise(site, path).name}; }}"]
    return _text([*lines, "    }", "}"])


def haproxy(site: Site) -> str:
    """Return a `haproxy.cfg`."""
    lines = [
        *_about("HAProxy", "`haproxy -c -f FILE`"),
        "global",
        f"    tune.bufsize {HEAD_LIMIT}",
        f"    tune.http.maxhdr {HEADER_LIMIT}",
        "",
        "defaults",
        "    mode http",
        "    option http-keep-alive",
        "    option redispatch 1",
        "    retry-on conn-failure",
        f"    timeout http-request {HEAD_S:.0f}s",
        f"    timeout http-keep-alive {KEPT_S}s",
        f"    timeout connect {site.connect_s:g}s",
        f"    timeout client {site.answer_s:g}s",
        f"    timeout server {site.answer_s:g}s",
        f"    timeout tunnel {site.answer_s:g}s",
        "",
        "frontend public",
        f"    bind :{site.port}",
        f"    acl is_large path {' '.join(site.large_bodies)}",
        f"    http-request deny deny_status 413 if !is_large {{ req.hdr_val(content-length) gt {BODY_LIMIT} }}",
        *(
            f"    http-request deny deny_status 413 if {{ path {path} }} {{ req.hdr_val(content-length) gt {size} }}"
            for path, size in site.large_bodies.items()
        ),
        "    # What others say about the client is said anew.",
        "    http-request del-header Forwarded",
        "    http-request set-header X-Forwarded-For %[src]",
        "    http-request set-header X-Forwarded-Proto http unless { ssl_fc }",
        "    http-request set-header X-Forwarded-Proto https if { ssl_fc }",
        "    http-request set-header X-Forwarded-Host %[req.hdr(host)]",
    ]
    for each in site.backends:
        begins = [f"path_beg {path}" if path.endswith("/") else f"path {path}" for path in each.sockets]
        conditions = begins + [f"path_reg '{path}'" for path in each.paths]
        lines += [f"    use_backend {each.name} if {{ {condition} }}" for condition in conditions]
        lines += [
            f"    use_backend {each.name} if {{ path {path} }} {{ req.hdr(upgrade) -i websocket }}"
            for path in each.websockets
        ]
        if not conditions:
            lines += [f"    default_backend {each.name}"]
    for each in site.backends:
        # Engine.IO's polls of a session have to meet the same process.
        balance = ["    balance source", "    hash-type consistent"] if each.sockets else ["    balance roundrobin"]
        servers = [
            f"    server {each.name}-{number} {address} check{_verified(url) if each.is_secure else ''}"
            for number, (url, address) in enumerate(zip(each.urls, each.addresses, strict=True), 1)
        ]
        check = ["    option httpchk GET /health/ready"]
        if each.large_bodies:
            paths = " ".join(each.large_bodies)
            check += [f"    http-request set-timeout server {LARGE_ANSWER_S:.0f}s if {{ path {paths} }}"]
        lines += ["", f"backend {each.name}", *balance, *check, *servers]
    return _text(lines)


def traefik(site: Site) -> str:
    """Return a file for Traefik 3's file provider."""
    having_large = [each for each in site.backends if each.large_bodies]
    lines = [
        *_about("Traefik 3", "a file for `--providers.file.filename`"),
        f"# To its static configuration belong: --entryPoints.public.address=:{site.port}",
        f"#   --entryPoints.public.transport.respondingTimeouts.readTimeout={LARGE_ANSWER_S:.0f}s",  # of a whole upload
        f"#   --entryPoints.public.transport.respondingTimeouts.idleTimeout={KEPT_S}s",
        "# It says X-Forwarded-* anew unless entryPoints.public.forwardedHeaders names whom to trust.",
        "http:",
        "  routers:",
    ]
    for rank, each in enumerate(reversed(site.backends), 1):
        rules = [f"PathPrefix(`{path}`)" if path.endswith("/") else f"Path(`{path}`)" for path in each.sockets]
        rules += [f"PathRegexp(`{path}`)" for path in each.paths]
        rules += [f"(Path(`{path}`) && HeaderRegexp(`Upgrade`, `(?i)^websocket$`))" for path in each.websockets]
        rule = " || ".join(rules or ["PathPrefix(`/`)"])
        lines += [
            f"    {each.name}:",
            "      entryPoints: [public]",
            f"      rule: '{rule}'",
            f"      priority: {rank}",
        ]
        lines += [f"      service: {each.name}"]
    for each in having_large:
        rule = " || ".join(f"Path(`{path}`)" for path in each.large_bodies)
        rank += 1
        lines += [f"    {each.name}-large:", "      entryPoints: [public]", f"      rule: '{rule}'"]
        lines += [f"      priority: {rank}", f"      service: {each.name}-large"]
    lines += ["  services:"]
    services = [(each.name, "patient", each) for each in site.backends]
    services += [(f"{each.name}-large", "large", each) for each in having_large]
    for name, transport, each in services:
        lines += [f"    {name}:", "      loadBalancer:", "        servers:"]
        lines += [f"          - url: {url}" for url in each.urls]
        lines += [
            f"        serversTransport: {transport}",
            "        responseForwarding:",
            "          flushInterval: -1ms",
        ]
        lines += ["        healthCheck:", "          path: /health/ready"]
        if each.sockets:
            # Engine.IO's polls of a session have to meet the same process: clients that keep no cookies use WebSocket only.
            lines += [
                "        sticky:",
                "          cookie:",
                "            name: headwater",
                "            httpOnly: true",
            ]
    lines += ["  serversTransports:"]
    for transport, answer_s in (("patient", site.answer_s), ("large", LARGE_ANSWER_S)):
        lines += [f"    {transport}:", "      forwardingTimeouts:", f"        dialTimeout: {site.connect_s:g}s"]
        lines += [f"        responseHeaderTimeout: {answer_s:g}s", f"        idleConnTimeout: {KEPT_S}s"]
    return _text(lines)


PROXIES: Mapping[str, Callable[[Site], str]] = {"traefik": traefik, "nginx": nginx, "haproxy": haproxy}


def _otherwise(site: Site, path: str) -> Backend:
    """Return who has what is no WebSocket at a path of WebSockets."""
    having = (each for each in site.backends if any(re.match(pattern, path) for pattern in each.paths))
    return next(having, site.backends[-1])


def _verified(url: str) -> str:
    host = urlsplit(url).hostname
    return f" ssl verify required ca-file @system-ca verifyhost {host} sni str({host}) check-sni {host}"


def _at(backend: Backend) -> str:
    return f"{'https' if backend.is_secure else 'http'}://{backend.name}"


def _about(what: str, use: str) -> list[str]:
    return [f"# {what} before Headwater, made by `headwater proxy-config`; {use}.", ""]


def _text(lines: Sequence[str]) -> str:
    return "\n".join(lines) + "\n"
