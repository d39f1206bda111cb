"""What REST asks and answers about documents that are rendered look like."""

from collections.abc import Sequence
from datetime import datetime
from typing import Annotated, Any, Final, get_args
from uuid import UUID

import msgspec
from pydantic import BaseModel, Field

from bounded_contexts.documents.adapters.job_bodies import Place, place_of
from bounded_contexts.documents.application.document_ports import Findings, ListedDocument
from bounded_contexts.documents.domain.document import Document, Status
from bounded_contexts.documents.domain.document_commands import Origin
from bounded_contexts.documents.domain.losses import Loss
from bounded_contexts.documents.domain.rendering.fidelity import TARGETS, Target
from bounded_contexts.documents.domain.rendering.problems import Problem
from bounded_contexts.documents.domain.rendering.telling import Strictness
from bounded_contexts.documents.domain.template import REFERENCE
from infra.http import NextPage
from infra.request_context import LINES
from shared_kernel.errors import Malformed, Refused

SHORT: Final = 64  # characters of the name of a locale or time zone
EXAMPLE: Final = {"version": "1.0", "body": [{"type": "paragraph", "text": "Hello"}]}
INSTRUCTIONS: Final[dict[str, Any]] = {
    "type": "object",
    "description": "`GET /documents/schemas/document/1.0`, docs/rendering.md.",
    "additionalProperties": True,
}
FORMAT: Final[dict[str, Any]] = {"type": "string", "enum": list(TARGETS)}
FILENAME: Final[dict[str, Any]] = {
    "type": "string",
    "minLength": 1,
    "maxLength": 255,
    "description": "What the file is called; its extension is the format's.",
}


def body_of(
    properties: dict[str, Any], required: Sequence[str], example: dict[str, Any], **others: dict[str, Any]
) -> dict[str, Any]:
    """Return what OpenAPI says of a body that is not read as a whole here."""
    schema: dict[str, Any] = {"type": "object", "properties": properties, "required": [*required]}
    schema |= {"additionalProperties": False, "examples": [example]}
    content = {"application/json": {"schema": schema}, **others}
    return {"requestBody": {"required": True, "content": content}}


NEW_DOCUMENT: Final = body_of(
    {
        "document": INSTRUCTIONS,
        "template": {
            "type": "string",
            "pattern": f"^{REFERENCE}$",
            "description": "Instead of `document`: a stored template, `invoice@3`, or `invoice` for the newest version.",
        },
        "data": {"type": "object", "description": "What the template is filled in with."},
        "locale": {
            "type": "string",
            "maxLength": SHORT,
            "description": "How the template's numbers and dates are written.",
        },
        "timeZone": {"type": "string", "maxLength": SHORT, "description": "Where the template's times are told."},
        "strictness": {"type": "string", "enum": list(get_args(Strictness)), "description": "Of the template."},
        "format": FORMAT,
        "filename": FILENAME,
    },
    ("format",),
    {"document": EXAMPLE, "format": "pdf", "filename": "hello"},
    **{LINES: {"schema": {"type": "string", "description": "The first line is such an object, the others are rows."}}},
)
TO_VALIDATE: Final = body_of(
    {"document": INSTRUCTIONS, "formats": {"type": "array", "items": FORMAT, "maxItems": len(TARGETS)}},
    ("document",),
    {"document": EXAMPLE, "formats": ["pdf"]},
)
TO_PREVIEW: Final = body_of({"document": INSTRUCTIONS}, ("document",), {"document": EXAMPLE})


ABSENT: Final = msgspec.Raw(b"")
_Short = Annotated[str, msgspec.Meta(min_length=1, max_length=SHORT)] | None


