"""Message: what may be said, changed and taken back, and by whom."""

from dataclasses import replace
from datetime import UTC, datetime
from uuid import UUID, uuid4

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bounded_contexts.messaging.domain.commands import DeleteMessage, EditMessage, SendMessage
from bounded_contexts.messaging.domain.message import BODY_LIMIT, CLIENT_ID_LIMIT, Message, delete, edit, say
from bounded_contexts.messaging.domain.text import checked
from shared_kernel.errors import Forbidden, NotFound, Refused

NOW = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)
LATER = datetime(2026, 1, 3, tzinfo=UTC)
CONVERSATION = UUID(int=7)
ANN, BOB, EVE, OUTSIDER = UUID(int=1), UUID(int=2), UUID(int=3), UUID(int=4)
MEMBERS = frozenset((EVE, BOB, ANN))

SEND = SendMessage(conversation_id=CONVERSATION, sender_id=ANN, client_id="c1", body="Hello", at=NOW)
STORED = Message(
    message_id=SEND.message_id,
    conversation_id=CONVERSATION,
    seq=1,
    sender_id=ANN,
    client_id="c1",
    body="Hello",
    version=1,
    sent_at=NOW,
)
DELETED = replace(STORED, body="", deleted_at=NOW)
EDIT = EditMessage(message_id=SEND.message_id, editor_id=ANN, body="Hallo", request_key="k1", at=LATER)
DELETE = DeleteMessage(message_id=SEND.message_id, asker_id=ANN, at=LATER)

NO_TEXT = ["", " \n\t", "nul\0byte", "lone \ud800"]


class TestSaying:
    def test_it_reaches_every_other_member_in_order(self) -> None:
        sent = say(MEMBERS, SEND)

        assert sent.recipient_ids == (BOB, EVE)
        assert (sent.sender_id, sent.body, sent.client_id, sent.sent_at) == (ANN, "Hello", "c1", NOW)

    def test_the_same_client_id_is_the_same_message_whatever_it_says(self) -> None:
        assert say(MEMBERS, SEND).message_id == say(MEMBERS, replace(SEND, body="Other", at=LATER)).message_id

    @pytest.mark.parametrize("other", [{"client_id": "c2"}, {"sender_id": BOB}, {"conversation_id": UUID(int=8)}])
    def test_another_client_id_sender_or_conversation_is_another_message(self, other: dict[str, UUID]) -> None:
        changed = replace(SEND, **other)  # type: ignore[arg-type]

        assert say(MEMBERS, changed).message_id != say(MEMBERS, SEND).message_id

    def test_an_outsider_says_nothing(self) -> None:
        with pytest.raises(Forbidden, match="not_a_member"):
            say(MEMBERS, replace(SEND, sender_id=OUTSIDER))

    @pytest.mark.parametrize("body", [*NO_TEXT, "x" * (BODY_LIMIT + 1)])
    def test_a_body_that_is_no_text_is_refused(self, body: str) -> None:
        with pytest.raises(Refused, match="body_length"):
            say(MEMBERS, replace(SEND, body=body))

    @pytest.mark.parametrize("client_id", [*NO_TEXT, "x" * (CLIENT_ID_LIMIT + 1)])
    def test_a_client_id_that_is_no_text_is_refused(self, client_id: str) -> None:
        with pytest.raises(Refused, match="client_id_length"):
            say(MEMBERS, replace(SEND, client_id=client_id))

    def test_a_body_at_the_limit_and_any_plane_of_unicode_is_kept(self) -> None:
        assert say(MEMBERS, replace(SEND, body="😀" * BODY_LIMIT)).body == "😀" * BODY_LIMIT


class TestEditing:
    def test_the_sender_replaces_the_text(self) -> None:
        edited = edit(STORED, MEMBERS, EDIT)

        assert (edited.body, edited.editor_id, edited.edited_at) == ("Hallo", ANN, LATER)
        assert (edited.message_id, edited.conversation_id) == (SEND.message_id, CONVERSATION)
        assert edited.recipient_ids == (BOB, EVE)

    def test_the_same_request_key_is_the_same_edit(self) -> None:
        again, other = replace(EDIT, body="Salut"), replace(EDIT, request_key="k2")

        assert edit(STORED, MEMBERS, again).edit_id == edit(STORED, MEMBERS, EDIT).edit_id
        assert edit(STORED, MEMBERS, other).edit_id != edit(STORED, MEMBERS, EDIT).edit_id

    @pytest.mark.parametrize(
        ("message", "editor"),
        [(None, ANN), (STORED, OUTSIDER), (DELETED, ANN)],
        ids=["unknown", "outsider", "deleted"],
    )
    def test_what_the_asker_may_not_see_is_not_found(self, message: Message | None, editor: UUID) -> None:
        with pytest.raises(NotFound, match="message_not_found"):
            edit(message, MEMBERS, replace(EDIT, editor_id=editor))

    def test_a_sender_who_left_does_not_find_it(self) -> None:
        with pytest.raises(NotFound, match="message_not_found"):
            edit(STORED, MEMBERS - {ANN}, EDIT)

    def test_another_member_does_not_edit_it(self) -> None:
        with pytest.raises(Forbidden, match="not_the_sender"):
            edit(STORED, MEMBERS, replace(EDIT, editor_id=BOB))

    @pytest.mark.parametrize("body", [*NO_TEXT, "x" * (BODY_LIMIT + 1)])
    def test_a_body_that_is_no_text_is_refused(self, body: str) -> None:
        with pytest.raises(Refused, match="body_length"):
            edit(STORED, MEMBERS, replace(EDIT, body=body))


class TestDeleting:
    def test_the_sender_takes_it_back(self) -> None:
        deleted = delete(STORED, MEMBERS, DELETE)

        assert (deleted.message_id, deleted.deleted_by, deleted.deleted_at) == (SEND.message_id, ANN, LATER)
        assert deleted.recipient_ids == (BOB, EVE)

    def test_twice_is_the_same_fact(self) -> None:
        assert delete(DELETED, MEMBERS, DELETE) == delete(STORED, MEMBERS, DELETE)

    @pytest.mark.parametrize(("message", "asker"), [(None, ANN), (STORED, OUTSIDER)], ids=["unknown", "outsider"])
    def test_what_the_asker_may_not_see_is_not_found(self, message: Message | None, asker: UUID) -> None:
        with pytest.raises(NotFound, match="message_not_found"):
            delete(message, MEMBERS, replace(DELETE, asker_id=asker))

    def test_another_member_does_not_delete_it(self) -> None:
        with pytest.raises(Forbidden, match="not_the_sender"):
            delete(STORED, MEMBERS, replace(DELETE, asker_id=BOB))


@given(st.text(), st.integers(1, 50))
def test_text_is_kept_as_it_is_or_refused(text: str, limit: int) -> None:
    if not text.strip() or len(text) > limit or "\0" in text:
        with pytest.raises(Refused, match="any_length"):
            checked(text, limit, "any_length")
    else:
        assert checked(text, limit, "any_length") == text


def test_ids_of_two_messages_differ() -> None:
    assert replace(SEND, client_id=str(uuid4())).message_id != replace(SEND, client_id=str(uuid4())).message_id
