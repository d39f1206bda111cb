"""What became of single records in every group of the house: where the groups stand, their dead letters, what they handled."""

import asyncio
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import cast

from infra.broker_groups import BrokerGroups
from infra.dead_letters import Letter, PostgresDeadLetters
from infra.handled import Handled, Place
from infra.kafka_client import KafkaConfig
from infra.member import GroupStore
from infra.positions import PostgresPositions, Standing
from shared_kernel.handling import Handling, Outcome
from shared_kernel.module import Consumer, Module, Recorder, Transform
from shared_kernel.records import Partition

Declared = Consumer | Transform | Recorder


class Outcomes:
    """Asks every context's database, and the broker for transforms. `modules` is called when it is asked."""

    def __init__(
        self, config: KafkaConfig, modules: Callable[[], Iterable[Module]], stores: Mapping[str, GroupStore]
    ) -> None:
        self._config = config
        self._broker = BrokerGroups(config)
        self._modules = modules
        self._stores = stores

    async def of(self, records: Mapping[Place, str | None]) -> dict[Place, list[Handling]]:
        """Return, for each of the records with their types, what became of it in every group that hears such; topics as on
        the broker, a record without a type being everybody's. Raise `Unavailable`."""
        found: dict[Place, list[Handling]] = {place: [] for place in records}
        for module in self._modules():
            recorder = (module.recorder,) if module.recorder else ()
            for declared in (*module.groups, *recorder):
                heard = [place for place, type_ in records.items() if self._hears(declared, place, type_)]
                if heard:
                    for place, handling in (await self._handled(module.name, declared, heard)).items():
                        found[place].append(handling)
        return found

    def _hears(self, declared: Declared, place: Place, type_: str | None) -> bool:
        if isinstance(declared, Recorder):
            return place[0] in {self._config.topic(topic) for topic in declared.topics}
        return any(
            place[0] == self._config.topic(handler.event.TOPIC) and type_ in (None, handler.event.NAME)
            for handler in declared.handlers
        )

    async def _handled(self, context: str, declared: Declared, places: Sequence[Place]) -> dict[Place, Handling]:
        group = declared.group
        if isinstance(declared, Transform):
            ends = await asyncio.to_thread(self._broker.committed, group)
            return {place: Handling(group, _passed(place[2] < ends.get(place[:2], 0))) for place in places}
        store = self._stores[context]
        # In this order: what is finished by the first answer is in one of the others, whatever happens in between.
        standing = await cast("PostgresPositions", store.positions).standing(group)
        letters = await cast("PostgresDeadLetters", store.letters).at(self._config.topic(group), places)
        rows = await store.handled.of(group, places)
        at = {(each.topic, each.partition): each for each in standing}
        return {place: _handling(group, place, at, letters.get(place), rows.get(place)) for place in places}


def _handling(
    group: str, place: Place, standing: Mapping[Partition, Standing], letter: Letter | None, row: Handled | None
) -> Handling:
    if letter:
        outcome: Outcome = "dead_letter" if letter.attempts else "waits_behind_letter"
        return Handling(group, outcome, letter.buried_at, letter.attempts, letter.error)
    if not _is_done(place, standing.get(place[:2])):
        return Handling(group, "not_yet")
    if row is None:
        return Handling(group, "passed")
    if place[2] in row.buried:
        return Handling(group, "discarded")
    return Handling(group, "done", row.until, row.attempts(place[2]))


def _is_done(place: Place, at: Standing | None) -> bool:
    return at is not None and (place[2] < at.next or any(first <= place[2] < past for first, past in at.beyond))


def _passed(is_past: bool) -> Outcome:
    return "passed" if is_past else "not_yet"
