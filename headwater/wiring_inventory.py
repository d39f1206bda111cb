"""Pick inventory's adapters, as `wiring` does for the others."""

from bounded_contexts.inventory import module as inventory
from headwater.given import Given
from shared_kernel.module import Module


def module_of_inventory(given: Given) -> Module:
    """Return the context."""
    return inventory.module()
