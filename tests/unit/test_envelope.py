"""Kafka headers: CloudEvents 1.0 in binary mode, ours and foreign ones."""

from datetime import UTC, datetime
from uuid import UUID, uuid4

import pytest
from hypothesis import given
from hypothesis import strategies as st

from infra.envelope import cause_of, event_type, open_headers, seal
from schemas.messaging.events import MemberJoined, MessageSent
from shared_kernel.causation import Cause, because, current_cause, identify
from shared_kernel.events import event_id

NOW = datetime(2026, 1, 2, 3, 4, 5, 678901, UTC)
GROUP, ANN = UUID(int=7), UUID(int=1)
TRACE = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"
JOINED = MemberJoined(conversation_id=GROUP, member_id=UUID(int=2), added_by=ANN, joined_at=NOW)
SENT = MessageSent(
    message_id=UUID(int=9),
    conversation_id=GROUP,
    sender_id=ANN,
    recipient_ids=(),
    client_id="c",
    body="Hello",
    sent_at=NOW,
)


def text(headers: list[tuple[str, bytes]]) -> dict[str, str]:
    return {name: value.decode() for name, value in headers}


class TestSealing:
    def test_every_attribute_is_a_header_of_the_kafka_binding(self) -> None:
        with because(Cause("request", "command", TRACE, ANN)):
            headers = seal(SENT, NOW)

        assert text(headers) == {
            "ce_specversion": "1.0",
            "ce_id": str(event_id(SENT)),
            "ce_type": "headwater.messaging.MessageSent",
            "ce_source": "/headwater/messaging",
            "ce_subject": str(GROUP),
            "ce_time": "2026-01-02T03:04:05.678901Z",
            "content-type": "application/avro",
            "ce_correlationid": "request",
            "ce_causationid": "command",
            "ce_actor": str(ANN),
            "traceparent": TRACE,
        }
        assert len({name for name, _ in headers}) == len(headers)

    def test_a_repeat_of_the_same_fact_has_the_same_id(self) -> None:
        assert text(seal(SENT))["ce_id"] == text(seal(SENT))["ce_id"]
        assert text(seal(JOINED))["ce_id"] != text(seal(JOINED))["ce_id"]

    def test_a_given_id_is_kept(self) -> None:
        id_ = uuid4()

        assert text(seal(JOINED, NOW, id_))["ce_id"] == str(id_)

    def test_what_nobody_asked_for_begins_a_flow_of_its_own(self) -> None:
        headers = text(seal(JOINED))

        assert UUID(headers["ce_correlationid"])
        assert headers["ce_causationid"] == headers["ce_id"]
        assert "ce_actor" not in headers
        assert "traceparent" not in headers

    def test_the_time_is_now_unless_it_is_given(self) -> None:
        before = datetime.now(UTC)
        at = datetime.fromisoformat(text(seal(JOINED))["ce_time"])

        assert before <= at <= datetime.now(UTC)


class TestOpening:
    def test_what_was_sealed_comes_back(self) -> None:
        with because(Cause("request", "command", TRACE, ANN)):
            envelope = open_headers(seal(SENT, NOW))

        assert (envelope.id, envelope.type) == (str(event_id(SENT)), SENT.NAME)
        assert (envelope.source, envelope.subject) == ("/headwater/messaging", str(GROUP))
        assert envelope.time == "2026-01-02T03:04:05.678901Z"
        assert (envelope.correlation_id, envelope.causation_id) == ("request", "command")
        assert (envelope.traceparent, envelope.actor) == (TRACE, str(ANN))

    def test_the_event_is_the_cause_of_what_is_done_about_it(self) -> None:
        with because(Cause("request", "command", TRACE, ANN)):
            headers = seal(SENT)

        with because(cause_of(headers)):
            follower = text(seal(JOINED))

        assert follower["ce_correlationid"] == "request"
        assert follower["ce_causationid"] == open_headers(headers).id
        assert follower["ce_actor"] == str(ANN)
        assert follower["traceparent"] == TRACE

    @pytest.mark.parametrize("headers", [None, [], [("other", b"x")], [("ce_id", None)]])
    def test_foreign_headers_are_empty(self, headers: list[tuple[str, bytes | None]] | None) -> None:
        envelope = open_headers(headers)

        assert (envelope.id, envelope.type, envelope.correlation_id) == ("", "", "")
        assert (envelope.actor, envelope.traceparent) == (None, None)
        assert cause_of(headers or ()) == Cause("", "")

    def test_a_foreign_event_begins_a_flow_of_its_own(self) -> None:
        assert open_headers([("ce_id", b"theirs")]).correlation_id == "theirs"

    @given(
        st.lists(st.tuples(st.sampled_from(["ce_id", "ce_actor", "ce_type", "x"]), st.none() | st.binary(max_size=40)))
    )
    def test_no_bytes_make_it_fail(self, headers: list[tuple[str, bytes | None]]) -> None:
        envelope = open_headers(headers)

        cause = cause_of(headers)
        assert (cause.correlation_id, cause.causation_id) == (envelope.correlation_id, envelope.id)
        assert str(cause.actor) == str(envelope.actor)
        assert (event_type(headers) or "") == "" or event_type(headers) in {
            (value or b"").decode("utf-8", "replace") for name, value in headers if name == "ce_type"
        }

    @pytest.mark.parametrize("actor", [b"", b"ann", b"\xff"])
    def test_an_actor_that_is_no_uuid_is_nobody(self, actor: bytes) -> None:
        assert open_headers([("ce_actor", actor)]).actor is None
        assert cause_of([("ce_actor", actor)]).actor is None


def test_the_type_is_read_without_the_others() -> None:
    assert event_type(seal(SENT)) == SENT.NAME
    assert event_type(None) is None
    assert event_type([("other", b"x")]) is None


def test_causes_nest_and_end_with_their_block() -> None:
    with because(Cause("a", "a")):
        identify(ANN)
        with because(Cause("b", "b")):
            inner = current_cause()
        outer = current_cause()

    assert inner == Cause("b", "b")
    assert outer == Cause("a", "a", None, ANN)
    assert current_cause() is None


def test_outside_of_any_request_nobody_is_identified() -> None:
    identify(ANN)

    assert current_cause() is None
