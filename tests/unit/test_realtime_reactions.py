"""What clients hear of public events, and who."""

from dataclasses import replace
from datetime import UTC, datetime
from uuid import UUID, uuid4

import msgspec
import pytest

from bounded_contexts.realtime.application.erased import ErasedMessages
from bounded_contexts.realtime.application.own_messages import MOST, OwnMessages
from bounded_contexts.realtime.application.reactions import EVENTS, SUMMARIES, Delivery, delivery_of
from schemas.messaging.events import (
    ConversationArchived,
    ConversationDescribed,
    ConversationRenamed,
    ConversationStarted,
    MemberJoined,
    MemberLeft,
    MessageDeleted,
    MessageEdited,
    MessageErased,
    MessageSent,
)
from schemas.notifications.events import NotificationsRead
from shared_kernel.events import Event, Position, Recorded

NOW = datetime(2026, 3, 1, 12, 30, 0, 123456, tzinfo=UTC)
ANN, BOB, CEM, DAN = (UUID(int=n) for n in (1, 2, 3, 4))
TALK = UUID(int=99)


def sent(
    sender: UUID = ANN, others: tuple[UUID, ...] = (BOB,), client_id: str = "c1", talk: UUID = TALK
) -> MessageSent:
    return MessageSent(
        message_id=UUID(int=7),
        conversation_id=talk,
        sender_id=sender,
        recipient_ids=others,
        client_id=client_id,
        body="Grüße",
        sent_at=NOW,
    )


def started(*members: UUID) -> ConversationStarted:
    return ConversationStarted(
        metadata={},
        conversation_id=TALK,
        kind="group",
        title="Plans",
        started_by=ANN,
        member_ids=members,
        started_at=NOW,
    )


def joined(member: UUID, *members: UUID) -> MemberJoined:
    return MemberJoined(conversation_id=TALK, member_id=member, added_by=ANN, joined_at=NOW, member_ids=members)


def left(member: UUID, *members: UUID, by: UUID | None = None) -> MemberLeft:
    return MemberLeft(conversation_id=TALK, member_id=member, removed_by=by or member, left_at=NOW, member_ids=members)


RENAMED = ConversationRenamed(conversation_id=TALK, title="Trips", renamed_by=ANN, renamed_at=NOW)
EDITED = MessageEdited(
    edit_id=UUID(int=8),
    message_id=UUID(int=7),
    conversation_id=TALK,
    editor_id=ANN,
    recipient_ids=(BOB,),
    body="new",
    edited_at=NOW,
)
DELETED = MessageDeleted(
    message_id=UUID(int=7), conversation_id=TALK, deleted_by=ANN, recipient_ids=(BOB,), deleted_at=NOW
)
ERASED = MessageErased(
    message_id=UUID(int=7), conversation_id=TALK, erased_by=DAN, recipient_ids=(ANN, BOB), reason="law", erased_at=NOW
)
DESCRIBED = ConversationDescribed(conversation_id=TALK, metadata={"a": "b"}, described_by=ANN, described_at=NOW)
ARCHIVED = ConversationArchived(conversation_id=TALK, archived_by=ANN, archived_at=NOW)
NAMED: tuple[tuple[Event, str], ...] = (
    (sent(), "message.created"),
    (EDITED, "message.updated"),
    (DELETED, "message.deleted"),
    (ERASED, "message.erased"),
    (started(ANN, BOB), "conversation.created"),
    (RENAMED, "conversation.updated"),
    (DESCRIBED, "conversation.updated"),
    (ARCHIVED, "conversation.archived"),
    (joined(CEM), "member.joined"),
    (left(CEM), "member.left"),
)


def _type(event: object) -> str:
    return type(event).__name__


def delivered(event: Event) -> Delivery:
    delivery = delivery_of(event)
    assert delivery is not None
    return delivery


def test_a_message_tells_all_that_rest_would_and_reaches_its_sender_too() -> None:
    delivery = delivered(sent())

    assert delivery.name == "message.created"
    assert delivery.recipients == {ANN, BOB}
    assert delivery.data == {
        "id": str(UUID(int=7)),
        "conversation_id": str(TALK),
        "client_id": "c1",
        "sender_id": str(ANN),
        "body": "Grüße",
        "created_at": "2026-03-01T12:30:00.123456Z",
        "participants": [str(ANN), str(BOB)],
    }


@pytest.mark.parametrize(("event", "name"), NAMED)
def test_each_event_has_its_name_reaches_who_did_it_and_is_plain_json(event: Event, name: str) -> None:
    delivery = delivered(event)

    assert delivery.name == name
    assert ANN in delivery.recipients or delivery.data.get("member_id") == delivery.data.get("removed_by")
    assert msgspec.json.decode(msgspec.json.encode(delivery.data, enc_hook=_no_hook)) == delivery.data


def test_an_erasure_goes_to_the_members_and_keeps_its_reason_to_itself() -> None:
    delivery = delivered(ERASED)

    assert delivery.recipients == {ANN, BOB}
    assert "law" not in str(delivery.data)


