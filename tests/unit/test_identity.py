"""Ids that follow from what they name."""

from uuid import UUID

from hypothesis import given
from hypothesis import strategies as st

from bounded_contexts.messaging.domain.identity import direct_id, message_id, participants

PEOPLE = st.lists(st.uuids(), min_size=1, max_size=8)


@given(PEOPLE.flatmap(lambda people: st.tuples(st.just(people), st.permutations(people))))
def test_the_order_of_participants_does_not_matter(both: tuple[list[UUID], list[UUID]]) -> None:
    one, other = both

    assert direct_id(one) == direct_id(other)


@given(PEOPLE)
def test_naming_somebody_twice_does_not_matter(people: list[UUID]) -> None:
    assert direct_id([*people, people[0]]) == direct_id(people)


@given(PEOPLE, PEOPLE)
def test_other_people_have_another_conversation(one: list[UUID], other: list[UUID]) -> None:
    assert (direct_id(one) == direct_id(other)) == (set(one) == set(other))


@given(PEOPLE)
def test_participants_are_sorted_each_once(people: list[UUID]) -> None:
    found = participants(people)

    assert list(found) == sorted(found)
    assert set(found) == set(people)
    assert len(found) == len(set(people))


def test_the_ids_never_change() -> None:
    ann, bob = UUID(int=1), UUID(int=2)

    assert direct_id((ann, bob)) == UUID("00ccea18-419f-56ec-b5c0-d9e7f683b141")
    assert message_id(direct_id((ann, bob)), ann, "c1") == UUID("e78b856d-40c2-5ab7-828b-8697cb81d714")


@given(st.uuids(), st.uuids(), st.text(), st.text())
def test_one_client_id_is_one_message(conversation: UUID, sender: UUID, one: str, other: str) -> None:
    assert (message_id(conversation, sender, one) == message_id(conversation, sender, other)) == (one == other)
