"""What operators reach: the consumer groups and the sagas."""

from collections.abc import Sequence

from bounded_contexts.operations import module as operations
from headwater.given import Given
from headwater.wiring_sagas import saga_operations
from infra.group_operations import GroupOperations
from shared_kernel.module import Module


def module_of_operations(house: Given, seen: Sequence[Module]) -> Module:
    """Return the context as the house knows it, over the groups of these modules."""
    groups = GroupOperations(house.kafka, seen, house.groups)
    return operations.module(groups, saga_operations(house), house.opaque_tokens)
