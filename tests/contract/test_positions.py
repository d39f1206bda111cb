"""Port `Positions`: the twin and PostgreSQL keep the same promises."""

import asyncio
from uuid import uuid4

import pytest

from headwater.wiring import House
from infra.memory_database import MemoryDatabase
from infra.positions import Fenced, MemoryPositions, Positions, PostgresPositions, Progress

MESSAGES, OTHERS = ("messages", 0), ("messages", 1)


@pytest.fixture
def group() -> str:
    return f"group.{uuid4().hex}"


class PositionsContract:
    async def test_a_group_that_has_not_begun_stands_nowhere(self, positions: Positions, group: str) -> None:
        assert await positions.load(group) == {}

    async def test_a_claimed_partition_begins_at_its_beginning(self, positions: Positions, group: str) -> None:
        assert await positions.claim(group, [OTHERS, MESSAGES]) == {
            MESSAGES: Progress(0, (), 1),
            OTHERS: Progress(0, (), 1),
        }
        assert await positions.load(group) == {MESSAGES: 0, OTHERS: 0}

    async def test_it_stands_where_it_was_moved_to(self, positions: Positions, group: str) -> None:
        await positions.claim(group, [MESSAGES, OTHERS])
        await positions.advance(group, {MESSAGES: Progress(10, claim=1), OTHERS: Progress(6, claim=1)})
        await positions.advance(group, {MESSAGES: Progress(11, ((13, 15), (20, 21)), claim=1)})

        assert await positions.load(group) == {MESSAGES: 11, OTHERS: 6}
        assert await positions.claim(group, [MESSAGES]) == {MESSAGES: Progress(11, ((13, 15), (20, 21)), 2)}

    async def test_groups_stand_apart(self, positions: Positions, group: str) -> None:
        await positions.claim(group, [MESSAGES])
        await positions.advance(group, {MESSAGES: Progress(10, claim=1)})

        assert await positions.load(f"{group}.other") == {}

    async def test_who_lost_the_partition_is_fenced_and_moves_nothing(self, positions: Positions, group: str) -> None:
        await positions.claim(group, [MESSAGES, OTHERS])
        await positions.claim(group, [MESSAGES])

        with pytest.raises(Fenced):
            await positions.advance(group, {OTHERS: Progress(5, claim=1), MESSAGES: Progress(20, claim=1)})

        await positions.advance(group, {MESSAGES: Progress(10, claim=2)})
        assert await positions.load(group) == {MESSAGES: 10, OTHERS: 0}

    async def test_what_was_never_claimed_cannot_be_moved(self, positions: Positions, group: str) -> None:
        with pytest.raises(Fenced):
            await positions.advance(group, {MESSAGES: Progress(5, claim=1)})

    async def test_of_many_members_that_claim_the_last_one_moves(self, positions: Positions, group: str) -> None:
        claims = await asyncio.gather(*(positions.claim(group, [MESSAGES, OTHERS]) for _ in range(20)))
        moves = [positions.advance(group, {MESSAGES: Progress(10, claim=each[MESSAGES].claim)}) for each in claims]
        results = await asyncio.gather(*moves, return_exceptions=True)

        assert sorted(each[MESSAGES].claim for each in claims) == list(range(1, 21))
        assert [claims[at][MESSAGES].claim for at, result in enumerate(results) if result is None] == [20]
        assert sum(isinstance(result, Fenced) for result in results) == 19

    async def test_what_a_transaction_moved_is_undone_with_it(self, positions: Positions, group: str) -> None:
        await positions.claim(group, [MESSAGES, OTHERS])
        await positions.advance(group, {MESSAGES: Progress(10, claim=1)})

        async def fail() -> None:
            async with positions.transaction():
                await positions.advance(group, {MESSAGES: Progress(20, claim=1)})
                await positions.advance(group, {OTHERS: Progress(5, claim=1)})
                raise LookupError

        with pytest.raises(LookupError):
            await fail()

        assert await positions.load(group) == {MESSAGES: 10, OTHERS: 0}

    async def test_what_a_transaction_moved_stays_after_it(self, positions: Positions, group: str) -> None:
        await positions.claim(group, [MESSAGES])
        async with positions.transaction():
            await positions.advance(group, {MESSAGES: Progress(10, claim=1)})
            await positions.advance(group, {MESSAGES: Progress(20, claim=1)})

        assert await positions.load(group) == {MESSAGES: 20}


class TestMemoryPositions(PositionsContract):
    @pytest.fixture
    def positions(self) -> Positions:
        return MemoryPositions(MemoryDatabase())


class TestPostgresPositions(PositionsContract):
    @pytest.fixture
    def positions(self, house: House) -> Positions:
        return PostgresPositions(house.databases["messaging"], "messaging")