def test_what_was_erased_is_said_without_its_text_from_then_on() -> None:
    erased = ErasedMessages(most=2)
    record = Recorded(sent(), Position("messages", 0, 1), "id", "/s", "sub", "2026-01-01T00:00:00Z", "c", None)
    other = replace(record, event=replace(sent(), message_id=UUID(int=70)))
    assert erased.cleared(record) == record

    assert erased.learn(ERASED) == UUID(int=7)
    assert erased.learn(ERASED) is None

    assert erased.cleared(record).event == replace(sent(), body="")
    assert erased.cleared(replace(record, event=EDITED)).event == replace(EDITED, body="")
    assert erased.cleared(replace(record, event=DELETED)).event == DELETED
    assert erased.cleared(other) == other


def test_only_so_many_erasures_are_remembered() -> None:
    erased = ErasedMessages(most=1)
    record = Recorded(sent(), Position("messages", 0, 1), "id", "/s", "sub", "2026-01-01T00:00:00Z", "c", None)

    erased.learn(ERASED)
    erased.learn(replace(ERASED, message_id=UUID(int=70)))

    assert erased.cleared(record) == record


def test_there_is_an_example_of_every_event() -> None:
    assert {type(event) for event, _ in NAMED} == set(EVENTS)
    assert {name for _, name in NAMED} == set(SUMMARIES)


def test_an_event_that_is_nobodys_business_is_not_delivered() -> None:
    read = NotificationsRead(recipient_id=ANN, notification_ids=(), all_until=None, read_at=NOW)

    assert delivery_of(read) is None


@pytest.mark.parametrize(
    "event",
    [replace(each, member_ids=(ANN, BOB, CEM)) for each in (RENAMED, DESCRIBED, ARCHIVED, joined(CEM))],
    ids=_type,
)
def test_a_change_of_a_group_reaches_exactly_its_members(event: Event) -> None:
    assert delivered(event).recipients == {ANN, BOB, CEM}


def test_that_somebody_left_reaches_those_who_stay_and_who_left() -> None:
    assert delivered(left(CEM, ANN, BOB)).recipients == {ANN, BOB, CEM}
    assert delivered(left(CEM, ANN, BOB, by=ANN)).recipients == {ANN, BOB, CEM}
    assert delivered(left(CEM)).recipients == {CEM}


def test_a_change_from_before_events_named_the_members_reaches_whom_it_names() -> None:
    assert delivered(joined(CEM)).recipients == {ANN, CEM}
    assert delivered(left(CEM, by=BOB)).recipients == {BOB, CEM}
    assert delivered(RENAMED).recipients == {ANN}


@pytest.mark.parametrize(
    "payload",
    [
        {"client_id": "c1", "conversation_id": str(TALK), "body": "x"},
        {"client_id": "c1", "conversation_id": TALK.hex.upper(), "body": "x"},
        {"client_id": "c1", "participants": [str(BOB), str(ANN)], "body": "x"},
    ],
)
def test_a_socket_knows_its_own_message_before_the_ack(payload: object) -> None:
    own = OwnMessages(ANN)
    own.begin("message.send", payload)

    assert own.take(delivered(sent()))
    assert not own.take(delivered(sent()))


def test_a_socket_knows_its_own_message_after_the_ack() -> None:
    own = OwnMessages(ANN)
    send = own.begin("message.send", {"client_id": "c1", "participants": [str(ANN), str(BOB)]})
    own.acknowledged(send, {"conversation_id": str(TALK)})

    assert not own.take(delivered(sent(talk=uuid4())))
    assert own.take(delivered(sent()))


@pytest.mark.parametrize(
    "other",
    [
        sent(client_id="c2"),
        sent(talk=UUID(int=98)),
        sent(sender=BOB, others=(ANN,)),
    ],
)
def test_what_others_sent_or_went_elsewhere_is_no_echo(other: MessageSent) -> None:
    own = OwnMessages(ANN)
    own.begin("message.send", {"client_id": "c1", "conversation_id": str(TALK)})

    assert not own.take(delivered(other))


def test_a_send_that_failed_is_heard_of_if_it_became_a_message_after_all() -> None:
    own = OwnMessages(ANN)
    own.failed(own.begin("message.send", {"client_id": "c1", "conversation_id": str(TALK)}))

    assert not own.take(delivered(sent()))


@pytest.mark.parametrize("payload", [None, [], "x", {}, {"client_id": 1}, {"client_id": "c", "participants": "abc"}])
def test_a_payload_that_makes_no_sense_is_no_send(payload: object) -> None:
    assert OwnMessages(ANN).begin("message.send", payload) is None


def test_only_so_many_sends_are_remembered() -> None:
    own = OwnMessages(ANN)
    for number in range(MOST + 1):
        own.begin("message.send", {"client_id": f"c{number}", "conversation_id": str(TALK)})

    assert not own.take(delivered(sent(client_id="c0")))
    assert own.take(delivered(sent(client_id="c1")))


def _no_hook(value: object) -> object:
    raise AssertionError(f"{value!r} is no plain JSON")
