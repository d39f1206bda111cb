"""Apicurio Registry, spoken to by the Confluent-compatible API, its schemas stored in SQL."""

import http.client
from pathlib import Path
from urllib.parse import urlsplit

from infra.local.java import Java
from infra.local.ports import LOOPBACK, free_port
from infra.local.processes import Command

HEAP_MB = 256
API = "/apis/ccompat/v7"


class Registry:
    """The schema registry. `storage` is a PostgreSQL URL, or None for a file of its own under `home/registry`."""

    name = "registry"
    patience_s = 10.0

    def __init__(self, home: Path, port: int, java: Java, program: Path, storage: str | None) -> None:
        self.port = port
        self._directory = home / "registry"
        self._java = java
        self._program = program
        self._storage = storage
        self._management_port = free_port()

    @property
    def url(self) -> str:
        return f"http://{LOOPBACK}:{self.port}{API}"

    def prepare(self) -> None:
        """Make the data directory. May be repeated."""
        self._directory.mkdir(0o700, parents=True, exist_ok=True)

    def command(self) -> Command:
        memory = (f"-Xmx{HEAP_MB}m", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1")
        program = ("-jar", str(self._program / "quarkus-run.jar"))
        return Command((str(self._java.executable), *memory, *program), self._directory, self._environment())

    def is_ready(self) -> bool:
        """Return whether schemas can be read."""
        connection = http.client.HTTPConnection(LOOPBACK, self.port, timeout=2)
        try:
            connection.request("GET", f"{API}/subjects")
            return connection.getresponse().status == http.client.OK
        except (OSError, http.client.HTTPException):
            return False
        finally:
            connection.close()

    def _environment(self) -> dict[str, str]:
        return {
            "APICURIO_STORAGE_KIND": "sql",
            **(self._postgresql(self._storage) if self._storage else self._file()),
            # By default it opens twenty connections at once and keeps them.
            "APICURIO_DATASOURCE_JDBC_INITIAL_SIZE": "1",
            "APICURIO_DATASOURCE_JDBC_MIN_SIZE": "1",
            "APICURIO_DATASOURCE_JDBC_MAX_SIZE": "10",
            "QUARKUS_HTTP_HOST": LOOPBACK,
            "QUARKUS_HTTP_PORT": str(self.port),
            "QUARKUS_MANAGEMENT_HOST": LOOPBACK,
            "QUARKUS_MANAGEMENT_PORT": str(self._management_port),
        }

    def _postgresql(self, storage: str) -> dict[str, str]:
        url = urlsplit(storage)
        return {
            "APICURIO_STORAGE_SQL_KIND": "postgresql",
            "APICURIO_DATASOURCE_URL": f"jdbc:postgresql://{url.hostname}:{url.port}{url.path}",
            "APICURIO_DATASOURCE_USERNAME": url.username or "",
            "APICURIO_DATASOURCE_PASSWORD": url.password or "",
        }

    def _file(self) -> dict[str, str]:
        return {
            "APICURIO_STORAGE_SQL_KIND": "h2",
            "APICURIO_DATASOURCE_URL": f"jdbc:h2:file:{self._directory / 'schemas'};WRITE_DELAY=0",
            "APICURIO_DATASOURCE_USERNAME": "sa",
            "APICURIO_DATASOURCE_PASSWORD": "",
        }
