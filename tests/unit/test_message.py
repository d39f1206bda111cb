"""Message: what may be said, changed and taken back, and by whom."""

from dataclasses import replace
from datetime import UTC, datetime
from uuid import UUID, uuid4

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bounded_contexts.messaging.domain.commands import DeleteMessage, EditMessage, EraseMessage, SendMessage
from bounded_contexts.messaging.domain.message import (
    BODY_LIMIT,
    CLIENT_ID_LIMIT,
    REASON_LIMIT,
    Message,
    delete,
    edit,
    erase,
    say,
)
from bounded_contexts.messaging.domain.text import checked
from shared_kernel.errors import Forbidden, NotFound, Refused
from shared_kernel.events import event_id

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
ERASED = replace(STORED, body="", erased_at=NOW)
EDIT = EditMessage(message_id=SEND.message_id, editor_id=ANN, body="Hallo", request_key="k1", at=LATER)
DELETE = DeleteMessage(message_id=SEND.message_id, asker_id=ANN, at=LATER)
ERASE = EraseMessage(
    message_id=SEND.message_id, asker_id=OUTSIDER, asker_roles=frozenset(("admin",)), reason="a court said so", at=LATER
)

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


class TestErasing:
    @pytest.mark.parametrize("message", [STORED, DELETED, ERASED], ids=["shown", "deleted", "erased"])
    def test_an_admin_who_is_no_member_erases_and_every_member_hears_of_it(self, message: Message) -> None:
        erased = erase(message, MEMBERS, ERASE)

        assert (erased.message_id, erased.conversation_id) == (SEND.message_id, CONVERSATION)
        assert (erased.erased_by, erased.reason, erased.erased_at) == (OUTSIDER, "a court said so", LATER)
        assert erased.recipient_ids == (ANN, BOB, EVE)

    def test_twice_is_one_event(self) -> None:
        again = replace(ERASE, asker_id=BOB, at=NOW, reason="")

        assert event_id(erase(ERASED, MEMBERS, again)) == event_id(erase(STORED, MEMBERS, ERASE))

    @pytest.mark.parametrize("message", [STORED, None], ids=["known", "unknown"])
    @pytest.mark.parametrize("roles", [(), ("moderator",), ("Admin", "administrator")])
    def test_nobody_else_erases_or_learns_whether_it_is_there(
        self, message: Message | None, roles: tuple[str, ...]
    ) -> None:
        with pytest.raises(Forbidden, match="forbidden"):
            erase(message, MEMBERS, replace(ERASE, asker_id=ANN, asker_roles=frozenset(roles)))

    def test_what_is_not_there_is_not_erased(self) -> None:
        with pytest.raises(NotFound, match="message_not_found"):
            erase(None, frozenset(), ERASE)

    @pytest.mark.parametrize("reason", [*NO_TEXT[1:], "x" * (REASON_LIMIT + 1)])
    def test_a_reason_that_is_no_text_is_refused(self, reason: str) -> None:
        with pytest.raises(Refused, match="reason_length"):
            erase(STORED, MEMBERS, replace(ERASE, reason=reason))

    def test_a_reason_may_be_left_out(self) -> None:
        assert erase(STORED, MEMBERS, replace(ERASE, reason="")).reason == ""

    def test_what_was_erased_is_edited_and_deleted_no_more(self) -> None:
        for message in (ERASED, replace(ERASED, deleted_at=NOW)):
            with pytest.raises(Refused, match="message_erased"):
                edit(message, MEMBERS, EDIT)
            with pytest.raises(Refused, match="message_erased"):
                delete(message, MEMBERS, DELETE)

    def test_an_outsider_does_not_learn_that_it_was_erased(self) -> None:
        with pytest.raises(NotFound, match="message_not_found"):
            edit(ERASED, MEMBERS, replace(EDIT, editor_id=OUTSIDER))


@given(st.text(), st.integers(1, 50))
def test_text_is_kept_as_it_is_or_refused(text: str, limit: int) -> None:
    if not text.strip() or len(text) > limit or "\0" in text:
        with pytest.raises(Refused, match="any_length"):
            checked(text, limit, "any_length")
    else:
        assert checked(text, limit, "any_length") == text


def test_ids_of_two_messages_differ() -> None:
    assert replace(SEND, client_id=str(uuid4())).message_id != replace(SEND, client_id=str(uuid4())).message_id
