"""What Prometheus reads at `/metrics` (docs/observability.md): the route, gauges that are read on demand, the loop's lag.

Each metric is defined in the file that knows what it counts. Label values come from code (routes, topics, groups, reasons),
never from what people send: ids of users, conversations or sockets would make a new series each.
"""

import asyncio
from collections.abc import Iterable, Iterator, Sequence
from time import perf_counter
from typing import Protocol
from weakref import WeakSet

from fastapi import APIRouter, Depends, Request, Response
from prometheus_client import REGISTRY, Histogram
from prometheus_client.exposition import choose_encoder
from prometheus_client.metrics_core import CounterMetricFamily, GaugeMetricFamily
from prometheus_client.registry import Collector

from infra.http import may_scrape

PATH = "/metrics"
LOOK_S = 0.25  # how often the loop's lag is measured
LATENCY_S = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0)

LOOP_LAG = Histogram(
    "headwater_event_loop_lag_seconds", "How much later than asked for the loop woke a sleeper.", buckets=LATENCY_S
)


class SampledGauge:
    """A gauge whose values are asked for at each scrape: it costs nothing in between and cannot be out of date."""

    def __init__(self, name: str, help_: str, labels: Sequence[str] = ()) -> None:
        self.name, self.help, self.labels = name, help_, labels
        _sampled.gauges.append(self)


class SampledCounter(Collector):
    """A counter for what happens too often for a lock each time: only the event loop's thread counts."""

    def __init__(self, name: str, help_: str) -> None:
        self.name, self._help = name, help_
        self.count = 0
        REGISTRY.register(self)

    def collect(self) -> Iterator[CounterMetricFamily]:
        yield CounterMetricFamily(self.name, self._help, self.count)


Sample = tuple[SampledGauge, tuple[str, ...], float]  # gauge, values of its labels, value


class Source(Protocol):
    """What knows values of sampled gauges, for as long as it is alive."""

    def samples(self) -> Iterable[Sample]: ...


class _Sampled(Collector):
    def __init__(self) -> None:
        self.gauges: list[SampledGauge] = []
        self.sources: WeakSet[Source] = WeakSet()
        REGISTRY.register(self)

    def collect(self) -> Iterator[GaugeMetricFamily]:
        values: dict[SampledGauge, dict[tuple[str, ...], float]] = {gauge: {} for gauge in self.gauges}
        for source in list(self.sources):
            for gauge, labels, value in source.samples():
                values[gauge][labels] = values[gauge].get(labels, 0.0) + value
        for gauge, found in values.items():
            family = GaugeMetricFamily(gauge.name, gauge.help, labels=gauge.labels)
            for labels, value in found.items():
                family.add_metric(labels, value)
            yield family


_sampled = _Sampled()


def sample(source: Source) -> None:
    """Ask the source at each scrape from now on. Nothing keeps it alive here."""
    _sampled.sources.add(source)


def metrics_routes() -> APIRouter:
    """Return the route that Prometheus scrapes."""
    routes = APIRouter(include_in_schema=False, dependencies=[Depends(may_scrape)])

    @routes.get(PATH)
    async def metrics(request: Request) -> Response:
        encode, content_type = choose_encoder(request.headers.get("accept", ""))
        # On the loop: what is sampled belongs to it.
        return Response(encode(REGISTRY), media_type=content_type)

    return routes


async def watch_loop() -> None:
    """Measure for ever how long the loop lets a sleeper wait."""
    while True:
        began = perf_counter()
        await asyncio.sleep(LOOK_S)
        LOOP_LAG.observe(max(perf_counter() - began - LOOK_S, 0.0))
