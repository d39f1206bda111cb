"""What goes into a worker with a conversion, and what comes out at its end."""

import msgspec

from bounded_contexts.documents.application.ports import Report, Task
from bounded_contexts.documents.domain.errors import TooLarge, Unreadable, Unwritable
from bounded_contexts.documents.domain.limits import Limits
from shared_kernel.errors import HeadwaterError, Malformed, NotFound, Refused


class Job(msgspec.Struct, frozen=True):
    task: Task
    limits: Limits


class Done(msgspec.Struct, tag=True, frozen=True):
    report: Report


class Failed(msgspec.Struct, tag=True, frozen=True):
    """A refusal, as it was raised in the worker."""

    kind: str
    code: str
    detail: str
    more: dict[str, str | int]


KINDS: dict[str, type[HeadwaterError]] = {
    each.__name__: each for each in (Unreadable, Unwritable, TooLarge, Malformed, NotFound, Refused)
}
encode = msgspec.msgpack.encode
job_of = msgspec.msgpack.Decoder(Job).decode
outcome_of = msgspec.msgpack.Decoder(Done | Failed).decode


def failed(error: Refused) -> Failed:
    """Return the error as it travels."""
    return Failed(type(error).__name__, error.code, error.detail, dict(error.more))


def raised(failed: Failed) -> HeadwaterError:
    """Return the error as it was raised."""
    if failed.kind == "TooLarge":
        return TooLarge(str(failed.more["limit"]), int(failed.more["allowed"]))
    error = KINDS.get(failed.kind, Refused)(failed.code, failed.detail)
    error.more = failed.more
    return error
