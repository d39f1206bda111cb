"""How times travel: microseconds since 1970-01-01T00:00:00Z, exactly (Avro `timestamp-micros`)."""

from datetime import UTC, datetime, timedelta

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)


def micros(at: datetime) -> int:
    """Return `at`, which must be time-zone aware, as microseconds since the epoch."""
    return (at - _EPOCH) // _MICROSECOND


def moment(since_epoch: int) -> datetime:
    """Return the UTC time `since_epoch` microseconds after the epoch."""
    return _EPOCH + timedelta(microseconds=since_epoch)
