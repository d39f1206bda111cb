"""Spans of what a group does: one for each event, each in the trace of its command, also where a batch is handled at once."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

from infra import tracing
from infra.avro import Undecodable
from infra.envelope import open_headers
from shared_kernel.events import Event, Position, Recorded
from shared_kernel.records import Record

if TYPE_CHECKING:
    from infra.member import Heard


def processing(group: str, record: Record, event: Event) -> tracing.Span:
    """Return the span of handling one event."""
    if not tracing.is_on() or not tracing.keeps(_traceparent(record)):
        return tracing.OFF
    return tracing.processing(group, _recorded(record, event))


def processing_all(group: str, run: Sequence["Heard"]) -> tracing.Spans:
    """Return the spans of handling these events together. A batch has no one cause: none of them becomes it."""
    spans = tracing.Spans()
    if tracing.is_on():
        for record, event, _ in run:
            if not isinstance(event, Undecodable) and tracing.keeps(_traceparent(record)):
                spans.process(group, _recorded(record, event), len(run))
    return spans


def _traceparent(record: Record) -> str | None:
    """Return it without opening the other headers."""
    return next(((value or b"").decode("latin-1") for name, value in record.headers if name == "traceparent"), None)


def _recorded(record: Record, event: Event) -> Recorded:
    envelope = open_headers(record.headers)
    return Recorded(
        event,
        Position(event.TOPIC, record.partition, record.offset),
        envelope.id,
        envelope.source,
        envelope.subject,
        envelope.time,
        envelope.correlation_id,
        envelope.traceparent,
    )