class NewDocument(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """`document` and `data` stay as they were sent: workers read them."""

    format: Target
    document: msgspec.Raw = ABSENT
    template: Annotated[str, msgspec.Meta(pattern=f"^{REFERENCE}$")] | None = None
    data: msgspec.Raw = ABSENT
    locale: _Short = None
    time_zone: _Short = msgspec.field(default=None, name="timeZone")
    strictness: Strictness | None = None
    filename: Annotated[str, msgspec.Meta(min_length=1, max_length=255)] | None = None

    def __post_init__(self) -> None:
        if bool(bytes(self.document)) != (self.template is None):
            raise ValueError("send either `document` or `template`")
        manner = (self.locale, self.time_zone, self.strictness)
        if self.template is None and (bytes(self.data) or manner != (None, None, None)):
            raise ValueError("`data`, `locale`, `timeZone` and `strictness` are of a template")


class ToValidate(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    document: msgspec.Raw
    formats: Annotated[tuple[Target, ...], msgspec.Meta(max_length=len(TARGETS))] = TARGETS


class ToPreview(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    document: msgspec.Raw


new_document = msgspec.json.Decoder(NewDocument).decode
to_validate = msgspec.json.Decoder(ToValidate).decode
to_preview = msgspec.json.Decoder(ToPreview).decode


class WarningAnswer(BaseModel):
    code: Annotated[str, Field(description="docs/rendering.md.", examples=["approximated"])]
    pointer: Annotated[str, Field(description="JSON Pointer into the document.", examples=["/body/0"])]
    detail: str


class DocumentSummary(BaseModel):
    """A document as lists show it. Sizes in bytes."""

    id: UUID
    status: Status
    format: Target
    filename: str
    origin: Annotated[
        Origin, Field(description="Who has written it: you, or the house for an order or a conversation.")
    ]
    source_id: Annotated[UUID | None, Field(description="The order or conversation.")]
    pages: Annotated[int | None, Field(description="Of a PDF; the pages of others depend on who opens them.")]
    result_bytes: int | None
    warnings: Annotated[int | None, Field(description="How often it became other than asked.")]
    code: Annotated[str | None, Field(description="Why it failed.")]
    requested_at: datetime
    changed_at: datetime
    expires_at: Annotated[datetime | None, Field(description="Until when the file is there.")]


class DocumentPage(BaseModel):
    data: list[DocumentSummary]
    page: NextPage


class RenderAnswer(BaseModel):
    media_type: str
    sha256: str
    warnings: Annotated[dict[str, int], Field(description="How often it became other than asked, by code.")]
    first: Annotated[list[WarningAnswer], Field(description="The first hundred of them.")]
    engine: str
    engine_version: str


class DocumentFailure(BaseModel):
    code: str
    detail: str
    place: Annotated[Place, Field(description="pointer, line, column, offset; limit and allowed.")]
    problems: list[WarningAnswer]


class DocumentAnswer(DocumentSummary):
    attempts: Annotated[int, Field(description="How often it was begun.")]
    input_bytes: int
    input_sha256: str
    content: Annotated[str | None, Field(description="Where the file is, for you.")]
    result: Annotated[RenderAnswer | None, Field(description="Once it is rendered.")]
    error: Annotated[DocumentFailure | None, Field(description="Once it has failed.")]


class LinkAnswer(BaseModel):
    """Whoever has the link downloads the file until then, or until the document is deleted."""

    link: Annotated[str, Field(description="Path and query.")]
    expires_at: datetime


class TargetAnswer(BaseModel):
    warnings: Annotated[dict[str, int], Field(description="What would become other than asked, by code.")]
    first: list[WarningAnswer]
    refusal: Annotated[WarningAnswer | None, Field(description="Why there would be no file.")]


class FindingsAnswer(BaseModel):
    valid: bool
    problems: Annotated[list[WarningAnswer], Field(description="All that is wrong, a hundred at most.")]
    pages: Annotated[int | None, Field(description="Of the PDF.")]
    formats: dict[str, TargetAnswer]


def filename_of(name: str | None, target: Target) -> str:
    return f"{name or 'document'}.{target}"


def document_answer(id_: UUID, document: Document, content: str) -> DocumentAnswer:
    """Return the document as its events say; `content` is where its file is, if it is there."""
    file, failure = document.file, document.failure
    return DocumentAnswer(
        id=id_,
        format=document.target,
        filename=filename_of(document.name, document.target),
        pages=file.pages if file else None,
        result_bytes=file.size if file else None,
        warnings=sum(file.warnings.values()) if file else None,
        code=failure.code if failure else None,
        expires_at=file.expires_at if file else None,
        content=content if document.status == "rendered" else None,
        result=_result(document),
        error=DocumentFailure(
            code=failure.code,
            detail=failure.detail,
            place=place_of(failure.place),
            problems=[_told(each) for each in failure.problems],
        )
        if failure
        else None,
        **{name: getattr(document, name) for name in _SAME},
    )


def document_summary(of: ListedDocument) -> DocumentSummary:
    return DocumentSummary(
        id=of.document_id,
        format=of.target,
        filename=filename_of(of.name, of.target),
        **{name: getattr(of, name) for name in _LISTED},
    )


def findings_answer(findings: Findings) -> FindingsAnswer:
    """Return what was found, target by target."""
    formats = {
        target: TargetAnswer(
            warnings=dict(each.warnings),
            first=[_told(one) for one in each.first],
            refusal=_told(each.refusal) if each.refusal else None,
        )
        for target, each in findings.targets.items()
    }
    is_valid = not findings.problems and not any(each.refusal for each in formats.values())
    problems = [_told(each) for each in findings.problems]
    return FindingsAnswer(valid=is_valid, problems=problems, pages=findings.pages, formats=formats)


def unreadable(error: msgspec.MsgspecError | RecursionError) -> Refused:
    """Return the error that a body is answered with which cannot be read."""
    if isinstance(error, msgspec.ValidationError):
        return Refused("validation_failed", str(error)[:200])
    return Malformed("bad_request", "the body is no JSON that can be read")


def _result(document: Document) -> RenderAnswer | None:
    if (file := document.file) is None:
        return None
    return RenderAnswer(
        media_type=file.media_type,
        sha256=file.sha256,
        warnings=dict(file.warnings),
        first=[_told(each) for each in file.first_warnings],
        engine=file.engine,
        engine_version=file.engine_version,
    )


def _told(each: Loss | Problem) -> WarningAnswer:
    return WarningAnswer(code=each.code, pointer=each.pointer, detail=each.detail)


_SAME = ("status", "origin", "source_id", "attempts", "input_bytes", "input_sha256", "requested_at", "changed_at")
_LISTED = (
    "status",
    "origin",
    "source_id",
    "pages",
    "result_bytes",
    "warnings",
    "code",
    "requested_at",
    "changed_at",
    "expires_at",
)
