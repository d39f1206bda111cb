"""Topics that a test has done with."""

import contextlib

from confluent_kafka import KafkaException
from confluent_kafka.admin import AdminClient

from infra.kafka_client import KafkaConfig


def delete_topics(config: KafkaConfig, beginning: str = "") -> None:
    """Have the broker forget those whose names begin so: one that is killed reads every partition it has when it is back."""
    admin = AdminClient(config.confluent())
    with contextlib.suppress(KafkaException):  # one that a test has just killed keeps them
        own = [name for name in admin.list_topics(timeout=10).topics if name.startswith(config.prefix + beginning)]
        for deleted in admin.delete_topics(own).values() if own else ():  # one that is just back may not know them yet
            deleted.result(30)
