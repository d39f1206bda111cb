"""REST face of what the house writes down for somebody: parse, call, answer (docs/generation.md)."""

from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, Query, Response

from bounded_contexts.documents.adapters.document_bodies import DocumentAnswer, document_answer
from bounded_contexts.documents.adapters.http_documents import DOCUMENTS_PATH, RENDER, content_path, over_in_time
from bounded_contexts.documents.adapters.http_taking_in import IdempotencyKey
from bounded_contexts.documents.application.document_ports import DocumentPorts
from bounded_contexts.documents.application.exporting import export_conversation
from bounded_contexts.documents.application.source_ports import SourcePorts
from bounded_contexts.documents.domain.rendering.fidelity import Target
from infra.http import PreferWait, SignedIn, problems
from shared_kernel.permissions import require


def export_routes(ports: DocumentPorts, sources: SourcePorts) -> APIRouter:
    """Return the routes of exports."""
    routes = APIRouter(
        prefix=f"{DOCUMENTS_PATH}/exports", tags=["documents"], responses=problems(401, 403, 404, 409, 422, 429, 503)
    )

    @routes.post(
        "/conversations/{conversation_id:uuid}",
        status_code=202,
        responses={201: {"model": DocumentAnswer, "description": "It is over within the time of `Prefer`."}},
    )
    async def export_a_conversation(
        conversation_id: UUID,
        user: SignedIn,
        response: Response,
        wait: PreferWait,
        target: Annotated[Target, Query(alias="format")] = "pdf",
        idempotency_key: IdempotencyKey = None,
    ) -> DocumentAnswer:
        """Have a conversation of yours written down as it is now; with the permission `documents:render`."""
        require(user.roles, RENDER)
        id_, found = await export_conversation(conversation_id, user.id, target, idempotency_key, sources, ports)
        response.headers["Location"] = f"/api/v1{DOCUMENTS_PATH}/{id_}"
        found = await over_in_time(id_, found, wait, response, ports)
        return document_answer(id_, found, content_path(id_))

    return routes
