"""OpenTelemetry spans by the semantic conventions for HTTP and messaging (docs/observability.md). Off until `configure`.

The trace travels in `Cause.traceparent`, and with it in the headers of every event, through the outbox too. A span becomes
the traceparent of what its block causes. While tracing is off a span costs one look at a variable, and the traceparent
that a client sent travels as it came.
"""

from collections.abc import Callable, Iterable, Mapping
from contextlib import AbstractContextManager
from dataclasses import replace
from types import TracebackType
from typing import Self
from uuid import UUID

from opentelemetry import trace
from opentelemetry.context import Context
from opentelemetry.trace import NonRecordingSpan, SpanContext, SpanKind, Status, StatusCode, TraceFlags, Tracer

from infra.envelope import Headers
from shared_kernel.causation import because, current_cause
from shared_kernel.errors import HeadwaterError, Unavailable
from shared_kernel.events import Position, Recorded

EXPORT_S = 5.0  # longest time for handing one batch of spans over, tries included
QUEUE = 20_000  # finished spans that wait for that; further ones are dropped

UNSAMPLED = "02468ace"  # last digits of a traceparent whose flags say that it is not kept

Value = str | int

_tracer: Tracer | None = None
_stop: Callable[[], None]


def configure(endpoint: str, ratio: float, roles: Iterable[str]) -> None:
    """Send spans to `endpoint` from now on: of traces begun here the share `ratio`, of others those the caller keeps."""
    # Imported here: who traces nothing need not load it.
    from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
    from opentelemetry.sdk.resources import Resource
    from opentelemetry.sdk.trace import TracerProvider
    from opentelemetry.sdk.trace.export import BatchSpanProcessor
    from opentelemetry.sdk.trace.sampling import ParentBased, TraceIdRatioBased

    global _tracer, _stop
    resource = Resource.create({"service.name": "headwater", "headwater.roles": tuple(sorted(roles))})
    provider = TracerProvider(sampler=ParentBased(TraceIdRatioBased(ratio)), resource=resource, shutdown_on_exit=False)
    exporter = OTLPSpanExporter(f"{endpoint.rstrip('/')}/v1/traces", timeout=EXPORT_S)
    provider.add_span_processor(BatchSpanProcessor(exporter, max_queue_size=QUEUE))
    _tracer, _stop = provider.get_tracer("headwater"), provider.shutdown


def shutdown() -> None:
    """Send what waits, within a limit, and make no more spans. May be called when tracing is off."""
    global _tracer
    if _tracer is not None:
        _tracer = None
        _stop()


class Span:
    """Runs while its block does. What the block causes is caused by it."""

    def __init__(self, span: trace.Span | None, *, causes: bool = True) -> None:
        self._span = span
        self._causes = causes
        self._because: AbstractContextManager[None] | None = None

    @property
    def traceparent(self) -> str | None:
        """Return the span in the words of W3C Trace Context, None while tracing is off."""
        return _written(self._span.get_span_context()) if self._span else None

    def set(self, name: str, value: Value) -> None:
        """Add an attribute."""
        if self._span:
            self._span.set_attribute(name, value)

    def at(self, position: Position) -> None:
        """Say where the record lies."""
        self.set("messaging.destination.partition.id", str(position.partition))
        self.set("messaging.kafka.offset", position.offset)

    def named(self, name: str) -> None:
        """Give it a better name than it began with."""
        if self._span:
            self._span.update_name(name)

    def failed(self, error_type: str) -> None:
        """Mark it. The error's words stay out: they may be private."""
        if self._span:
            self._span.set_attribute("error.type", error_type)
            self._span.set_status(Status(StatusCode.ERROR))

    def __enter__(self) -> Self:
        if self._span and self._causes and (cause := current_cause()):
            self._because = because(replace(cause, traceparent=self.traceparent))
            self._because.__enter__()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, where: TracebackType | None
    ) -> None:
        if self._because:
            self._because.__exit__(kind, error, where)
        if self._span:
            if isinstance(error, HeadwaterError) and not isinstance(error, Unavailable):
                self.set("error.type", error.code)  # what was asked for was wrong, not what was done
            elif kind:
                self.failed(kind.__qualname__)
            self._span.end()


