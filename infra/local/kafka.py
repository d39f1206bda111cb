"""Apache Kafka on one node: KRaft, loopback only, tuned for quick restarts and quick joins."""

import base64
import uuid
from collections.abc import Sequence
from pathlib import Path

from confluent_kafka import KafkaException
from confluent_kafka.admin import AdminClient

from infra.local import private
from infra.local.java import Java
from infra.local.ports import LOOPBACK, accepts, free_port
from infra.local.processes import Command, run

HEAP_MB = 384
LOGGING = Path(__file__).with_name("log4j2.properties")

PROFILE = """\
process.roles=broker,controller
node.id=1
controller.listener.names=CONTROLLER
inter.broker.listener.name=PLAINTEXT
auto.create.topics.enable=false
num.network.threads=2
num.io.threads=4
log.cleaner.dedupe.buffer.size=16777216

# One node: what is three by default can only be one, and fewer partitions start sooner.
default.replication.factor=1
min.insync.replicas=1
offsets.topic.replication.factor=1
offsets.topic.num.partitions=8
transaction.state.log.replication.factor=1
transaction.state.log.min.isr=1
transaction.state.log.num.partitions=8
share.coordinator.state.topic.replication.factor=1
share.coordinator.state.topic.min.isr=1
share.coordinator.state.topic.num.partitions=1

# A broker that was killed waits for its own old session to end: 9 s by default.
broker.session.timeout.ms=2000
broker.heartbeat.interval.ms=500

# A member that joins is noticed in a tenth of a second, one that dies in three, not in ten or forty-five.
group.initial.rebalance.delay.ms=0
group.min.session.timeout.ms=1000
group.consumer.heartbeat.interval.ms=100
group.consumer.min.heartbeat.interval.ms=100
group.consumer.session.timeout.ms=3000
group.consumer.min.session.timeout.ms=1000
group.consumer.assignment.interval.ms=0
"""


class Kafka:
    """The broker: its data under `home/kafka`, its client port on loopback."""

    name = "kafka"
    patience_s = 20.0

    def __init__(self, home: Path, port: int, java: Java, jars: Sequence[Path]) -> None:
        self.port = port
        self._directory = home / "kafka"
        self._log = home / "logs" / "kafka.log"
        self._java = java
        self._class_path = ":".join(map(str, jars))
        self._controller_port = free_port()

    @property
    def url(self) -> str:
        return f"{LOOPBACK}:{self.port}"

    def prepare(self) -> None:
        """Write the configuration and format the data directory once. May be repeated."""
        self._directory.mkdir(0o700, parents=True, exist_ok=True)
        private.write(self._properties, PROFILE + self._addresses())
        if not (self._data / "meta.properties").exists():
            cluster = base64.urlsafe_b64encode(uuid.uuid4().bytes).decode().rstrip("=")
            # With "=", since one identifier in 64 begins with "-".
            options = ("format", "--ignore-formatted", f"--cluster-id={cluster}", f"--config={self._properties}")
            run(self._run("kafka.tools.StorageTool", *options), self._log)

    def command(self) -> Command:
        return self._run("kafka.Kafka", str(self._properties))

    def is_ready(self) -> bool:
        """Return whether the broker has joined its own cluster, so that clients find it."""
        if not accepts(self.port):
            return False
        try:
            return bool(AdminClient({"bootstrap.servers": self.url, "log_level": 0}).list_topics(timeout=1).brokers)
        except KafkaException:
            return False

    @property
    def _data(self) -> Path:
        return self._directory / "data"

    @property
    def _properties(self) -> Path:
        return self._directory / "server.properties"

    def _addresses(self) -> str:
        controller = f"{LOOPBACK}:{self._controller_port}"
        lines = (
            f"controller.quorum.voters=1@{controller}",
            f"listeners=PLAINTEXT://{self.url},CONTROLLER://{controller}",
            f"advertised.listeners=PLAINTEXT://{self.url}",
            f"log.dirs={self._data}".replace("\\", "\\\\"),
        )
        return "\n" + "\n".join(lines) + "\n"

    def _run(self, main: str, *arguments: str) -> Command:
        memory = (f"-Xmx{HEAP_MB}m", "-XX:+UseSerialGC")
        options = (*memory, f"-Dlog4j2.configurationFile={LOGGING}", "-cp", self._class_path)
        return Command((str(self._java.executable), *options, main, *arguments), self._directory)
