"""What traces and the payment provider learn of a request to it."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from uuid import uuid4

import msgspec
import pytest

from bounded_contexts.payments.adapters.provider_http import Answer, HttpProvider, Patience
from bounded_contexts.payments.application.ports import Instruction
from bounded_contexts.payments.domain.commands import Done
from infra import tracing
from shared_kernel.causation import Cause, because
from tests.otlp import Receiver, receiving

CLIENT = 3  # opentelemetry.proto.trace.v1.Span.SpanKind
TRACE, SPAN = "4bf92f3577b34da6a3ce929d0e0e4736", "00f067aa0ba902b7"
SAMPLED, UNSAMPLED = f"00-{TRACE}-{SPAN}-01", f"00-{TRACE}-{SPAN}-00"
KEY = "only-for-tests-and-in-no-span"


class Provider:
    """Answers with the given statuses in turn, and notes what `traceparent` it was sent."""

    def __init__(self, *statuses: int) -> None:
        self.url = ""
        self.asked: list[str | None] = []
        self.instruction = Instruction("authorize", uuid4(), uuid4(), 450, "EUR")
        self.statuses = [*statuses]

    async def is_asked(self, traceparent: str | None) -> None:
        """Have the adapter authorise a payment, asked in this trace."""
        adapter = HttpProvider(self.url, KEY, Patience())
        try:
            with because(Cause("c", "c", traceparent)):
                assert await adapter.ask(self.instruction) == Done("p1")
        finally:
            await adapter.close()

    def body(self) -> bytes:
        """Return the payment."""
        asked = self.instruction
        return msgspec.json.encode(Answer("p1", asked.payment_id, "authorized", asked.amount_minor, asked.currency))


@contextmanager
def provider(*statuses: int) -> Iterator[Provider]:
    """Answer while the block lasts."""
    running = Provider(*statuses)

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            self.rfile.read(int(self.headers["content-length"]))
            running.asked.append(self.headers["traceparent"])
            body = running.body()
            self.send_response(running.statuses.pop(0))
            self.send_header("content-length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            """Say nothing."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        running.url = f"http://127.0.0.1:{server.server_port}"
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield running
        server.shutdown()


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    """Trace to a receiver; what the test made is there once it has called `tracing.shutdown`."""
    with receiving() as running:
        tracing.configure(running.url, 1.0, ["payments.commands"])
        yield running
        tracing.shutdown()


async def test_each_try_is_a_span_that_the_provider_is_told_of(receiver: Receiver) -> None:
    with provider(503, 201) as asked:
        await asked.is_asked(SAMPLED)
    tracing.shutdown()

    first, second = receiver.spans
    assert asked.asked == [f"00-{TRACE}-{each.span_id}-01" for each in (first, second)]
    assert [(each.kind, each.name, each.parent_id) for each in (first, second)] == [(CLIENT, "POST", SPAN)] * 2
    assert (first.failed, second.failed) == (True, False)
    told = {
        "http.request.method": "POST",
        "url.full": f"{asked.url}/v1/payments",
        "server.address": "127.0.0.1",
        "server.port": int(asked.url.rpartition(":")[2]),
    }
    assert first.attributes == told | {"http.response.status_code": 503, "error.type": "503"}
    assert second.attributes == told | {"http.response.status_code": 201}


async def test_a_provider_that_hangs_up_is_a_failed_span(receiver: Receiver) -> None:
    adapter = HttpProvider("http://127.0.0.1:1", KEY, Patience())
    with because(Cause("c", "c", SAMPLED)):
        await adapter.look_up(uuid4())
    await adapter.close()
    tracing.shutdown()

    assert {(each.failed, each.attributes["error.type"]) for each in receiver.spans} == {(True, "ConnectError")}


@pytest.mark.parametrize(
    ("came", "sent"),
    [(SAMPLED, SAMPLED), (UNSAMPLED, UNSAMPLED), (None, None), ("nonsense", None), (f"{SAMPLED}-\r\nx: y", SAMPLED)],
)
async def test_while_it_is_off_the_provider_gets_the_traceparent_that_came_if_it_is_one(
    came: str | None, sent: str | None
) -> None:
    with provider(201) as asked:
        await asked.is_asked(came)

    assert asked.asked == [sent]


async def test_what_the_caller_does_not_keep_makes_no_span_and_goes_on(receiver: Receiver) -> None:
    with provider(201) as asked:
        await asked.is_asked(UNSAMPLED)
    tracing.shutdown()

    assert (asked.asked, receiver.spans) == ([UNSAMPLED], [])
