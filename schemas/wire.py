"""How times travel, as microseconds since 1970-01-01T00:00:00Z, exactly (Avro `timestamp-micros`), and UUIDs, as text."""

from datetime import UTC, datetime, timedelta
from uuid import UUID, SafeUUID

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)
_new, _set, _UNKNOWN = object.__new__, object.__setattr__, SafeUUID.unknown


def micros(at: datetime) -> int:
    """Return `at`, which must be time-zone aware, as microseconds since the epoch."""
    return (at - _EPOCH) // _MICROSECOND


def moment(since_epoch: int) -> datetime:
    """Return the UTC time `since_epoch` microseconds after the epoch."""
    return _EPOCH + timedelta(microseconds=since_epoch)


def uuid_of(text: str) -> UUID:
    """Return the UUID that `str` wrote, in half the time that `UUID(text)` takes, which most of a consumer's decoding was.

    Raise `ValueError` for anything but 32 hexadecimal digits between hyphens."""
    digits = text.replace("-", "")
    if len(digits) != 32:
        raise ValueError("badly formed hexadecimal UUID string")
    made = _new(UUID)
    _set(made, "int", int(digits, 16))  # as its own `__setstate__` does: it refuses to be changed
    _set(made, "is_safe", _UNKNOWN)
    return made
