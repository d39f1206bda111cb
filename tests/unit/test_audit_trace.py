"""The tree of what caused what, whatever the headers claim."""

from collections.abc import Sequence

from hypothesis import given
from hypothesis import strategies as st

from bounded_contexts.audit.application.trace import in_tree_order
from bounded_contexts.audit.domain.chain import Kept


def kept(offset: int, event_id: str | None, caused_by: str | None) -> Kept:
    return Kept(
        topic="t",
        partition=0,
        offset=offset,
        previous_offset=None,
        timestamp_ms=offset,
        event_id=event_id,
        type="happened",
        correlation_id="flow",
        causation_id=caused_by,
        key=b"k",
        value=None,
        header_names=["ce_actor"],
        header_values=[b"ann"],
        hash=b"",
    )


def tree(events: Sequence[tuple[str | None, str | None]]) -> list[tuple[str, int]]:
    rows = [kept(offset, *event) for offset, event in enumerate(events)]
    return [(step.event_id, step.depth) for step in in_tree_order(rows)]


def test_each_event_is_followed_by_what_it_caused() -> None:
    events = [("a", "request"), ("b", "request"), ("c", "a"), ("d", "b"), ("e", "c"), ("f", "a")]

    assert tree(events) == [("a", 0), ("c", 1), ("e", 2), ("f", 1), ("b", 0), ("d", 1)]


def test_an_event_that_comes_before_its_cause_is_still_below_it() -> None:
    assert tree([("b", "a"), ("a", "request")]) == [("a", 0), ("b", 1)]


def test_a_repeat_is_one_event_with_two_positions() -> None:
    (step,) = in_tree_order([kept(0, "a", "request"), kept(5, "a", "request")])

    assert [position.offset for position in step.positions] == [0, 5]
    assert step.actor == "ann"


def test_records_without_an_id_go_by_their_place() -> None:
    assert tree([(None, None), (None, None)]) == [("t/0/0", 0), ("t/0/1", 0)]


ids = st.none() | st.sampled_from("abcdef")


@given(st.lists(st.tuples(ids, ids), max_size=20))
def test_every_event_is_there_once_even_if_causes_go_in_circles(events: list[tuple[str | None, str | None]]) -> None:
    found = [name for name, _ in tree(events)]

    named = {event_id for event_id, _ in events if event_id}
    nameless = sum(event_id is None for event_id, _ in events)
    assert len(found) == len(set(found)) == len(named) + nameless
