"""What documents are made of, as `wiring` picks it: orders that documents keeps itself, what other contexts know."""

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from functools import partial
from uuid import UUID

from bounded_contexts.documents import module as documents
from bounded_contexts.documents.adapters.placed_orders_postgres import PostgresPlacedOrders
from bounded_contexts.documents.application.source_ports import SourcePorts
from bounded_contexts.documents.domain.invoice import Seller
from bounded_contexts.documents.domain.transcript import Said, Transcript
from bounded_contexts.identity.application.ports import Directory
from bounded_contexts.messaging.application.members import state_for
from bounded_contexts.messaging.application.ports import Page
from bounded_contexts.messaging.application.ports import Ports as MessagingPorts
from headwater.given import Given

PAGE = 1000  # messages read at once


class MessagingConversations:
    """Conversations as messaging shows them to their members: port `Conversations`."""

    def __init__(self, talk: MessagingPorts) -> None:
        self._talk = talk

    async def transcript(self, conversation_id: UUID, asker: UUID, limit: int) -> Transcript:
        """Return what the port says. Raise as it says."""
        state = await state_for(conversation_id, asker, self._talk)
        said: list[Said] = []
        before = None
        while len(said) <= limit:
            found = await self._talk.history.page(conversation_id, Page(PAGE, "newest", before))
            for each in found:
                is_gone = each.deleted_at is not None or each.erased_at is not None
                said.append(
                    Said(each.sender_id, None if is_gone else each.body, each.sent_at, each.edited_at is not None)
                )
            if len(found) < PAGE:
                break
            before = found[-1].seq
        messages = tuple(reversed(said[:limit]))
        return Transcript(conversation_id, state.title, tuple(sorted(state.members)), messages, len(said) > limit)


def source_ports(given: Given, talk: MessagingPorts, people: Directory) -> SourcePorts:
    """Return what documents that the house writes are made of."""
    settings = given.settings

    async def names(ids: Sequence[UUID]) -> Mapping[UUID, str]:
        return {id_: person.name for id_, person in (await people.named(ids)).items()}

    return SourcePorts(
        orders=PostgresPlacedOrders(given.databases[documents.NAME]),
        conversations=MessagingConversations(talk),
        names=names,
        seller=Seller(
            tuple(line.strip() for line in settings.documents_invoice_seller.split(";") if line.strip()),
            settings.documents_invoice_locale,
        ),
        invoice_lifetime=timedelta(seconds=settings.documents_invoice_lifetime),
        now=partial(datetime.now, UTC),
    )
