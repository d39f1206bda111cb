"""Sockets under chaos, small: what `python -m tests.crash.realtime` does with a thousand clients. And the checker of it, which
has to find what was planted."""

import dataclasses
from collections import Counter
from collections.abc import Callable, Sequence

import pytest

from headwater.wiring import House
from tests.crash.realtime import GROWTH_MIB, Run, chaos, check, told
from tests.crash.screens import Heard
from tests.servers import Servers

CLIENTS = 100
SECONDS = 20.0
ALL = [Heard(number, f"id-{number}") for number in range(5)]

Plant = Callable[[Run], None]


def fine() -> Run:
    """Return a run in which everything went as it should."""
    return Run(
        Counter({"news": 5}),
        {"client 0": ("news", ALL), "client 1": ("news", ALL)},
        memory={"node": [100.0, 100.0 + GROWTH_MIB]},
    )


def hears(*numbers: int) -> Plant:
    """Return a bug by which one client has heard these."""

    def plant(run: Run) -> None:
        run.heard["client 1"] = ("news", [ALL[number] for number in numbers])

    return plant


def test_a_run_without_a_fault_has_no_violation() -> None:
    assert check(fine()) == []


@pytest.mark.parametrize(
    ("plant", "kinds"),
    [
        (hears(0, 1, 3, 4), ["lost"]),
        (hears(0, 1, 2, 3), ["lost"]),
        (hears(), ["lost"]),
        (hears(0, 1, 2, 2, 3, 4), ["doubled"]),
        (hears(0, 1, 2, 3, 4, 0, 1, 2, 3, 4), ["doubled"]),
        (hears(0, 2, 1, 3, 4), ["reordered"]),
        (lambda run: run.published.update({"news": -1}), ["phantom", "phantom"]),
        (lambda run: run.resynced.append("client 0"), ["lost"]),
        (lambda run: run.refused.append("forbidden_channel"), ["wrong"]),
        (lambda run: run.memory["node"].append(101.0 + GROWTH_MIB), ["grown"]),
    ],
)
def test_the_checker_finds_what_was_planted(plant: Plant, kinds: Sequence[str]) -> None:
    run = fine()
    plant(run)
    assert [violation.kind for violation in check(run)] == kinds


async def test_everybody_hears_all_once_and_in_order_whatever_is_done_to_the_nodes(
    house: House, servers: Servers
) -> None:
    run = await chaos(house, servers, CLIENTS, SECONDS)

    violations = check(run)
    assert violations == [], told(run, violations)
    assert run.connections > 2 * CLIENTS  # everybody came back from the storm, and half from the expiry


async def test_a_client_that_forgets_where_it_was_is_found(house: House, servers: Servers) -> None:
    run = await chaos(house, servers, 10, 8.0, [(0.2, "storm"), (0.6, "storm")], forget=1)

    assert {violation.kind for violation in check(run)} == {"lost"}, told(run, check(run))
    bad = dataclasses.replace(run, heard={name: run.heard[name] for name in run.heard if name != "client 0"})
    assert check(bad) == []
