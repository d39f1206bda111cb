"""REST face of documents that are rendered: parse, call, answer (docs/generation.md)."""

from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from datetime import timedelta
from typing import Annotated, Any, Final, TypeVar
from uuid import UUID, uuid4

import msgspec
from fastapi import APIRouter, Query, Request, Response
from fastapi.responses import StreamingResponse

from bounded_contexts.documents.adapters import asset_instructions
from bounded_contexts.documents.adapters.document_bodies import (
    ABSENT,
    NEW_DOCUMENT,
    TO_PREVIEW,
    TO_VALIDATE,
    DocumentAnswer,
    DocumentPage,
    FindingsAnswer,
    LinkAnswer,
    NewDocument,
    ToPreview,
    ToValidate,
    document_answer,
    document_summary,
    filename_of,
    findings_answer,
    new_document,
    to_preview,
    to_validate,
    unreadable,
)
from bounded_contexts.documents.adapters.downloads import download
from bounded_contexts.documents.adapters.http_lines import Lines, are_lines
from bounded_contexts.documents.adapters.http_taking_in import IdempotencyKey
from bounded_contexts.documents.adapters.negotiation import attachment, kept_name
from bounded_contexts.documents.adapters.template_instructions import Templated, packed
from bounded_contexts.documents.application import discarding
from bounded_contexts.documents.application.asset_ports import AssetPorts
from bounded_contexts.documents.application.assets import contents
from bounded_contexts.documents.application.delivering import document_for, file_for, linked_file
from bounded_contexts.documents.application.document_ports import DocumentPorts, Renderer
from bounded_contexts.documents.application.requesting import Instructions, request_own
from bounded_contexts.documents.application.template_ports import TemplatePorts
from bounded_contexts.documents.application.templates import content_of, version_for
from bounded_contexts.documents.domain.document import Document, File
from bounded_contexts.documents.domain.document_commands import requested_document_id
from bounded_contexts.documents.domain.rendering.fidelity import Target
from bounded_contexts.documents.domain.rendering.media_types import MEDIA_TYPES
from bounded_contexts.documents.domain.rendering.schema import DOCUMENT
from infra.access_tokens import Unauthenticated
from infra.download_links import LONGEST, check_link, seal_link
from infra.http import (
    APPLIED,
    Cursor,
    Limit,
    NextPage,
    PerhapsSignedIn,
    PreferWait,
    SignedIn,
    Tokens,
    open_place,
    problems,
    seal_place,
)
from infra.positions import comes_true
from shared_kernel.blobs import BlobName
from shared_kernel.errors import Refused, Unsupported
from shared_kernel.permissions import require

RENDER = "documents:render"
DOCUMENTS_PATH = "/documents"
VALIDATE_PATH = "/documents/validate"
PREVIEW_PATH = "/documents/preview"
WIDEST = 4_000  # pixels of a preview
A_PART: Final[dict[int | str, dict[str, Any]]] = {
    **problems(409, 410, 416),
    206: {"description": "The part that `Range` names."},
    304: {"description": "You have it: `If-None-Match`."},
}

OBJECTS = ("document", "data")  # of bodies, which workers read

T = TypeVar("T", NewDocument, ToValidate, ToPreview)


@dataclass(frozen=True, slots=True)
class Looked:
    """What is done while somebody waits: who looks instructions over and shows their pages."""

    renderer: Renderer
    input_bytes: int


def content_path(document_id: UUID) -> str:
    """Return where the document's file is."""
    return f"/api/v1{DOCUMENTS_PATH}/{document_id}/content"


