"""What Prometheus is told: names, labels that cannot grow, and to whom."""

import re
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path
from typing import Any
from uuid import UUID

import httpx
import pytest
from prometheus_client import REGISTRY
from prometheus_client.metrics import MetricWrapperBase
from prometheus_client.openmetrics.parser import text_string_to_metric_families
from pydantic import SecretStr

import headwater.roles  # noqa: F401 – every metric that a process has
from headwater.web import application
from headwater.wiring import SHAPE, build
from infra import consumer_metrics, metrics
from infra.health import Health
from infra.http_metrics import UNMATCHED

# What labels may be called. Each has values that come from code, so the number of series is known before anybody calls:
# adding a name here means having checked that.
BOUNDED = {
    "method", "route", "status_code",  # http: 7 methods and `other`, templates and `unmatched`
    "group", "topic", "partition", "outcome", "kind", "context",  # as declared in each module.py
    "cache",  # of each use of one, in wiring
    "saga", "state",  # as in sagas/
    "work",  # of pools of workers, in wiring
    "read", "write",  # names of formats, as in the catalogue of documents
    "breaker", "step",  # as in infra/circuit_breaker.py and the domain of payments
    "reason", "code", "command",  # of sessions: words in our code
    "le", "quantile",
    "version", "implementation", "major", "minor", "patchlevel", "generation",  # prometheus_client's own
}  # fmt: skip
DECLARED = {"group", "topic"}  # what the code names
PAGE = Path(__file__).parents[2] / "docs" / "observability.md"
EVERYWHERE = "0.0.0.0"  # noqa: S104
TOKEN = "scrape-" + "0" * 32

Ask = Callable[..., httpx.AsyncClient]


@pytest.fixture
async def ask() -> AsyncIterator[Ask]:
    """Return a client of a process with these roles and settings."""
    opened: list[httpx.AsyncClient] = []

    def of(*roles: str, started: bool = True, **settings: Any) -> httpx.AsyncClient:
        house = build(SHAPE.model_copy(update=settings))
        app = application(house, roles, Health(roles, {}, started=started))
        transport = httpx.ASGITransport(app=app)
        opened.append(httpx.AsyncClient(transport=transport, base_url="http://test"))
        return opened[-1]

    yield of
    for each in opened:
        await each.aclose()


def requests(method: str, route: str, status: int) -> float:
    labels = {"method": method, "route": route, "status_code": str(status)}
    return REGISTRY.get_sample_value("http_requests_total", labels) or 0.0


