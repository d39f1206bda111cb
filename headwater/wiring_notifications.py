"""Pick notifications's adapters, as `wiring` does for the others."""

from datetime import UTC, datetime
from functools import partial

from bounded_contexts.notifications import module as notifications
from bounded_contexts.notifications.adapters.inbox_postgres import PostgresInbox
from bounded_contexts.notifications.application.ports import Ports
from headwater.given import Given
from infra.graph import Users
from infra.kafka_log import KafkaLog
from infra.positions import ReadModel
from shared_kernel.module import Module


def module_of_notifications(given: Given, users: Users) -> Module:
    """Return the context; who is told of, the graph asks of identity."""
    inbox = PostgresInbox(given.databases[notifications.NAME])
    ports = Ports(
        log=KafkaLog(given.commands, given.codec),
        inbox_writer=inbox,
        inbox=inbox,
        stored=ReadModel(given.groups[notifications.NAME].positions, notifications.INBOX, given.kafka.prefix),
        now=partial(datetime.now, UTC),
    )
    return notifications.module(ports, users)