class Spans:
    """Spans of several messages that one block deals with together: each is in its own message's trace."""

    def __init__(self) -> None:
        self._spans: list[Span] = []

    def process(self, group: str, recorded: Recorded, count: int) -> None:
        """Begin the span of one of `count` messages."""
        span = processing(group, recorded, causes=False)
        span.set("messaging.batch.message_count", count)
        self._spans.append(span)

    def send(self, topic: str, headers: Headers) -> Headers:
        """Begin the span of a record that goes on, in the trace it came from. Return its headers, the span in them."""
        if _tracer is None:
            return headers
        known = dict(headers)
        before = known.get("traceparent")
        id_ = known.get("ce_id", b"").decode()
        span = sending(topic, id_, before.decode() if before else None)
        self._spans.append(span)
        if not span.traceparent:
            return headers
        others = [header for header in headers if header[0] != "traceparent"]
        return [*others, ("traceparent", span.traceparent.encode())]

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, where: TracebackType | None
    ) -> None:
        for span in self._spans:
            span.__exit__(kind, error, where)


def is_on() -> bool:
    """Return whether spans are made."""
    return _tracer is not None


def keeps(traceparent: str | None) -> bool:
    """Return whether a span in this trace may be kept: what its caller does not keep costs nothing here."""
    return _tracer is not None and not (traceparent and traceparent[-1] in UNSAMPLED)


def serving(name: str, attributes: Mapping[str, Value], parent: str | None = None) -> Span:
    """Return the span of something a client asked for."""
    return _started(name, SpanKind.SERVER, attributes, parent)


def calling(method: str, attributes: Mapping[str, Value]) -> Span:
    """Return the span of a request to somebody else's server, within what runs now."""
    cause = current_cause()
    attributes = {"http.request.method": method, **attributes}
    return _started(method, SpanKind.CLIENT, attributes, cause.traceparent if cause else None)


def onward(span: Span) -> dict[str, str]:
    """Return the header by which a request of this span goes on in its trace. Without a span it is the traceparent that came
    with what runs now, if that is one: records are written by anybody."""
    cause = current_cause()
    context = parsed(span.traceparent or (cause.traceparent if cause else None))
    return {"traceparent": _written(context)} if context else {}


def sending(topic: str, event_id: UUID | str, parent: str | None, key: str = "") -> Span:
    """Return the span of handing a record to the broker, its acknowledgement included."""
    if not keeps(parent):
        return OFF  # the parent's traceparent goes on as it is
    attributes = _messaging("send", topic) | {"messaging.message.id": str(event_id)}
    if key:
        attributes["messaging.kafka.message.key"] = key
    return _started(f"send {topic}", SpanKind.PRODUCER, attributes, parent)


def processing(group: str, recorded: Recorded, *, causes: bool = True, name: str = "process") -> Span:
    """Return the span of what a group does about a record."""
    if not keeps(recorded.traceparent):
        return OFF
    topic = recorded.position.topic
    attributes = _messaging("process", topic) | {
        "messaging.operation.name": name,
        "messaging.consumer.group.name": group,
        "messaging.destination.partition.id": str(recorded.position.partition),
        "messaging.kafka.offset": recorded.position.offset,
        "messaging.kafka.message.key": recorded.subject,
        "messaging.message.id": recorded.id,
        "messaging.message.conversation_id": recorded.correlation_id,
    }
    return _started(f"{name} {topic}", SpanKind.CONSUMER, attributes, recorded.traceparent, causes=causes)


def parsed(traceparent: str | None) -> SpanContext | None:
    """Return what a traceparent names, None if it names nothing."""
    parts = (traceparent or "").split("-")
    try:
        version, trace_id, span_id, flags = (int(part, 16) for part in parts[:4])
    except ValueError:
        return None
    context = SpanContext(trace_id, span_id, is_remote=True, trace_flags=TraceFlags(flags & TraceFlags.SAMPLED))
    return context if context.is_valid and version != 0xFF else None


def _messaging(operation: str, topic: str) -> dict[str, Value]:
    return {
        "messaging.system": "kafka",
        "messaging.destination.name": topic,
        "messaging.operation.name": operation,
        "messaging.operation.type": operation,
    }


def _started(
    name: str, kind: SpanKind, attributes: Mapping[str, Value], parent: str | None, *, causes: bool = True
) -> Span:
    if _tracer is None:
        return OFF
    context = parsed(parent)
    if context and not context.trace_flags.sampled:
        return OFF  # what the caller does not keep costs nothing here; its traceparent goes on as it is
    within = trace.set_span_in_context(NonRecordingSpan(context), Context()) if context else Context()
    return Span(_tracer.start_span(name, within, kind, attributes), causes=causes)


def _written(context: SpanContext) -> str:
    return f"00-{context.trace_id:032x}-{context.span_id:016x}-{context.trace_flags:02x}"


OFF = Span(None)
