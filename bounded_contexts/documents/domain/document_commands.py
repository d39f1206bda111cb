"""What people and processes ask of a document that is rendered."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Literal
from uuid import NAMESPACE_URL, UUID, uuid5

from bounded_contexts.documents.domain.losses import Loss
from bounded_contexts.documents.domain.rendering.fidelity import Target
from bounded_contexts.documents.domain.rendering.problems import Problem

Origin = Literal["request", "order", "conversation"]  # who has written the instructions: the user, or the house of what


@dataclass(frozen=True, slots=True, kw_only=True)
class RequestDocument:
    """The instructions are stored; have them rendered."""

    document_id: UUID
    user_id: UUID
    target: Target
    name: str | None  # of the file, without its extension
    origin: Origin
    source_id: UUID | None
    input_id: UUID
    input_bytes: int
    input_sha256: str
    lifetime: timedelta  # of the file
    at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class BeginRendering:
    """A process is about to render it. `why` is the code of what the worker died of that it had just before, if one did."""

    document_id: UUID
    why: str | None
    at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class CompleteDocument:
    """The file is stored."""

    document_id: UUID
    result_id: UUID
    result_bytes: int
    result_sha256: str
    media_type: str
    pages: int | None
    warnings: Mapping[str, int]
    first_warnings: tuple[Loss, ...]
    engine: str
    engine_version: str
    at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class FailDocument:
    """There will be no file."""

    document_id: UUID
    code: str
    detail: str
    place: Mapping[str, str]
    problems: tuple[Problem, ...]
    at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class CancelDocument:
    document_id: UUID
    user_id: UUID
    at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class ExpireDocument:
    """Files end with their time, which is looked at."""

    document_id: UUID
    at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class DeleteDocument:
    document_id: UUID
    user_id: UUID
    at: datetime


DocumentChange = BeginRendering | CompleteDocument | FailDocument | CancelDocument | ExpireDocument | DeleteDocument
DocumentCommand = RequestDocument | DocumentChange


def requested_document_id(user: UUID, key: str) -> UUID:
    """Return the id of the document that somebody asked for by this key of theirs (docs/adr/0007)."""
    return uuid5(NAMESPACE_URL, f"headwater:document:{user}:{key}")


def input_id_of(document_id: UUID, sha256: str) -> UUID:
    """Return the id of the document's blob that holds instructions of this hash: the same for who sends them again, and no
    other document's, nor another user's."""
    return uuid5(document_id, f"input:{sha256}")
