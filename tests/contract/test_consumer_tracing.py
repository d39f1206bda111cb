"""Spans of the consumer runtime, on the twins in memory and on Kafka with PostgreSQL, as a real receiver gets them."""

from collections.abc import Iterator, Sequence

import pytest

from infra import tracing
from infra.dead_letters import Choice
from infra.envelope import seal
from schemas.messaging.events import MessageSent
from shared_kernel.causation import Cause, because, current_cause
from shared_kernel.module import on_batch
from tests.contract.consumer_rig import Handling, OnMemory, OnServers, Rig, event
from tests.otlp import Received, Receiver, receiving

BOTH = pytest.mark.parametrize("lanes", [0, 8], ids=["batches", "lanes"])
BATCHES = pytest.mark.parametrize("lanes", [0], ids=["batches"])
SPAN = "00f067aa0ba902b7"
CONSUMER = 5  # opentelemetry.proto.trace.v1.Span.SpanKind


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    """Trace to a receiver; what the test made is there once it has called `tracing.shutdown`."""
    with receiving() as running:
        tracing.configure(running.url, 1.0, ["messaging.history"])
        yield running
        tracing.shutdown()


def trace_of(name: str) -> str:
    return name.encode().hex().zfill(32)


async def publish(rig: Rig, *names: str, sampled: bool = True) -> None:
    """Publish each event in a trace of its own."""
    for name in names:
        each = event(name)
        with because(Cause(f"of-{name}", "c", f"00-{trace_of(name)}-{SPAN}-0{int(sampled)}")):
            await rig.send(str(each.conversation_id), rig.codec.encode(each), seal(each))


def handled(receiver: Receiver, name: str) -> list[Received]:
    """Return the spans of what was done about the event, all of which has ended."""
    tracing.shutdown()
    return receiver.trace(trace_of(name))


class TracingContract:
    @BOTH
    async def test_each_event_is_handled_in_its_own_trace(self, rig: Rig, receiver: Receiver) -> None:
        causes: dict[str, str | None] = {}

        async def handle(message: MessageSent) -> None:
            cause = current_cause()
            causes[message.body] = cause.traceparent if cause else None
            await rig.note(message.body)

        names = [f"{key}/{number}" for key in "abc" for number in range(3)]
        await publish(rig, *names)
        async with rig.member(handle):
            await rig.until(len(names))

        for name in names:
            (span,) = handled(receiver, name)
            assert (span.name, span.kind, span.parent_id) == (f"process {MessageSent.TOPIC}", CONSUMER, SPAN)
            assert span.attributes["messaging.system"] == "kafka"
            assert span.attributes["messaging.operation.type"] == "process"
            assert span.attributes["messaging.consumer.group.name"] == rig.group
            assert span.attributes["messaging.message.conversation_id"] == f"of-{name}"
            assert causes[name] == f"00-{trace_of(name)}-{span.span_id}-01"  # what it publishes goes on from here

    @BATCHES
    async def test_events_handled_together_have_a_span_each(self, rig: Rig, receiver: Receiver) -> None:
        async def handle(messages: Sequence[MessageSent]) -> None:
            for message in messages:
                await rig.note(message.body)

        names = [f"a/{number}" for number in range(4)]
        await publish(rig, *names)
        await publish(rig, "a/4", sampled=False)
        async with rig.member(on_batch(rig.event, handle)):
            await rig.until(5)

        assert [len(handled(receiver, name)) for name in (*names, "a/4")] == [1, 1, 1, 1, 0]
        assert {span.attributes["messaging.batch.message_count"] for span in receiver.spans} <= {1, 2, 3, 4, 5}

    @BOTH
    async def test_every_failed_try_is_marked_and_a_redrive_is_in_the_same_trace(
        self, rig: Rig, receiver: Receiver
    ) -> None:
        handle = Handling(rig)
        handle.hopeless = {"a/0"}
        await publish(rig, "a/0")
        async with rig.member(handle):
            await rig.buried(1)
            handle.hopeless = set()
            await rig.letters.redrive(rig.full_name, Choice())
            await rig.emptied()

        spans = handled(receiver, "a/0")
        assert [span.failed for span in spans] == [True, True, True, False]
        assert {span.attributes.get("error.type") for span in spans} == {"ValueError", None}

    @BOTH
    async def test_what_the_caller_does_not_keep_is_handled_without_a_span(self, rig: Rig, receiver: Receiver) -> None:
        await publish(rig, "a/0", sampled=False)
        async with rig.member(Handling(rig)):
            await rig.until(1)

        assert handled(receiver, "a/0") == []


class TestMemoryTracing(OnMemory, TracingContract):
    """In memory."""


class TestServersTracing(OnServers, TracingContract):
    """On real servers."""