class TestRequests:
    @pytest.mark.parametrize(
        ("method", "path", "counted"),
        [
            (
                "GET",
                "/api/v1/conversations/{}/messages",
                ("GET", "/api/v1/conversations/{conversation_id}/messages", 401),
            ),
            ("GET", "/health/live", ("GET", "/health/live", 200)),
            ("GET", "/docs/assets/favicon-32x32.png", ("GET", "/docs/assets", 200)),
            ("GET", "/{}", ("GET", UNMATCHED, 404)),
            ("DELETE", "/health/live", ("DELETE", "/health/live", 405)),
            ("BREW{}", "/health/live", ("other", "/health/live", 405)),
        ],
    )
    async def test_each_is_counted_by_its_route_not_by_its_path(
        self, ask: Ask, method: str, path: str, counted: tuple[str, str, int]
    ) -> None:
        before = requests(*counted)

        for number in range(3):
            await ask("web").request(method.format(number), path.format(UUID(int=number)))

        assert requests(*counted) == before + 3

    async def test_one_that_fails_is_a_500_and_no_longer_in_flight(
        self, ask: Ask, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        async def broken(_: object) -> tuple[bool, dict[str, Any]]:
            raise RuntimeError("odd")

        monkeypatch.setattr(Health, "ready", broken)
        before = requests("GET", "/health/ready", 500)

        await ask("web").get("/health/ready")

        assert requests("GET", "/health/ready", 500) == before + 1
        assert REGISTRY.get_sample_value("http_requests_in_flight") == 0

    async def test_a_request_before_the_start_is_counted_too(self, ask: Ask) -> None:
        before = requests("GET", UNMATCHED, 503)

        await ask("web", started=False).get("/api/v1/conversations")

        assert requests("GET", UNMATCHED, 503) == before + 1

    async def test_how_long_it_took_is_in_a_histogram(self, ask: Ask) -> None:
        labels = {"method": "GET", "route": "/health/live"}
        before = REGISTRY.get_sample_value("http_request_duration_seconds_count", labels) or 0.0

        await ask("web").get("/health/live")

        assert REGISTRY.get_sample_value("http_request_duration_seconds_count", labels) == before + 1


class TestScraping:
    @pytest.mark.parametrize(
        ("roles", "settings", "status"),
        [
            (["web"], {}, 200),  # on this machine, in development
            (["web"], {"host": EVERYWHERE}, 404),
            (["web"], {"mode": "production"}, 404),
            (["realtime.delivery"], {"host": EVERYWHERE}, 404),
            (["web", "relay"], {"host": EVERYWHERE}, 404),
            (["relay"], {"host": EVERYWHERE, "mode": "production"}, 200),
            (["web"], {"metrics_token": SecretStr(TOKEN)}, 401),
            (["relay"], {"metrics_token": SecretStr(TOKEN)}, 401),
        ],
    )
    async def test_without_a_token_only_where_nobody_else_comes(
        self, ask: Ask, roles: list[str], settings: dict[str, Any], status: int
    ) -> None:
        assert (await ask(*roles, **settings).get("/metrics")).status_code == status

    @pytest.mark.parametrize(("sent", "status"), [(TOKEN, 200), (TOKEN[:-1], 401), ("ü", 401), ("", 401)])
    async def test_the_token_opens_it_anywhere(self, ask: Ask, sent: str, status: int) -> None:
        web = ask("web", host=EVERYWHERE, mode="production", metrics_token=SecretStr(TOKEN))
        headers = {b"authorization": b"Bearer " + sent.encode()}

        assert (await web.get("/metrics", headers=headers)).status_code == status

    async def test_a_process_that_still_connects_can_be_scraped(self, ask: Ask) -> None:
        assert (await ask("relay", started=False).get("/metrics")).status_code == 200

    async def test_it_is_not_part_of_the_published_interface(self, ask: Ask) -> None:
        assert "/metrics" not in (await ask("web").get("/openapi.json")).json()["paths"]

    async def test_it_can_be_had_as_openmetrics(self, ask: Ask) -> None:
        answer = await ask("web").get("/metrics", headers={"accept": "application/openmetrics-text; version=1.0.0"})

        assert answer.headers["content-type"].startswith("application/openmetrics-text")
        assert "http_requests" in {family.name for family in text_string_to_metric_families(answer.text)}  # type: ignore[no-untyped-call]


class TestNames:
    def test_every_label_has_values_that_are_known_beforehand(self) -> None:
        found = {
            name
            for family in REGISTRY.collect()
            for name in (*_declared(family.name), *(label for sample in family.samples for label in sample.labels))
        }

        assert found - BOUNDED == set()

    def test_the_page_names_every_metric_with_its_labels(self) -> None:
        rows = re.findall(r"^\| `((?:headwater|http)_\w+)` \| (.*?) ?\|", PAGE.read_text(), re.MULTILINE)
        business = {
            count.name for module in build(SHAPE).modules for group in module.consumers for count in group.counts
        }

        assert len(rows) == len(dict(rows))
        assert {name: set(re.findall(r"`(\w+)`", labels)) for name, labels in rows} == dict(_ours()) | {
            f"headwater_{name}_total": set() for name in business
        }

    async def test_what_people_send_makes_no_new_series(self, ask: Ask) -> None:
        web = ask("web")

        async def series(round_: int) -> int:
            for number in range(20):
                id_ = UUID(int=round_ * 100 + number)
                await web.get(f"/api/v1/conversations/{id_}/messages?cursor={id_}", headers={"x-request-id": str(id_)})
                await web.get(f"/{id_}")
                await web.request(f"M{number}X{round_}", f"/docs/assets/{id_}")
            return sum(len(family.samples) for family in REGISTRY.collect())

        assert await series(1) == await series(2)

    def test_no_value_of_a_label_is_an_id(self) -> None:
        id_ = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}|[0-9a-f]{24}")

        values = {
            value
            for family in REGISTRY.collect()
            for each in family.samples
            for label, value in each.labels.items()
            if label not in DECLARED  # tests of the runtime make some up
        }

        assert [value for value in values if id_.search(value)] == []

    def test_every_metric_of_ours_says_what_it_is_in_base_units(self) -> None:
        ours = [family for family in REGISTRY.collect() if family.name.startswith(("headwater_", "http_"))]

        assert len(ours) >= 20
        for family in ours:
            assert family.documentation, family.name
            assert not re.search(r"_(ms|millis|minutes|kb|total)$", family.name), family.name
            if family.type == "histogram":
                assert family.name.endswith("_seconds"), family.name


def _ours() -> Iterator[tuple[str, set[str]]]:
    """Yield name and labels of every metric that our code defines, but for business figures."""
    for gauge in metrics._sampled.gauges:
        yield gauge.name, set(gauge.labels)
    for collector in REGISTRY._collector_to_names:
        if isinstance(collector, metrics.SampledCounter):
            yield collector.name + "_total", set()
        if isinstance(collector, MetricWrapperBase) and collector not in consumer_metrics._business.values():
            (family,) = collector.describe()
            yield family.name + "_total" * (family.type == "counter"), set(collector._labelnames)


def _declared(name: str) -> tuple[str, ...]:
    """Return the label names of a metric that has no series yet."""
    metric = REGISTRY._names_to_collectors.get(name)
    return tuple(getattr(metric, "_labelnames", ()))
