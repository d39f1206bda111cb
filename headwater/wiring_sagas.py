"""What runs the sagas, and which there are."""

from functools import partial

from headwater.given import Given
from infra.group_control import PostgresGroupControl
from infra.sagas.module import NAME, module_of
from infra.sagas.operations import SagaOperations
from infra.sagas.runner import SagaRunner
from sagas.order_fulfilment import ORDER_FULFILMENT
from sagas.order_refund import ORDER_REFUND
from shared_kernel.module import Module

SAGAS = (ORDER_FULFILMENT, ORDER_REFUND)


def saga_runner(house: Given) -> SagaRunner:
    """Return what runs the sagas; while their group is paused their timers stand still."""
    control = PostgresGroupControl(house.databases[NAME], NAME)
    is_paused = partial(control.is_paused, house.kafka.topic(NAME))
    return SagaRunner(house.databases[NAME], house.codec, SAGAS, is_paused)


def module_of_sagas(house: Given) -> Module:
    """Return the sagas as the house knows them."""
    return module_of(saga_runner(house))


def saga_operations(house: Given) -> SagaOperations:
    """Return the operators' side of the sagas."""
    return SagaOperations(house.databases[NAME], saga_runner(house))