def document_routes(ports: DocumentPorts, looked: Looked, templates: TemplatePorts, assets: AssetPorts) -> APIRouter:
    """Return the routes of documents that are rendered."""
    routes = APIRouter(prefix=DOCUMENTS_PATH, tags=["documents"], responses=problems(401, 404, 422, 503))

    @routes.post(
        "",
        status_code=202,
        response_model=DocumentAnswer,
        responses=problems(400, 403, 409, 413, 429)
        | {
            200: {
                "description": "The file, where it is there within the time of `Prefer` and `Accept` names its type.",
                "content": {each: {"schema": {"type": "string", "format": "binary"}} for each in MEDIA_TYPES.values()},
            },
            201: {"model": DocumentAnswer, "description": "It is over within the time of `Prefer`."},
        },
        openapi_extra=NEW_DOCUMENT,
    )
    async def request_a_document(
        request: Request,
        response: Response,
        user: SignedIn,
        wait: PreferWait,
        idempotency_key: IdempotencyKey = None,
    ) -> Any:
        """Have a document rendered; with the permission `documents:render`."""
        require(user.roles, RENDER)
        lines = Lines(request) if are_lines(request) else None
        asked = await _read(request, new_document, lines)
        id_ = requested_document_id(user.id, idempotency_key) if idempotency_key else uuid4()
        instructions = Instructions(
            document_id=id_,
            user_id=user.id,
            target=asked.format,
            name=_stem(asked.filename, asked.format),
            content=await (_lines(asked, lines, assets) if lines else _instructions(asked, templates, assets)),
            lifetime=ports.terms.lifetime,
        )
        found = await request_own(instructions, ports)
        response.headers["Location"] = f"/api/v1{DOCUMENTS_PATH}/{id_}"
        found = await over_in_time(id_, found, wait, response, ports)
        if wait and found.file and found.status == "rendered" and _takes(request, found.file.media_type):
            own = {"Location": f"/api/v1{DOCUMENTS_PATH}/{id_}", "Content-Location": content_path(id_), **APPLIED}
            return await _download(request, id_, found, found.file, ports, own)
        return document_answer(id_, found, content_path(id_))

    @routes.get("")
    async def list_documents(user: SignedIn, tokens: Tokens, limit: Limit = 50, cursor: Cursor = None) -> DocumentPage:
        """List your documents, last requested first."""
        of = f"documents:{user.id}"
        found = await ports.documents.of_user(user.id, limit + 1, open_place(tokens, cursor, of))
        last = found[limit - 1] if len(found) > limit else None
        next_ = seal_place(tokens, last.requested_at, last.document_id, of) if last else None
        page = NextPage(next_cursor=next_, has_more=last is not None)
        return DocumentPage(data=[document_summary(each) for each in found[:limit]], page=page)

    @routes.get("/{document_id:uuid}")
    async def read_a_document(document_id: UUID, user: SignedIn) -> DocumentAnswer:
        """How a document of yours is: where its file is, what became other than asked, why it failed and where."""
        return document_answer(document_id, await document_for(document_id, user.id, ports), content_path(document_id))

    @routes.get("/{document_id:uuid}/content", response_class=StreamingResponse, responses=A_PART)
    async def download_a_document(
        document_id: UUID,
        user: PerhapsSignedIn,
        tokens: Tokens,
        request: Request,
        link: Annotated[str | None, Query(max_length=200, description="What a link brings with it.")] = None,
    ) -> Response:
        """Download the file, or one range of it: yours, or by a link."""
        if link is not None:
            check_link(tokens, content_path(document_id), link, ports.now())
            found, file = await linked_file(document_id, ports)
        elif user is not None:
            found, file = await file_for(document_id, user.id, ports)
        else:
            raise Unauthenticated("unauthenticated", "send `Authorization: Bearer <token>`, or a link")
        return await _download(request, document_id, found, file, ports, {})

    @routes.post("/{document_id:uuid}/links", status_code=201, responses=problems(409, 410))
    async def make_a_link(
        document_id: UUID,
        user: SignedIn,
        tokens: Tokens,
        seconds: Annotated[
            int, Query(ge=1, le=int(LONGEST.total_seconds()), description="How long it holds, a day at most.")
        ] = 3600,
    ) -> LinkAnswer:
        """Make a link by which anybody who has it may download the file of a document of yours."""
        _, file = await file_for(document_id, user.id, ports)
        until = min(ports.now() + timedelta(seconds=seconds), file.expires_at).replace(microsecond=0)
        return LinkAnswer(link=seal_link(tokens, content_path(document_id), until), expires_at=until)

    @routes.delete("/{document_id:uuid}", status_code=204)
    async def delete_a_document(document_id: UUID, user: SignedIn) -> None:
        """Delete a document with its file; one that waits or is rendered is cancelled."""
        await discarding.delete(document_id, user.id, ports)

    @routes.post("/{document_id:uuid}:cancel", responses=problems(409))
    async def cancel_a_document(document_id: UUID, user: SignedIn) -> DocumentAnswer:
        """Have it not rendered any more; twice is once."""
        return document_answer(
            document_id, await discarding.cancel(document_id, user.id, ports), content_path(document_id)
        )

    @routes.post("/validate", responses=problems(400, 403, 413), openapi_extra=TO_VALIDATE)
    async def validate_a_document(request: Request, user: SignedIn) -> FindingsAnswer:
        """Find all that is wrong with a document, and what each format would do to it; nothing is kept."""
        require(user.roles, RENDER)
        asked = await _read(request, to_validate)
        source = await _with_assets(bytes(asked.document), assets)
        return findings_answer(await looked.renderer.findings(asked.formats, _once(source)))

    @routes.post(
        "/preview",
        response_class=Response,
        responses=problems(400, 403, 413)
        | {
            200: {
                "description": "The page.",
                "content": {"image/png": {"schema": {"type": "string", "format": "binary"}}},
                "headers": {"X-Page-Count": {"description": "Pages there are.", "schema": {"type": "integer"}}},
            }
        },
        openapi_extra=TO_PREVIEW,
    )
    async def preview_a_document(
        request: Request,
        user: SignedIn,
        page: Annotated[int, Query(ge=1, le=20_000)] = 1,
        width: Annotated[int, Query(ge=16, le=WIDEST, description="Pixels.")] = 800,
    ) -> Response:
        """Show a page of the document as an image; nothing is kept."""
        require(user.roles, RENDER)
        asked = await _read(request, to_preview)
        source = await _with_assets(bytes(asked.document), assets)
        image, pages = await looked.renderer.preview(page, width, _once(source))
        return Response(
            image, media_type="image/png", headers={"X-Page-Count": str(pages), "Cache-Control": "no-store"}
        )

    @routes.get("/schemas/document/1.0")
    async def read_the_schema(user: SignedIn) -> dict[str, Any]:
        """Read the JSON Schema of documents."""
        return DOCUMENT

    return routes


