"""Spans while tracing is off, on, and while nobody takes them. Whole traces: tests/e2e/test_observability.py."""

from collections.abc import Iterator
from time import monotonic

import pytest

from infra import tracing
from infra.local.ports import free_port
from shared_kernel.causation import Cause, because, current_cause
from shared_kernel.errors import Refused, Unavailable
from tests.otlp import Receiver, receiving

TRACE, SPAN = "4bf92f3577b34da6a3ce929d0e0e4736", "00f067aa0ba902b7"
SAMPLED, UNSAMPLED = f"00-{TRACE}-{SPAN}-01", f"00-{TRACE}-{SPAN}-00"


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    """Trace to a receiver; what the test made is there once it has called `tracing.shutdown`."""
    with receiving() as running:
        tracing.configure(running.url, 1.0, ["web"])
        yield running
        tracing.shutdown()


def traceparent() -> str | None:
    cause = current_cause()
    assert cause
    return cause.traceparent


def test_while_it_is_off_the_callers_traceparent_goes_on_as_it_came() -> None:
    with because(Cause("c", "c", SAMPLED)), tracing.sending("messages", "1", SAMPLED) as span:
        assert traceparent() == SAMPLED
        assert span.traceparent is None
    with tracing.Spans() as spans:
        headers = [("ce_id", b"1"), ("traceparent", SAMPLED.encode())]
        assert spans.send("messages", headers) is headers


def test_what_the_block_causes_is_caused_by_its_span(receiver: Receiver) -> None:
    with because(Cause("c", "c", SAMPLED)):
        with tracing.serving("GET /", {}, SAMPLED):
            within = traceparent()
        assert traceparent() == SAMPLED
    tracing.shutdown()

    (span,) = receiver.spans
    assert (span.trace_id, span.parent_id) == (TRACE, SPAN)
    assert within == f"00-{TRACE}-{span.span_id}-01"


def test_a_record_that_goes_on_carries_its_span_instead_of_the_former_one(receiver: Receiver) -> None:
    with tracing.Spans() as spans:
        sent = dict(spans.send("messages", [("traceparent", SAMPLED.encode()), ("ce_id", b"1")]))
        foreign = dict(spans.send("messages", [("ce_id", b"2")]))
    tracing.shutdown()

    first, second = receiver.spans
    assert sent == {"ce_id": b"1", "traceparent": f"00-{TRACE}-{first.span_id}-01".encode()}
    assert (first.parent_id, second.parent_id) == (SPAN, "")
    assert foreign["traceparent"].decode().split("-")[1] == second.trace_id


def test_what_the_caller_does_not_keep_is_not_made(receiver: Receiver) -> None:
    with because(Cause("c", "c", UNSAMPLED)), tracing.serving("GET /", {}, UNSAMPLED):
        assert traceparent() == UNSAMPLED
    tracing.shutdown()

    assert receiver.spans == []


@pytest.mark.parametrize(("ratio", "kept"), [(0.0, 0), (1.0, 100)])
def test_of_traces_begun_here_the_ratio_is_kept(ratio: float, kept: int) -> None:
    with receiving() as receiver:
        tracing.configure(receiver.url, ratio, ["web"])
        for _ in range(100):
            with because(Cause("c", "c")), tracing.serving("GET /", {}):
                assert traceparent()
        tracing.shutdown()

    assert len(receiver.spans) == kept


@pytest.mark.parametrize(
    ("error", "failed", "kind"),
    [
        (ValueError("hunter2"), True, "ValueError"),
        (Unavailable("broker_unavailable", "hunter2"), True, "Unavailable"),
        (Refused("body_length", "hunter2"), False, "body_length"),
    ],
)
def test_a_failure_is_marked_without_its_words(receiver: Receiver, error: Exception, failed: bool, kind: str) -> None:
    with pytest.raises(type(error)), tracing.serving("GET /", {}, SAMPLED):
        raise error
    tracing.shutdown()

    (span,) = receiver.spans
    assert (span.failed, span.attributes) == (failed, {"error.type": kind})


@pytest.mark.parametrize(
    "odd",
    [
        None,
        "",
        "x",
        f"00-{'0' * 32}-{SPAN}-01",
        f"00-{TRACE}-{'0' * 16}-01",
        f"ff-{TRACE}-{SPAN}-01",
        f"00-{TRACE}-{SPAN}",
    ],
)
def test_what_names_no_trace_is_none(odd: str | None) -> None:
    assert tracing.parsed(odd) is None


def test_a_receiver_that_is_away_holds_up_the_end_of_a_process_for_seconds_only() -> None:
    tracing.configure(f"http://127.0.0.1:{free_port()}", 1.0, ["web"])
    with tracing.serving("GET /", {}, SAMPLED):
        pass
    began = monotonic()

    tracing.shutdown()

    assert monotonic() - began < 2 * tracing.EXPORT_S
