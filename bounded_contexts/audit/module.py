"""The door of audit. It listens to no event in particular: it takes whatever lies on the topics."""

from collections.abc import Sequence
from pathlib import Path

import structlog

from bounded_contexts.audit.adapters.http import router
from bounded_contexts.audit.adapters.log_postgres import GROUP, SCHEMA
from bounded_contexts.audit.application.ports import Devices, Outcomes, Ports
from bounded_contexts.audit.application.seal import seal_daily
from bounded_contexts.audit.application.trace import Sources
from infra.avro import Codec
from infra.kafka_reader import KafkaReader
from shared_kernel.module import Module, Recorder

NAME = SCHEMA
MIGRATIONS = Path(__file__).parent / "adapters" / "migrations"
ONLY_GROW = ("record", "root")

log = structlog.get_logger()


def module(
    ports: Ports,
    outcomes: Outcomes,
    devices: Devices,
    reader: KafkaReader,
    codec: Codec,
    topics: Sequence[str],
    letters: Sequence[str],
) -> Module:
    """Return the context as wiring knows it: `topics` are kept, and may be read as the dead `letters` may."""

    async def daily() -> None:
        if root := await seal_daily(ports):
            log.info("audit.sealed", root=root.number, hash=root.hash, key=root.public_key.hex())

    return Module(
        name=NAME,
        router=router(reader, codec, {*topics, *letters}, Sources(ports.log, outcomes, devices, reader.prefix)),
        recorder=Recorder(GROUP, tuple(topics), ports.log.keep, daily),
    )