async def _read(request: Request, decode: Callable[[bytes], T], lines: Lines | None = None) -> T:
    """Return the body, or the first of its lines. Raise `Refused`, `Malformed`, `Unsupported`."""
    if (
        lines is None
        and request.headers.get("content-type", "").partition(";")[0].strip().lower() != "application/json"
    ):
        raise Unsupported("unsupported_media_type", "send `Content-Type: application/json`")
    try:
        read = decode(await (lines.first() if lines else request.body()))
    except (msgspec.MsgspecError, RecursionError) as error:
        raise unreadable(error) from None
    for name in OBJECTS:
        if bytes(memoryview(getattr(read, name, ABSENT))[:1]) not in (b"{", b""):
            raise Refused("validation_failed", f"Expected `object` - at `$.{name}`")
    return read


async def _instructions(asked: NewDocument, templates: TemplatePorts, assets: AssetPorts) -> bytes:
    """Return what is to be rendered: the document, or the template as it is now with its data, and the assets that either
    names, as they are now. Raise `NotFound`, `Refused`."""
    if asked.template is None:
        return await _with_assets(bytes(asked.document), assets)
    name, version = await version_for(asked.template, templates)
    if version.kind not in ("json", asked.format):
        raise Refused("wrong_target", f"a template that is {version.kind.upper()} makes {version.kind.upper()}")
    content = await content_of(name, version, templates)
    data = bytes(asked.data) or b"{}"
    filled = packed(Templated(content, data, asked.locale, asked.time_zone, asked.strictness))
    found = await contents(asset_instructions.references(content), assets) if version.kind == "json" else {}
    return asset_instructions.packed(filled, found)


async def _lines(asked: NewDocument, lines: Lines, assets: AssetPorts) -> AsyncIterator[bytes]:
    """Return what is to be rendered, row by row. Raise as `_instructions` does."""
    if asked.template is not None:
        raise Refused("validation_failed", "rows follow a `document`; those of a template stand in its `data`")
    document = bytes(asked.document)
    return lines.instructions(document, await contents(asset_instructions.references(document), assets))


async def _with_assets(document: bytes, assets: AssetPorts) -> bytes:
    return asset_instructions.packed(document, await contents(asset_instructions.references(document), assets))


async def _once(instructions: bytes) -> AsyncIterator[bytes]:
    yield instructions


async def over_in_time(
    document_id: UUID, found: Document, wait: float, response: Response, ports: DocumentPorts
) -> Document:
    """Return the document once it is over, with 201, or as it is after so many seconds."""

    async def is_over() -> bool:
        nonlocal found
        found = await document_for(document_id, found.user_id, ports)
        return not found.is_open

    if wait and await comes_true(is_over, wait):
        response.status_code = 201
        response.headers.update(APPLIED)
    return found


def _stem(filename: str | None, target: Target) -> str | None:
    """Return the file's name without its extension, as it may be kept and shown."""
    return kept_name(filename.removesuffix(f".{target}").strip(". ")) if filename else None


def _takes(request: Request, media_type: str) -> bool:
    """Return whether the client asks for the file itself; who takes anything is told of it."""
    asked = ",".join(request.headers.getlist("accept")).lower().split(",")
    return any(each.partition(";")[0].strip() == media_type for each in asked)


async def _download(
    request: Request, document_id: UUID, document: Document, file: File, ports: DocumentPorts, own: dict[str, str]
) -> Response:
    told = {
        "Content-Type": file.media_type,
        "Content-Disposition": attachment(filename_of(document.name, document.target)),
        **own,
    }
    return await download(request, ports.blobs, BlobName(document_id, file.id), file.size, file.sha256, told)
