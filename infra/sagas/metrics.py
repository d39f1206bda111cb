"""Figures of sagas: how many are open and how, the oldest, the stuck ones, and how long those that ended have taken."""

from prometheus_client import Histogram

DURATION_S = (0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 300.0, 1800.0)

DURATION = Histogram(
    "headwater_saga_duration_seconds", "From its start to its end.", ("saga", "outcome"), buckets=DURATION_S
)
