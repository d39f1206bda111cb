"""A member has a conversation written down."""

import json
from uuid import NAMESPACE_URL, UUID, uuid4, uuid5

from bounded_contexts.documents.application.document_ports import DocumentPorts
from bounded_contexts.documents.application.requesting import Instructions, request_own
from bounded_contexts.documents.application.source_ports import SourcePorts
from bounded_contexts.documents.domain import document
from bounded_contexts.documents.domain.document import Document, visible
from bounded_contexts.documents.domain.rendering.fidelity import Target
from bounded_contexts.documents.domain.transcript import transcript
from shared_kernel.decider import state_of

MESSAGES = 10_000  # of a conversation that are written down, the newest


async def export_conversation(
    conversation_id: UUID, user_id: UUID, target: Target, key: str | None, sources: SourcePorts, ports: DocumentPorts
) -> tuple[UUID, Document]:
    """Have the conversation rendered as it is now; the same key is the same document, as it was then. Raise `NotFound` for who is
    not a member, and as `request_own` does."""
    of = await sources.conversations.transcript(conversation_id, user_id, MESSAGES)
    id_ = _id_of(conversation_id, user_id, target, key) if key else uuid4()
    found, _ = await state_of(document, ports.store, id_)
    if found is not None:
        return id_, visible(found, user_id)
    now = ports.now()
    names = await sources.names(sorted({*of.member_ids, *(said.sender_id for said in of.messages)}))
    instructions = Instructions(
        document_id=id_,
        user_id=user_id,
        target=target,
        name=f"conversation-{now:%Y%m%d-%H%M%S}",
        content=json.dumps(transcript(of, names, target, now), ensure_ascii=False).encode(),
        origin="conversation",
        source_id=conversation_id,
        lifetime=ports.terms.lifetime,
    )
    return id_, await request_own(instructions, ports)


def _id_of(conversation_id: UUID, user_id: UUID, target: Target, key: str) -> UUID:
    return uuid5(NAMESPACE_URL, f"headwater:document:{user_id}:{conversation_id}:{target}:{key}")
