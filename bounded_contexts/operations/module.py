"""The door of operations: the admin routes."""

from fastapi import APIRouter

from bounded_contexts.operations.adapters.http import router
from bounded_contexts.operations.adapters.http_sagas import saga_router
from infra.group_operations import GroupOperations
from infra.opaque import OpaqueTokens
from infra.sagas.operations import SagaOperations
from shared_kernel.module import Module

NAME = "operations"


def module(groups: GroupOperations, sagas: SagaOperations, tokens: OpaqueTokens) -> Module:
    """Return the context as wiring knows it."""
    routes = APIRouter()
    routes.include_router(router(groups))
    routes.include_router(saga_router(sagas, tokens))
    return Module(name=NAME, router=routes)
