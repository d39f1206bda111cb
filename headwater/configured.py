"""The servers that are configured, asked whether they answer before anything relies on them."""

import asyncio
import socket
from collections.abc import Iterator, Sequence
from functools import partial

from headwater import addresses
from headwater.addresses import Address, without_password
from headwater.settings import PREFIX, Settings, required
from infra.access_tokens import SharedKeyTokens
from infra.kafka_client import KafkaConfig
from infra.local.doctor import Check, asked
from infra.local.errors import StackError
from infra.schema_registry import SchemaRegistry
from shared_kernel.errors import Unavailable

LIMIT_S = 3.0


def examine(settings: Settings) -> Iterator[Check]:
    """Yield a check of each server that is configured; whoever accepts a connection counts as broker or database."""
    if settings.kafka_bootstrap_servers:
        brokers = addresses.brokers(settings.kafka_bootstrap_servers)
        yield asked("Kafka", partial(_connect, f"{PREFIX}KAFKA_BOOTSTRAP_SERVERS", brokers))
    for variable, url in settings.configured_databases.items():
        if address := addresses.database(url):
            yield asked("database", partial(_connect, variable, [address]))
    if settings.schema_registry_url:
        yield asked("registry", partial(_ask_registry, settings, settings.schema_registry_url))


def require(settings: Settings) -> None:
    """Raise `StackError`, which names the variable, for the first configured server that does not answer."""
    for check in examine(settings):
        if not check.ok:
            raise StackError(check.text)


def registry(settings: Settings) -> SchemaRegistry:
    """Return the registry's client."""
    password = settings.schema_registry_password
    return SchemaRegistry(
        required(settings.schema_registry_url, "SCHEMA_REGISTRY_URL"),
        username=settings.schema_registry_username,
        password=password.get_secret_value() if password else None,
        ca_file=settings.schema_registry_ca_file,
    )


def _connect(variable: str, servers: Sequence[Address]) -> str:
    """Return whose connection was accepted: of several brokers one is enough."""
    problems = []
    for host, port in servers:
        try:
            with socket.create_connection((host, port), timeout=LIMIT_S):
                return f"{host}:{port} answers"
        except (OSError, UnicodeError) as error:
            problems.append(f"{host}:{port} ({getattr(error, 'strerror', None) or error})")
    raise StackError(f"{variable}: no answer from {', '.join(problems)}: {_advice(variable)}")


def _ask_registry(settings: Settings, url: str) -> str:
    variable, shown = f"{PREFIX}SCHEMA_REGISTRY_URL", without_password(url)

    async def ask() -> None:
        client = registry(settings)
        try:
            async with asyncio.timeout(LIMIT_S):
                await client.ping()
        finally:
            await client.close()

    try:
        asyncio.run(ask())
    except LookupError:
        raise StackError(
            f"{variable}: {shown} is no schema registry: give the path of its Confluent API, too"
        ) from None
    except (Unavailable, TimeoutError, OSError) as error:
        problem = getattr(error, "detail", "") or str(error) or f"silent for {LIMIT_S:.0f} s"
        raise StackError(f"{variable}: {shown} cannot be used ({problem}): {_advice(variable)}") from None
    return f"{shown} answers"


def _advice(variable: str) -> str:
    return f"start that server, correct {variable}, or unset it to have a local one"


def kafka_config(settings: Settings) -> KafkaConfig:
    """Return how to reach the broker."""
    password = settings.kafka_sasl_password
    return KafkaConfig(
        bootstrap_servers=required(settings.kafka_bootstrap_servers, "KAFKA_BOOTSTRAP_SERVERS"),
        prefix=settings.topic_prefix,
        security_protocol=settings.kafka_security_protocol,
        sasl_mechanism=settings.kafka_sasl_mechanism,
        sasl_username=settings.kafka_sasl_username,
        sasl_password=password.get_secret_value() if password else None,
        ssl_ca_file=settings.kafka_ssl_ca_file,
        ssl_certificate_file=settings.kafka_ssl_certificate_file,
        ssl_key_file=settings.kafka_ssl_key_file,
    )


def shared_key_tokens(settings: Settings) -> SharedKeyTokens:
    """Return the development tokens. Raise `SettingsError` where there is no key for them."""
    secret = required(settings.jwt_hs256_secret, "JWT_HS256_SECRET (development) or HEADWATER_JWT_JWKS_URL")
    return SharedKeyTokens(secret.get_secret_value(), settings.jwt_issuer, settings.jwt_audience)
