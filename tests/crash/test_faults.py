"""The seeded schedule of faults."""

from tests.crash.faults import schedule


def test_a_seed_is_a_schedule() -> None:
    assert list(schedule(7, 300)) == list(schedule(7, 300))
    assert list(schedule(7, 300)) != list(schedule(8, 300))
    assert len({fault.kind for seed in range(5) for fault in schedule(seed, 90)}) == 9
