"""How to reach the broker, said once for both Kafka libraries."""

import ssl
from dataclasses import dataclass
from pathlib import Path
from time import monotonic
from typing import Any

import structlog
from confluent_kafka import KafkaError

# syslog's number. Below it the library writes a line for each try to connect, several a second while the broker is away;
# what matters comes to `_note`.
LOG_CRITICAL = 2
REFUSALS = (KafkaError._SSL, KafkaError._AUTHENTICATION)  # what no waiting mends: certificates, passwords, mechanisms
# Largest record we produce, in bytes: one as large as a broker takes by default, 1 MiB, with the headers of a dead letter.
RECORD_BYTES = 2 << 20
NOTE_EVERY_S = 10.0  # a client that is refused tries twenty times a second

log = structlog.get_logger()
_noted: dict[int, float] = {}  # when an error of a code was last logged


@dataclass(frozen=True, slots=True)
class KafkaConfig:
    """Address and credentials of the cluster; `prefix` stands before every topic and group name."""

    bootstrap_servers: str
    prefix: str = ""
    security_protocol: str = "PLAINTEXT"
    sasl_mechanism: str | None = None
    sasl_username: str | None = None
    sasl_password: str | None = None
    ssl_ca_file: Path | None = None
    ssl_certificate_file: Path | None = None
    ssl_key_file: Path | None = None

    def confluent(self) -> dict[str, Any]:
        """Return the settings for confluent-kafka."""
        settings = {
            "bootstrap.servers": self.bootstrap_servers,
            "security.protocol": self.security_protocol,
            "sasl.mechanism": self.sasl_mechanism,
            "sasl.username": self.sasl_username,
            "sasl.password": self.sasl_password,
            "ssl.ca.location": self.ssl_ca_file and str(self.ssl_ca_file),
            "ssl.certificate.location": self.ssl_certificate_file and str(self.ssl_certificate_file),
            "ssl.key.location": self.ssl_key_file and str(self.ssl_key_file),
            # A broker that was away is tried again at once: the default backs off up to 10 s.
            "reconnect.backoff.max.ms": 500,
            "log_level": LOG_CRITICAL,
            "error_cb": _note,
        }
        return {name: value for name, value in settings.items() if value is not None}

    def aiokafka(self) -> dict[str, Any]:
        """Return the settings for aiokafka."""
        settings: dict[str, Any] = {
            "bootstrap_servers": self.bootstrap_servers,
            "security_protocol": self.security_protocol,
            "sasl_mechanism": self.sasl_mechanism or "PLAIN",
            "sasl_plain_username": self.sasl_username,
            "sasl_plain_password": self.sasl_password,
        }
        if self.security_protocol.endswith("SSL"):
            settings["ssl_context"] = self._ssl_context()
        return settings

    def topic(self, name: str) -> str:
        """Return the name on the broker of a topic or group."""
        return self.prefix + name

    def _ssl_context(self) -> ssl.SSLContext:
        context = ssl.create_default_context(cafile=self.ssl_ca_file)
        if self.ssl_certificate_file:
            context.load_cert_chain(self.ssl_certificate_file, self.ssl_key_file)
        return context


def _note(error: KafkaError) -> None:
    code, now = error.code(), monotonic()
    if not error.fatal() and code not in (KafkaError._ALL_BROKERS_DOWN, *REFUSALS):
        return
    if error.fatal() or now - _noted.get(code, float("-inf")) > NOTE_EVERY_S:
        _noted[code] = now
        happened = "kafka.refused" if code in REFUSALS else "kafka.unreachable"
        log.warning(happened, error=error.str(), fatal=error.fatal())
