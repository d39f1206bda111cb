"""Port `Positions`: the twin and PostgreSQL keep the same promises."""

import asyncio
from uuid import uuid4

import pytest

from headwater.wiring import House
from infra.positions import Fenced, MemoryPositions, Positions, PostgresPositions

MESSAGES, OTHERS = ("messages", 0), ("messages", 1)


@pytest.fixture
def group() -> str:
    return f"group.{uuid4().hex}"


class PositionsContract:
    async def test_a_group_that_has_not_begun_stands_nowhere(self, positions: Positions, group: str) -> None:
        assert await positions.load(group) == {}

    async def test_it_stands_where_it_was_moved_to(self, positions: Positions, group: str) -> None:
        await positions.advance(group, MESSAGES, 0, 10)
        await positions.advance(group, OTHERS, 5, 6)
        await positions.advance(group, MESSAGES, 10, 11)

        assert await positions.load(group) == {MESSAGES: 11, OTHERS: 6}

    async def test_groups_stand_apart(self, positions: Positions, group: str) -> None:
        await positions.advance(group, MESSAGES, 0, 10)

        assert await positions.load(f"{group}.other") == {}

    async def test_records_may_be_missing_before_the_first(self, positions: Positions, group: str) -> None:
        await positions.advance(group, MESSAGES, 0, 10)
        await positions.advance(group, MESSAGES, 90, 91)

        assert await positions.load(group) == {MESSAGES: 91}

    @pytest.mark.parametrize("first", [0, 9])
    async def test_who_is_behind_is_fenced_and_moves_nothing(
        self, positions: Positions, group: str, first: int
    ) -> None:
        await positions.advance(group, MESSAGES, 0, 10)

        with pytest.raises(Fenced):
            await positions.advance(group, MESSAGES, first, 20)

        assert await positions.load(group) == {MESSAGES: 10}

    async def test_of_many_members_that_handled_the_same_records_one_moves(
        self, positions: Positions, group: str
    ) -> None:
        moves = [positions.advance(group, MESSAGES, 0, 10) for _ in range(20)]
        results = await asyncio.gather(*moves, return_exceptions=True)

        assert sum(result is None for result in results) == 1
        assert sum(isinstance(result, Fenced) for result in results) == 19

    async def test_what_a_transaction_moved_is_undone_with_it(self, positions: Positions, group: str) -> None:
        await positions.advance(group, MESSAGES, 0, 10)

        async def fail() -> None:
            async with positions.transaction():
                await positions.advance(group, MESSAGES, 10, 20)
                await positions.advance(group, OTHERS, 0, 5)
                raise LookupError

        with pytest.raises(LookupError):
            await fail()

        assert await positions.load(group) == {MESSAGES: 10}

    async def test_what_a_transaction_moved_stays_after_it(self, positions: Positions, group: str) -> None:
        async with positions.transaction():
            await positions.advance(group, MESSAGES, 0, 10)
            await positions.advance(group, MESSAGES, 10, 20)

        assert await positions.load(group) == {MESSAGES: 20}

    async def test_a_transaction_that_is_fenced_undoes_what_it_moved(self, positions: Positions, group: str) -> None:
        await positions.advance(group, MESSAGES, 0, 10)

        async def fall_behind() -> None:
            async with positions.transaction():
                await positions.advance(group, OTHERS, 0, 5)
                await positions.advance(group, MESSAGES, 0, 20)

        with pytest.raises(Fenced):
            await fall_behind()

        assert await positions.load(group) == {MESSAGES: 10}


class TestMemoryPositions(PositionsContract):
    @pytest.fixture
    def positions(self) -> Positions:
        return MemoryPositions()


class TestPostgresPositions(PositionsContract):
    @pytest.fixture
    def positions(self, house: House) -> Positions:
        return PostgresPositions(house.databases["messaging"], "messaging")
