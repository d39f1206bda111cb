"""Pick ordering's adapters, as `wiring` does for the others."""

from bounded_contexts.ordering import module as ordering
from headwater.given import Given
from shared_kernel.module import Module


def module_of_ordering(given: Given) -> Module:
    """Return the context."""
    return ordering.module()
