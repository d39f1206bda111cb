"""The seeded schedule of faults."""

from tests.crash.faults import schedule


def test_a_seed_is_a_schedule() -> None:
    assert list(schedule(7, 300)) == list(schedule(7, 300))
    assert list(schedule(7, 300)) != list(schedule(8, 300))
    assert len({fault.kind for seed in range(5) for fault in schedule(seed, 90)}) == 10


def test_one_seed_of_five_has_the_broker_away_for_a_minute() -> None:
    def away(seed: int) -> list[float]:
        return [fault.seconds for fault in schedule(seed, 90) if fault.kind == "away"]

    assert [away(seed) for seed in range(1, 6)] == [[], [], [], [], [60.0]]
