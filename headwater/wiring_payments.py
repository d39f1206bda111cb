"""Pick payments's adapters, as `wiring` does for the others."""

from bounded_contexts.payments import module as payments
from headwater.given import Given
from shared_kernel.module import Module


def module_of_payments(given: Given) -> Module:
    """Return the context."""
    return payments.module()
