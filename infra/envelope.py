"""Kafka headers of an event: CloudEvents 1.0, Kafka protocol binding, binary content mode.

https://github.com/cloudevents/spec/blob/v1.0.2/cloudevents/bindings/kafka-protocol-binding.md: every attribute is a header
`ce_<name>` in UTF-8, except `datacontenttype`, which is `content-type`. `traceparent` is W3C Trace Context.
"""

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from uuid import UUID, uuid4

from shared_kernel.causation import Cause, current_cause
from shared_kernel.events import Event, event_id, event_key

Headers = list[tuple[str, bytes]]

CONTENT_TYPE = "application/avro"
# W3C Trace Context, trace and span: no version ff, neither of them all zeros.
TRACEPARENT = re.compile(r"(?!ff)[0-9a-f]{2}-(?!0{32})([0-9a-f]{32})-(?!0{16})([0-9a-f]{16})-[0-9a-f]{2}")


@dataclass(frozen=True, slots=True)
class Envelope:
    """What is known about an event without decoding it."""

    id: str
    type: str
    source: str
    subject: str
    time: str
    correlation_id: str
    causation_id: str
    traceparent: str | None
    actor: str | None


def seal(event: Event, at: datetime | None = None, id_: UUID | None = None) -> Headers:
    """Return the headers of an event that is being recorded now, caused by the running request or event."""
    id_ = id_ or event_id(event)
    cause = current_cause() or Cause(str(uuid4()), str(id_))
    headers = [
        ("ce_specversion", b"1.0"),
        ("ce_id", str(id_).encode()),
        ("ce_type", event.NAME.encode()),
        ("ce_source", ("/" + event.NAME.rpartition(".")[0].replace(".", "/")).encode()),
        ("ce_subject", event_key(event).encode()),
        ("ce_time", (at or datetime.now(UTC)).isoformat().replace("+00:00", "Z").encode()),
        ("content-type", CONTENT_TYPE.encode()),
        ("ce_correlationid", cause.correlation_id.encode()),
        ("ce_causationid", cause.causation_id.encode()),
    ]
    if cause.actor:
        headers.append(("ce_actor", str(cause.actor).encode()))
    if cause.traceparent:
        headers.append(("traceparent", cause.traceparent.encode()))
    return headers


def open_headers(headers: Iterable[tuple[str, bytes | None]] | None) -> Envelope:
    """Return what the headers say; a record of somebody who does not write CloudEvents gets empty strings."""
    text = {name: (value or b"").decode("utf-8", "replace") for name, value in headers or ()}
    actor = _user(text.get("ce_actor", ""))
    return Envelope(
        id=text.get("ce_id", ""),
        type=text.get("ce_type", ""),
        source=text.get("ce_source", ""),
        subject=text.get("ce_subject", ""),
        time=text.get("ce_time", ""),
        correlation_id=text.get("ce_correlationid") or text.get("ce_id", ""),
        causation_id=text.get("ce_causationid", ""),
        traceparent=text.get("traceparent"),
        actor=str(actor) if actor else None,
    )


def cause_of(headers: Iterable[tuple[str, bytes | None]]) -> Cause:
    """Return the record as the cause of what is done about it."""
    given = dict(headers)
    id_ = _text(given.get("ce_id"))
    traceparent = given.get("traceparent")
    return Cause(
        _text(given.get("ce_correlationid")) or id_,
        id_,
        None if traceparent is None else _text(traceparent),
        _user(_text(given.get("ce_actor"))),
    )


def _text(value: bytes | None) -> str:
    return value.decode("utf-8", "replace") if value else ""


def _user(text: str) -> UUID | None:
    """Headers are written by anybody; what is no UUID names nobody."""
    try:
        return UUID(text) if text else None
    except ValueError:
        return None


def event_type(headers: Sequence[tuple[str, bytes | None]] | None) -> str | None:
    """Return the event's type from its headers without touching the others."""
    for name, value in headers or ():
        if name == "ce_type":
            return (value or b"").decode("utf-8", "replace")
    return None
