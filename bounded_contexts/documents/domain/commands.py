"""What people and processes ask of a conversion job."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from uuid import NAMESPACE_URL, UUID, uuid5

from bounded_contexts.documents.domain.losses import Loss


@dataclass(frozen=True, slots=True, kw_only=True)
class RequestConversion:
    """The input is stored; have it converted."""

    document_id: UUID
    user_id: UUID
    read: str | None  # None: as its first bytes look
    write: str
    options: Mapping[str, str]
    packing: str
    name: str | None
    input_id: UUID
    input_bytes: int
    input_sha256: str
    at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class Begin:
    """A process is about to convert it. `why` is the code of what the worker died of that it had just before, if one did."""

    document_id: UUID
    why: str | None
    at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class Complete:
    """The result is stored."""

    document_id: UUID
    result_id: UUID
    result_bytes: int
    result_sha256: str
    losses: Mapping[str, int]
    first_losses: tuple[Loss, ...]
    notes: Mapping[str, str]
    at: datetime
    expires_at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class Fail:
    """There will be no result."""

    document_id: UUID
    code: str
    detail: str
    place: Mapping[str, str]
    at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class Cancel:
    document_id: UUID
    user_id: UUID
    at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class Expire:
    """Results end with their time, which is looked at."""

    document_id: UUID
    at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class Delete:
    document_id: UUID
    user_id: UUID
    at: datetime


Command = RequestConversion | Begin | Complete | Fail | Cancel | Expire | Delete


def document_id_of(user: UUID, key: str) -> UUID:
    """Return the id of the job that somebody asked for by this key of theirs (docs/adr/0007)."""
    return uuid5(NAMESPACE_URL, f"headwater:conversion:{user}:{key}")
