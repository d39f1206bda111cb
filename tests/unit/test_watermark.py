"""Watermarks against a model: a plain set of what is done."""

from hypothesis import given
from hypothesis import strategies as st

from infra.watermark import Watermark

START = 100


@st.composite
def histories(draw: st.DrawFn) -> tuple[list[int], list[int]]:
    """Return offsets of a log with gaps, and in which order some of them finish."""
    steps = draw(st.lists(st.integers(1, 3), max_size=60))
    offsets = [START + sum(steps[:count]) for count in range(len(steps))]
    order = draw(st.permutations(offsets))
    return offsets, order[: draw(st.integers(0, len(order)))]


@given(histories(), st.integers(0, 60))
def test_what_it_says_is_done_is_what_finished(history: tuple[list[int], list[int]], begun: int) -> None:
    offsets, order = history[0][:begun], [offset for offset in history[1] if offset in history[0][:begun]]
    mark = Watermark(START)
    for offset in offsets:
        assert mark.begin(offset)
    for offset in order:
        mark.finish(offset)

    assert {offset for offset in offsets if is_done(mark, offset)} == set(order)
    assert mark.unfinished == len(offsets) - len(order)
    assert mark.next <= min((offset for offset in offsets if offset not in order), default=mark.next)


@given(histories(), st.integers(0, 60), st.integers(0, 60))
def test_who_takes_over_handles_exactly_the_rest(history: tuple[list[int], list[int]], first: int, second: int) -> None:
    offsets, order = history
    done: set[int] = set()
    mark = Watermark(START)
    for begun in (first, second, len(offsets)):
        seen = [offset for offset in offsets[:begun] if offset >= mark.next]  # what is read anew after a death
        todo = [offset for offset in seen if mark.begin(offset)]
        assert not done & set(todo)
        assert set(todo) | done >= set(offsets[:begun])
        finished = [offset for offset in order if offset in todo][: len(todo) // 2]
        for offset in finished:
            mark.finish(offset)
        done |= set(finished)
        assert {offset for offset in offsets if is_done(mark, offset)} == done
        mark = Watermark(mark.next, mark.beyond())


@given(histories())
def test_when_all_is_finished_nothing_is_kept(history: tuple[list[int], list[int]]) -> None:
    offsets = history[0]
    mark = Watermark(START)
    for offset in offsets:
        mark.begin(offset)
    for offset in reversed(offsets):
        mark.finish(offset)

    assert (mark.next, mark.beyond(), mark.span) == (offsets[-1] + 1 if offsets else START, (), 0)


def test_a_stretch_that_reading_has_not_come_to_is_kept() -> None:
    mark = Watermark(10, [(12, 15), (20, 30)])
    assert [mark.begin(offset) for offset in (10, 11, 12, 14)] == [True, True, False, False]
    mark.finish(11)

    assert mark.beyond() == ((11, 15), (20, 30))
    mark.finish(10)
    assert (mark.next, mark.beyond()) == (15, ((20, 30),))


def is_done(mark: Watermark, offset: int) -> bool:
    return offset < mark.next or any(first <= offset < last for first, last in mark.beyond())
