"""What `headwater up` tells a real OTLP receiver, and a real Prometheus that has our rules and is asked our dashboards."""

import asyncio
import json
import re
import subprocess
from collections import Counter
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

import httpx
import pytest
import yaml

from infra.local.ports import free_port
from tests.debian import unpacked
from tests.e2e.conftest import ROOT, Stack, up
from tests.e2e.test_message_exchange import device
from tests.otlp import Received, Receiver, receiving
from tests.probes import eventually

pytestmark = pytest.mark.connected

SERVER, CLIENT, PRODUCER, CONSUMER = 2, 3, 4, 5  # opentelemetry.proto.trace.v1.Span.SpanKind
CLIENT_SPAN = "00f067aa0ba902b7"
POST = "POST /api/v1/messages"
MANY = 200
FILES = ROOT / "deploy" / "observability"
RARE = {"headwater_producer_failures_total"}  # has a series once something has failed


@pytest.fixture(scope="module")
def receiver() -> Iterator[Receiver]:
    with receiving() as running:
        yield running


@pytest.fixture(scope="module")
def observed(receiver: Receiver, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    """A stack that sends its traces to the receiver."""
    environment = {"HEADWATER_OTLP_ENDPOINT": receiver.url, "OTEL_BSP_SCHEDULE_DELAY": "200"}
    with up(Stack(tmp_path_factory.mktemp("observed"), **environment)) as running:
        yield running


def client(stack: Stack, user: UUID) -> httpx.AsyncClient:
    headers = {"authorization": f"Bearer {stack.token(user)}"}
    return httpx.AsyncClient(base_url=f"{stack.url}/api/v1", headers=headers, timeout=30)


def traceparent(trace_id: str, *, sampled: bool = True) -> dict[str, str]:
    return {"traceparent": f"00-{trace_id}-{CLIENT_SPAN}-0{int(sampled)}"}


def body(*people: UUID) -> dict[str, Any]:
    return {"participants": [str(each) for each in people], "body": "Hello", "client_id": str(uuid4())}


async def test_a_message_is_one_trace_from_the_request_to_the_sockets(observed: Stack, receiver: Receiver) -> None:
    ann, bob = uuid4(), uuid4()
    trace_id = uuid4().hex

    async with device(observed, bob, "web") as screen, client(observed, ann) as api:
        answer = await api.post("/messages", json=body(ann, bob), headers=traceparent(trace_id))
        spans = await spans_of(receiver, trace_id, 5)
        assert screen.bodies() == ["Hello"]

    assert answer.status_code == 202
    (request,) = [span for span in spans if span.kind == SERVER]
    (send,) = [span for span in spans if span.kind == PRODUCER]
    handled = {span.attributes["messaging.consumer.group.name"]: span for span in spans if span.kind == CONSUMER}

    assert (request.name, request.parent_id, request.failed) == (POST, CLIENT_SPAN, False)
    assert (send.name, send.parent_id) == ("send messages", request.span_id)
    assert set(handled) == {"messaging.history", "notifications.inbox", "realtime.delivery"}
    assert {span.parent_id for span in handled.values()} == {send.span_id}
    assert handled["messaging.history"].name == "process messages"
    assert handled["realtime.delivery"].name == "deliver messages"
    assert handled["realtime.delivery"].attributes["headwater.realtime.sockets"] == 1
    assert "web" in str(request.resource["headwater.roles"])
    assert "messaging.history" in str(handled["messaging.history"].resource["headwater.roles"])

    assert request.attributes["http.request.method"] == "POST"
    assert request.attributes["http.route"] == "/api/v1/messages"
    assert request.attributes["http.response.status_code"] == 202
    assert request.attributes["headwater.correlation_id"] == answer.headers["x-request-id"]
    where = (
        "messaging.destination.name",
        "messaging.destination.partition.id",
        "messaging.kafka.offset",
        "messaging.message.id",
    )
    for span in (send, *handled.values()):
        assert span.attributes["messaging.system"] == "kafka"
        assert [span.attributes[name] for name in where] == [send.attributes[name] for name in where]
    for span in handled.values():
        assert span.attributes["messaging.message.conversation_id"] == answer.headers["x-request-id"]


async def test_a_decision_keeps_its_trace_through_the_outbox(observed: Stack, receiver: Receiver) -> None:
    trace_id = uuid4().hex
    async with client(observed, uuid4()) as api:
        answer = await api.post("/conversations", json={"title": "t", "member_ids": []}, headers=traceparent(trace_id))
        assert answer.status_code == 201, answer.text

    spans = {span.name: span for span in await spans_of(receiver, trace_id, 3)}

    send = spans["send conversations"]
    assert send.parent_id == spans["POST /api/v1/conversations"].span_id
    assert "relay" in str(send.resource["headwater.roles"])
    assert spans["process conversations"].parent_id == send.span_id


async def test_an_order_is_one_trace_from_the_request_over_the_provider_to_its_confirmation(
    observed: Stack, receiver: Receiver
) -> None:
    trace_id, sku = uuid4().hex, f"tea-{uuid4().hex[:8]}"
    staff = {"authorization": f"Bearer {observed.token(uuid4(), 'staff')}"}
    async with client(observed, uuid4()) as api:
        (await api.post("/stock-items", json={"sku": sku, "name": "Tea"}, headers=staff)).raise_for_status()
        (await api.post(f"/stock-items/{sku}:receive", json={"quantity": 1}, headers=staff)).raise_for_status()
        lines = [{"sku": sku, "quantity": 1, "unit_price_minor": 450}]
        body = {"currency": "EUR", "lines": lines}
        answer = await api.post("/orders", json=body, headers=traceparent(trace_id))
        assert answer.status_code == 201, answer.text

    def heard() -> Counter[tuple[str, str]]:
        """Count which group has dealt with records of which topic."""
        spans = [span for span in receiver.trace(trace_id) if span.kind == CONSUMER]
        of = ("messaging.consumer.group.name", "messaging.destination.name")
        return Counter((str(span.attributes[of[0]]), str(span.attributes[of[1]])) for span in spans)

    def orphans() -> list[str]:
        spans = receiver.trace(trace_id)
        known = {span.span_id for span in spans} | {CLIENT_SPAN}
        return [span.name for span in spans if span.parent_id not in known]

    def webhooks() -> list[Received]:
        """Return those of the provider, which may come before its answers and then cause what follows."""
        return [span for span in receiver.trace(trace_id) if span.name == "POST /api/v1/payments/webhooks"]

    await until(lambda: heard()["ordering.orders", "orders"] == 2 and len(webhooks()) >= 2)
    await until(lambda: orphans() == [])

    assert heard()["ordering.commands", "order-commands"] == 1
    assert heard()["inventory.commands", "stock-commands"] == 2
    spans = receiver.trace(trace_id)
    calls = [span for span in spans if span.kind == CLIENT]
    answered = {
        (call.attributes["url.full"].rpartition("/")[2], call.attributes["http.response.status_code"])
        for call in calls
        if not call.failed
    }
    assert answered == {("payments", 201), ("capture", 200)}
    asked = {span.span_id for span in spans if span.name == "process payment-commands"}
    assert {call.parent_id for call in calls} <= asked
    assert {each.parent_id for each in webhooks()} <= {call.span_id for call in calls}


async def test_a_command_over_a_socket_begins_a_trace(observed: Stack, receiver: Receiver) -> None:
    ann, bob = uuid4(), uuid4()

    def of_socket() -> list[Received]:
        return [span for span in receiver.spans if span.name == "message.send"]

    async with device(observed, ann, "web") as screen:
        ack = await screen.client.call("message.send", body(ann, bob), namespace="/chat")
        assert ack["ok"], ack
        await until(lambda: len(of_socket()) == 1)
        (asked,) = of_socket()
        sends = [span for span in await spans_of(receiver, asked.trace_id, 5) if span.kind == PRODUCER]

    assert (asked.kind, asked.parent_id) == (SERVER, "")
    assert [span.parent_id for span in sends] == [asked.span_id]


async def test_of_many_messages_handled_in_batches_none_misses_a_span(observed: Stack, receiver: Receiver) -> None:
    ann, bob = uuid4(), uuid4()
    traces = [uuid4().hex for _ in range(MANY)]
    async with client(observed, ann) as api:
        await asyncio.gather(
            *(api.post("/messages", json=body(ann, bob), headers=traceparent(each)) for each in traces)
        )

    for trace_id in traces:
        spans = await spans_of(receiver, trace_id, 4)
        known = {span.span_id for span in spans} | {CLIENT_SPAN}
        assert [span.name for span in spans if span.parent_id not in known] == []


async def test_what_the_caller_does_not_keep_is_not_kept_here(observed: Stack, receiver: Receiver) -> None:
    ann, bob = uuid4(), uuid4()
    left_out, kept = uuid4().hex, uuid4().hex
    async with client(observed, ann) as api:
        await api.post("/messages", json=body(ann, bob), headers=traceparent(left_out, sampled=False))
        await api.post("/messages", json=body(ann, bob), headers=traceparent(kept))

    await spans_of(receiver, kept, 4)
    assert receiver.trace(left_out) == []


@pytest.mark.parametrize("sent", ["", "nonsense", f"00-{'0' * 32}-{CLIENT_SPAN}-01", f"ff-{'1' * 32}-{CLIENT_SPAN}-01"])
async def test_a_trace_that_is_none_is_begun_here(observed: Stack, receiver: Receiver, sent: str) -> None:
    async with client(observed, uuid4()) as api:
        answer = await api.get("/conversations", headers={"traceparent": sent})

    def found() -> list[Received]:
        id_ = answer.headers["x-request-id"]
        return [span for span in receiver.spans if span.attributes.get("headwater.correlation_id") == id_]

    await until(lambda: len(found()) == 1)
    assert found()[0].parent_id == ""
    assert found()[0].name == "GET /api/v1/conversations"


async def spans_of(receiver: Receiver, trace_id: str, count: int) -> list[Received]:
    """Wait for the spans of the trace, which are to be so many."""
    await until(lambda: len(receiver.trace(trace_id)) >= count)
    found = receiver.trace(trace_id)
    assert len(found) == count, [span.name for span in found]
    return found


async def until(is_so: Callable[[], bool], within: float = 45.0) -> None:
    async def asked() -> bool:
        return is_so()

    await eventually(asked, within=within)


@asynccontextmanager
async def prometheus_of(stack: Stack, directory: Path) -> AsyncIterator[httpx.AsyncClient]:
    """Run Prometheus with our rules, scraping the stack's processes, and yield a client of its API."""
    found = stack.home.read()
    assert found is not None
    targets = [f"127.0.0.1:{each.port}" for each in found.processes if each.name in ("web", "work", "relay")]
    job = {"job_name": "headwater", "static_configs": [{"targets": targets}]}
    config = {
        "global": {"scrape_interval": "1s", "evaluation_interval": "1s"},
        "rule_files": [str(FILES / "alerts.yml")],
        "scrape_configs": [job],
    }
    (directory / "prometheus.yml").write_text(yaml.safe_dump(config))
    port = free_port()
    usr = await asyncio.to_thread(unpacked, "prometheus")
    process = subprocess.Popen(
        (
            usr / "bin" / "prometheus",
            f"--config.file={directory / 'prometheus.yml'}",
            f"--storage.tsdb.path={directory / 'data'}",
            f"--web.listen-address=127.0.0.1:{port}",
        ),
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{port}/api/v1") as api:
            yield api
    finally:
        process.terminate()
        process.wait(20)


async def query(api: httpx.AsyncClient, expression: str) -> list[dict[str, Any]]:
    """Return what Prometheus finds, nothing while it starts."""
    try:
        answer = await api.get("/query", params={"query": expression})
    except httpx.TransportError:
        return []
    if answer.status_code == 503:
        return []
    assert answer.status_code == 200, (expression, answer.text)
    return list(answer.json()["data"]["result"])


def dashboard_queries() -> list[str]:
    documents = [json.loads(path.read_text()) for path in (FILES / "dashboards").glob("*.json")]
    targets = [target for each in documents for panel in each["panels"] for target in panel["targets"]]
    return [target["expr"].replace("$__rate_interval", "1m") for target in targets]


async def test_every_query_of_the_dashboards_and_every_metric_of_the_alerts_is_there(
    observed: Stack, tmp_path: Path
) -> None:
    ann, bob = uuid4(), uuid4()
    alerts = yaml.safe_load((FILES / "alerts.yml").read_text())["groups"][0]["rules"]
    metrics = {name for rule in alerts for name in re.findall(r"\b(?:headwater|http)_\w+(?=[{\[) ])", rule["expr"])}
    assert len(metrics) >= 8

    async with prometheus_of(observed, tmp_path) as api, device(observed, ann, "web") as screen:
        await eventually(lambda: query(api, 'up{job="headwater"} == 1'), until=lambda found: len(found) == 3)
        async with client(observed, ann) as rest:
            await rest.post("/messages", json=body(ann, bob))
        await screen.client.call("message.send", body(ann, bob), namespace="/chat")

        empty = [each for each in dashboard_queries() if not await eventually_found(api, each)]
        unknown = [each for each in sorted(metrics - RARE) if not await eventually_found(api, each)]
        families = await exposed(observed)

        assert empty == []
        assert unknown == []
        assert {name.removesuffix("_total").removesuffix("_bucket") for name in metrics} <= families
        assert [each["metric"]["alertname"] for each in await query(api, 'ALERTS{alertstate="firing"}')] == []


async def eventually_found(api: httpx.AsyncClient, expression: str) -> list[dict[str, Any]]:
    """Return what the query finds, which may need two scrapes."""
    try:
        return await eventually(lambda: query(api, expression))
    except AssertionError:
        return []


async def exposed(stack: Stack) -> set[str]:
    """Return the metrics of all processes, also those that have no series yet."""
    found = stack.home.read()
    assert found is not None
    names: set[str] = set()
    async with httpx.AsyncClient() as api:
        for name in ("web", "work", "relay"):
            text = (await api.get(f"http://127.0.0.1:{stack.process(name)['port']}/metrics")).text
            names |= set(re.findall(r"^# TYPE (\w+?)(?:_total)? ", text, re.MULTILINE))
    return names
