"""Figures of this node's sockets."""

from datetime import UTC, datetime

from prometheus_client import Counter, Histogram

from infra.metrics import LATENCY_S, SampledCounter, SampledGauge

CONNECTIONS = SampledGauge("headwater_realtime_connections", "Clients that are let in.")
QUEUED_EVENTS = SampledGauge("headwater_realtime_queued_events", "Packets that wait in all clients' queues.")
QUEUED_BYTES = SampledGauge("headwater_realtime_queued_bytes", "Bytes of them, counted once for each client.")
DELIVERIES = SampledCounter("headwater_realtime_deliveries", "Events put into a client's queue.")
DELAY = Histogram(
    "headwater_realtime_delivery_delay_seconds", "From an event's time to the queues of those who are live.",
    buckets=LATENCY_S,
)  # fmt: skip
LAGGED = Counter("headwater_realtime_lagged", "Times that a client's queue was full and it went on at its own pace.")
CUT = Counter("headwater_realtime_cut", "Clients whose session the node ended.", ("reason",))
REFUSED = Counter("headwater_realtime_refused", "Clients that were not let in.", ("code",))
COMMANDS = Histogram(
    "headwater_realtime_command_duration_seconds", "From taking a client's command to its answer.",
    ("command", "outcome"), buckets=LATENCY_S,
)  # fmt: skip


def age_s(time: str) -> float:
    """Return how long ago it was, by an event's header. Anybody writes those: what is no time is as if it were now."""
    try:
        return max((datetime.now(UTC) - datetime.fromisoformat(time)).total_seconds(), 0.0)
    except (ValueError, TypeError):
        return 0.0
