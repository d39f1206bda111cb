"""The door of operations: the admin routes."""

from bounded_contexts.operations.adapters.http import router
from infra.group_operations import GroupOperations
from shared_kernel.module import Module

NAME = "operations"


def module(groups: GroupOperations) -> Module:
    """Return the context as wiring knows it."""
    return Module(name=NAME, router=router(groups))
