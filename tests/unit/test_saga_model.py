"""Every order in which an order's flow can happen, up to bounds: what never may be never is, and planted bugs are found."""

from dataclasses import replace
from typing import Any

import pytest

from shared_kernel.saga_turns import _Turning
from tests.participants import World
from tests.unit.saga_model import Bounds, Violation, explore

CONFIRMED, REJECTED, CANCELLED = ("done", "confirmed"), ("undone", "rejected"), ("done", "cancelled")


@pytest.mark.parametrize(
    ("bounds", "ends"),
    [
        (Bounds(), {CONFIRMED}),
        (Bounds(silences=3), {CONFIRMED, REJECTED}),
        (Bounds(silences=2, dead_letters=1), {CONFIRMED, REJECTED}),
        (Bounds(silences=1, cancellations=1), {CONFIRMED, REJECTED, CANCELLED}),
        (Bounds(cancellations=2, repeats=1), {CONFIRMED, REJECTED, CANCELLED}),
        (Bounds(cancellations=1, dead_letters=1), {CONFIRMED, REJECTED, CANCELLED}),
        (Bounds(silences=1, repeats=1, expiries=1), {CONFIRMED, REJECTED}),
    ],
    ids=lambda given: (
        " ".join(f"{n}={v}" for n, v in given._asdict().items() if v) or "plain" if isinstance(given, Bounds) else ""
    ),
)
def test_however_it_happens_an_order_comes_to_one_end(bounds: Bounds, ends: set[tuple[str, str]]) -> None:
    found = explore(bounds)

    print(f"{found.states} states")
    assert found.ends == ends


@pytest.mark.parametrize("refused", ["ReserveStock", "AuthorizePayment", "CommitStock", "CapturePayment"])
def test_what_is_refused_is_always_undone(refused: str) -> None:
    found = explore(Bounds(silences=1, repeats=1), World(refuses=frozenset({refused})))

    assert found.ends == {REJECTED}


def test_a_silent_step_that_is_not_undone_itself_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    def miss(turning: Any, step: Any) -> None:
        turning.marks[step.name] = replace(turning.marks[step.name], status="refused", due=None)
        turning.go_back()

    monkeypatch.setattr(_Turning, "miss", miss)

    with pytest.raises(Violation, match=r"rejected, and .*, after ReserveStock, .*silence of the order's saga"):
        explore(Bounds(silences=1))


def test_calling_off_what_is_being_confirmed_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_Turning, "can_go_back", lambda _: True)

    with pytest.raises(Violation, match="an order that is"):
        explore(Bounds(cancellations=1))


def test_a_participant_that_forgets_an_undo_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(World, "may", lambda world, name, _: name not in world.refuses)

    with pytest.raises(Violation, match="rejected, and held stock"):
        explore(Bounds(silences=1, dead_letters=1))
