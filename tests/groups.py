"""Groups that a test waits for."""

from collections.abc import Mapping
from functools import partial

from headwater.wiring import House
from shared_kernel.records import Partition
from tests.probes import eventually

LOOK_S = 0.2  # mostly one waits seconds, until a member that died is none any more


async def caught_up(house: House, *groups: str) -> None:
    """Wait until these groups have done what lies on their topics by now."""
    for view in await house.group_operations.view(groups):
        positions = house.groups[view.group.partition(".")[0]].positions
        ends = {(house.kafka.topic(each.topic), each.partition): each.end for each in view.partitions}
        await eventually(partial(positions.load, view.group), until=partial(_is_past, ends), every=LOOK_S)


def _is_past(ends: Mapping[Partition, int], at: Mapping[Partition, int]) -> bool:
    return all(at.get(partition, 0) >= end for partition, end in ends.items())
