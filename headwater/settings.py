"""Every setting, checked before anything starts; `environment` reads them.

Each field is `HEADWATER_<NAME>`; a secret may come as `HEADWATER_<NAME>_FILE`, whose content is the value. A context may be
given its own database by `HEADWATER_DATABASE_URL_<CONTEXT>` and addresses of its processes by `HEADWATER_UPSTREAM_<CONTEXT>`;
an OpenID provider is a `HEADWATER_OIDC_<PROVIDER>`. An unknown variable is an error. `make docs` writes the tables from here.
"""

from collections.abc import Callable
from ipaddress import ip_network
from pathlib import Path
from typing import Literal, Self, TypeVar
from urllib.parse import unquote, urlsplit

from pydantic import Field, SecretStr, field_validator, model_validator
from pydantic_settings import BaseSettings, PydanticBaseSettingsSource, SettingsConfigDict

from headwater import addresses, certificates
from headwater.settings_documents import DocumentSettings
from headwater.settings_payments import PaymentSettings
from infra import crash_points

T = TypeVar("T")

PREFIX = "HEADWATER_"
CONTEXT_DATABASE = f"{PREFIX}DATABASE_URL_"
CONTEXT_UPSTREAM = f"{PREFIX}UPSTREAM_"
PROVIDER = f"{PREFIX}OIDC_"
# Variables that end in a name of their own, and the field that holds what they say.
FAMILIES = {CONTEXT_DATABASE: "database_urls", CONTEXT_UPSTREAM: "upstreams", PROVIDER: "oidc_providers"}
SECRET_MIN_BYTES = 32  # RFC 7518 3.2: an HMAC key is at least as long as the hash


class SettingsError(ValueError):
    """The environment is not usable. The message names the variable and what to do."""


def required(value: T | None, name: str) -> T:
    """Return the setting's value. Raise `SettingsError` where there is none."""
    if value is None:
        raise SettingsError(f"set {PREFIX}{name}, or start the local servers with `headwater up`")
    return value


class Settings(DocumentSettings, PaymentSettings):
    """What a process may be told from outside. Sizes are bytes, times seconds, unless the name says otherwise."""

    model_config = SettingsConfigDict(env_prefix=PREFIX, extra="forbid", frozen=True)

    mode: Literal["development", "production"] = Field(
        "development", description="`production` refuses development switches such as HS256 tokens."
    )
    home: Path = Field(Path(".headwater"), description="Data, logs and state of the local stack.")
    host: str = Field("127.0.0.1", description="Address the public port is bound to.")
    port: int = Field(8080, ge=0, le=65535, description="Public port; 0 asks the system for one.")
    log_level: Literal["debug", "info", "warning", "error"] = Field("info", description="Least level that is logged.")

    metrics_token: SecretStr | None = Field(
        None,
        description="What Prometheus sends as a bearer token to `/metrics`; unset: roles that people reach serve no figures, "
        "except on loopback in development.",
    )

    otlp_endpoint: str | None = Field(
        None,
        pattern=r"^https?://",
        description="Where traces go by OTLP over HTTP, `http://host:4318`; unset: none are made.",
    )
    trace_ratio: float = Field(
        1.0, ge=0, le=1, description="Share of the traces begun here that are kept; of others what their caller keeps."
    )

    secret_key: SecretStr | None = Field(
        None,
        description="Seals users' and signing keys, signs cursors, positions and audit roots, derives the contexts' passwords; "
        "32 bytes or more. It cannot be replaced: what is sealed would be lost.",
    )

    kafka_bootstrap_servers: str | None = Field(
        None, description="`host:port,…`; unset: `headwater up` starts a broker."
    )
    kafka_security_protocol: Literal["PLAINTEXT", "SSL", "SASL_PLAINTEXT", "SASL_SSL"] = Field(
        "PLAINTEXT", description="How to talk to the broker."
    )
    kafka_sasl_mechanism: Literal["PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512"] | None = Field(
        None, description="Needed with a SASL protocol."
    )
    kafka_sasl_username: str | None = Field(None, description="SASL user.")
    kafka_sasl_password: SecretStr | None = Field(None, description="SASL password.")
    kafka_ssl_ca_file: Path | None = Field(None, description="PEM file of the authority that signed the broker.")
    kafka_ssl_certificate_file: Path | None = Field(None, description="PEM client certificate, for mutual TLS.")
    kafka_ssl_key_file: Path | None = Field(None, description="PEM key of the client certificate.")
    topic_prefix: str = Field(
        "", pattern=r"^[a-zA-Z0-9._-]{0,64}$", description="Put before every topic and consumer group name."
    )
    topic_replication: int = Field(1, ge=1, le=7, description="Replicas of new topics; 3 on a real cluster.")

    database_url: SecretStr | None = Field(
        None,
        description="`postgresql://user:password@host:port/name[?sslmode=…]` of a role that may create schemas and roles; "
        "unset: `headwater up` starts PostgreSQL.",
    )
    database_ssl_ca_file: Path | None = Field(
        None, description="PEM file of the authority that signed the database server."
    )
    database_pool_size: int = Field(8, ge=1, le=200, description="Connections per context and process.")

    schema_registry_url: str | None = Field(
        None, description="Confluent-compatible API; unset: `headwater up` starts Apicurio."
    )
    schema_registry_username: str | None = Field(None, description="Basic authentication at the registry.")
    schema_registry_password: SecretStr | None = Field(None, description="Basic authentication at the registry.")
    schema_registry_ca_file: Path | None = Field(None, description="PEM file of the authority behind the registry.")

    redis_url: SecretStr | None = Field(
        None,
        description="`redis[s]://[user:password@]host[:port][/number]` of a Redis or Valkey, in which processes keep caches and "
        "count requests together; unset: each for itself.",
    )
    redis_ssl_ca_file: Path | None = Field(
        None, description="PEM file of the authority that signed the server of a `rediss://` URL."
    )

    jwt_jwks_url: str | None = Field(None, description="Where the public keys of access tokens are (ES256, EdDSA).")
    jwt_issuer: str | None = Field(None, description="Required `iss` of access tokens.")
    jwt_audience: str | None = Field(None, description="Required `aud` of access tokens.")
    jwt_hs256_secret: SecretStr | None = Field(None, description="Shared key of access tokens; development only.")

    token_issuer: str = Field("headwater", description="`iss` of the access tokens that are made here.")
    token_audience: str = Field("headwater", description="`aud` of the access tokens that are made here.")
    account_pages: str = Field(
        "http://localhost:3000",
        pattern=r"^https?://[^?#]*[^/?#]$",
        description="Where your product has its pages `/verify-email` and `/reset-password`: mails lead there with `?token=…`, "
        "and signing in by a provider may return to its origin.",
    )
    smtp_url: SecretStr | None = Field(
        None, description="`smtp[s]://[user:password@]host[:port]`; unset: mails are files in `<home>/mail`."
    )
    mail_from: str = Field(
        "Headwater <no-reply@localhost>", pattern=r"^[^\r\n]*@[^\r\n]*$", description="Sender of mails."
    )

    messaging_history: Literal["postgres", "jsonl"] = Field("postgres", description="Where messages are kept.")
    messaging_history_directory: Path | None = Field(
        None, description="Directory of the JSON-lines history; default `<home>/history`."
    )

    reservation_lifetime: int = Field(
        1800,
        ge=60,
        le=604_800,
        description="Seconds that stock is held for an order; longer than the order's way to its confirmation may take.",
    )

    trusted_proxies: str = Field(
        "127.0.0.1,::1",
        description="Comma-separated addresses and networks of the proxies whose `X-Forwarded-For` and `-Proto` hold.",
    )
    upstream_connect_timeout: float = Field(
        5.0, gt=0, le=60, description="How long a process of `HEADWATER_UPSTREAM_<CONTEXT>` may take to be reached."
    )
    upstream_answer_timeout: float = Field(
        60.0,
        gt=0,
        le=3600,
        description="How long it may take to begin its answer, and be silent within it; longer than a poll waits (25 s).",
    )
    rate_limit_per_minute: int = Field(
        6_000,
        ge=0,
        le=1_000_000,
        description="REST requests of one user or API key, reads and writes each; counted by each process for itself unless "
        "there is a Redis; 0: no limit.",
    )
    rate_limit_read_per_minute: int | None = Field(
        None, ge=0, le=1_000_000, description="Of them reads, GET and HEAD; unset: as many as that."
    )
    rate_limit_write_per_minute: int | None = Field(
        None, ge=0, le=1_000_000, description="Of them all others; unset: as many as that."
    )
    rate_limit_auth_per_minute: int | None = Field(
        None,
        ge=0,
        le=1_000_000,
        description="Requests from one address to sign in, register and the like, and those without a valid token; unset: a "
        "tenth of that.",
    )
    cors_origins: str = Field(
        "",
        pattern=r"^(\*|[^*]*)$",
        description="Comma-separated browser origins whose pages may use the REST interface (`https://app.example`); `*`: all.",
    )
    compat_routes: bool = Field(
        False,
        description="Also serve the routes and the plain WebSocket of older services (docs: messaging, identity, realtime).",
    )
    compat_time_token: bool = Field(
        False,
        description="Also serve `POST /update` and `POST /publish` of an older UI service by time tokens, which sign nothing of "
        "what is published (docs: realtime).",
    )
    time_token_secret: SecretStr | None = Field(None, description="What publishers make time tokens with.")
    time_token_window: int = Field(
        30, ge=1, le=60, description="Seconds of a window; a token holds in its own and those beside it."
    )
    realtime_queue_limit: int = Field(
        1_000, ge=10, le=100_000, description="Events waiting for one client before it is cut off."
    )
    realtime_connections_per_user: int = Field(50, ge=1, le=10_000, description="Open sockets of one user per process.")
    realtime_connections_per_user_everywhere: int = Field(
        0,
        ge=0,
        le=100_000,
        description="Open sockets of one user on all processes; 0: as many as these allow together.",
    )
    realtime_strangers_per_address: int = Field(
        5_000,
        ge=1,
        le=1_000_000,
        description="Connections of one address that have joined nothing yet, and tokens refused there in 20 s, per process.",
    )
    realtime_allowed_origins: str = Field(
        "", description="Comma-separated browser origins that may open a socket beside the own one; `*` for all."
    )
    realtime_connections_per_address: int = Field(
        100, ge=1, le=100_000, description="Open sockets without login of one address per process."
    )
    realtime_public_connections: int = Field(
        10_000, ge=0, le=1_000_000, description="Open sockets without login per process; 0: nobody gets in without."
    )
    realtime_open_channels: str = Field(
        "",
        description="Comma-separated globs (`news,board.*`) of the channels of UI updates that everybody who is signed in may "
        "subscribe to.",
    )
    region: str | None = Field(
        None,
        pattern=r"^[a-z0-9-]{1,40}$",
        description="Where this process is: it delivers UI updates for this region and those for none; unset: the latter only.",
    )

    crash_at: str | None = Field(
        None,
        description="`name[:nth]` of a crash point (docs/reliability.md) at which the process kills itself; development only.",
    )

    local_kafka_port: int = Field(19092, ge=0, le=65535, description="Port of the local broker.")
    local_database_port: int = Field(15432, ge=0, le=65535, description="Port of the local PostgreSQL.")
    local_registry_port: int = Field(18081, ge=0, le=65535, description="Port of the local schema registry.")

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """Take values from `load` alone, which knows files, contexts and unknown names."""
        return (init_settings,)

    database_urls: dict[str, SecretStr] = Field(default_factory=dict, exclude=True, description="")
    upstreams: dict[str, str] = Field(default_factory=dict, exclude=True, description="")
    oidc_providers: dict[str, SecretStr] = Field(default_factory=dict, exclude=True, description="")

    @field_validator("crash_at")
    @classmethod
    def _is_crash_point(cls, at: str | None) -> str | None:
        if at:
            crash_points.parsed(at)
        return at

    @model_validator(mode="after")
    def _check(self) -> Self:
        for name in ("secret_key", "jwt_hs256_secret"):
            secret = getattr(self, name)
            if secret is not None and len(secret.get_secret_value().encode()) < SECRET_MIN_BYTES:
                raise ValueError(f"{PREFIX}{name.upper()} must have at least {SECRET_MIN_BYTES} bytes")
        self._check_addresses()
        if self.redis_ssl_ca_file and not (self.redis_url and self.redis_url.get_secret_value().startswith("rediss:")):
            raise ValueError(f"{PREFIX}REDIS_SSL_CA_FILE is for a {PREFIX}REDIS_URL that begins rediss://")
        if self.compat_time_token and not (self.time_token_secret and self.time_token_secret.get_secret_value()):
            raise ValueError(f"{PREFIX}TIME_TOKEN_SECRET is needed with {PREFIX}COMPAT_TIME_TOKEN")
        if self.jwt_jwks_url and self.jwt_hs256_secret:
            raise ValueError(f"set {PREFIX}JWT_JWKS_URL or {PREFIX}JWT_HS256_SECRET, not both")
        return self

    @model_validator(mode="after")
    def _check_production(self) -> Self:
        if self.mode != "production":
            return self
        if self.jwt_hs256_secret:
            raise ValueError(
                f"{PREFIX}JWT_HS256_SECRET is for development; /auth/login or {PREFIX}JWT_JWKS_URL in production"
            )
        if self.crash_at:
            raise ValueError(f"{PREFIX}CRASH_AT is for development")
        if any(url.get_secret_value().startswith("http:") for url in self.oidc_providers.values()):
            raise ValueError(f"{PROVIDER}<PROVIDER>: plain http is for development")
        if self.account_pages.startswith("http:"):
            raise ValueError(f"{PREFIX}ACCOUNT_PAGES: https in production, since mails lead there with tokens")
        for name in ("secret_key", *(() if self.documents_bucket else ("documents_directory",))):
            if not getattr(self, name):
                raise ValueError(f"{PREFIX}{name.upper()} is required in production")
        if self.jwt_jwks_url and not (self.jwt_issuer and self.jwt_audience):
            raise ValueError(
                f"{PREFIX}JWT_ISSUER and {PREFIX}JWT_AUDIENCE are required in production with {PREFIX}JWT_JWKS_URL"
            )
        return self

    @model_validator(mode="after")
    def _check_sasl(self) -> Self:
        if self.kafka_security_protocol.startswith("SASL"):
            for name in ("kafka_sasl_mechanism", "kafka_sasl_username", "kafka_sasl_password"):
                if getattr(self, name) is None:
                    raise ValueError(f"{PREFIX}{name.upper()} is needed with {self.kafka_security_protocol}")
        return self

    @model_validator(mode="after")
    def _check_certificates(self) -> Self:
        for name in ("kafka_ssl_ca_file", "database_ssl_ca_file", "schema_registry_ca_file", "redis_ssl_ca_file"):
            if file := getattr(self, name):
                certificates.require_authority(f"{PREFIX}{name.upper()}", file)
        certificates.require_pair(
            (f"{PREFIX}KAFKA_SSL_CERTIFICATE_FILE", self.kafka_ssl_certificate_file),
            (f"{PREFIX}KAFKA_SSL_KEY_FILE", self.kafka_ssl_key_file),
        )
        return self

    @field_validator("trusted_proxies")
    @classmethod
    def _are_networks(cls, proxies: str) -> str:
        for each in addresses.listed(proxies):
            ip_network(each, strict=False)
        return proxies

    @property
    def upstream_urls(self) -> dict[str, list[str]]:
        """Return the base URLs of the processes that serve a context in this one's stead."""
        return {context: addresses.listed(urls) for context, urls in self.upstreams.items()}

    @property
    def is_at_home(self) -> bool:
        """Return whether this is development, for this machine alone."""
        return self.mode == "development" and self.host in addresses.LOOPBACK

    @property
    def browser_origins(self) -> frozenset[str]:
        """Return the browser origins that are listed by name."""
        return frozenset(each.strip().rstrip("/") for each in self.cors_origins.split(",")) - {"", "*"}

    @property
    def configured_databases(self) -> dict[str, str]:
        """Return variable → URL of every database that is configured."""
        urls = {CONTEXT_DATABASE.removesuffix("_"): self.database_url}
        urls |= {f"{CONTEXT_DATABASE}{context.upper()}": url for context, url in self.database_urls.items()}
        return {variable: url.get_secret_value() for variable, url in urls.items() if url}

    def _check_addresses(self) -> None:
        given: list[tuple[str, Callable[[str], object], str]] = [
            (variable, addresses.database, url) for variable, url in self.configured_databases.items()
        ]
        if self.kafka_bootstrap_servers:
            given.append((f"{PREFIX}KAFKA_BOOTSTRAP_SERVERS", addresses.brokers, self.kafka_bootstrap_servers))
        given += [
            (f"{CONTEXT_UPSTREAM}{context.upper()}", addresses.upstreams, urls)
            for context, urls in self.upstreams.items()
        ]
        if self.schema_registry_url:
            given.append((f"{PREFIX}SCHEMA_REGISTRY_URL", addresses.registry, self.schema_registry_url))
        if self.redis_url:
            given.append((f"{PREFIX}REDIS_URL", addresses.redis, self.redis_url.get_secret_value()))
        for name, url in self.oidc_providers.items():
            given.append((f"{PROVIDER}{name.upper()}", addresses.provider, url.get_secret_value()))
        for variable, read, value in given:
            try:
                read(value)
            except ValueError as error:
                raise ValueError(f"{variable}: {error}") from None


def secret_key(settings: Settings) -> str:
    """Return the installation's secret. Raise `SettingsError` where there is none."""
    return required(settings.secret_key, "SECRET_KEY (32 bytes or more, the same for every process)").get_secret_value()


SECRETS = tuple(
    name
    for name, field in Settings.model_fields.items()
    if "SecretStr" in str(field.annotation) and name not in FAMILIES.values()
)


def secrets_of(settings: Settings) -> set[str]:
    """Return every secret that was given, of an address its password."""
    given = {value.get_secret_value() for name in SECRETS if (value := getattr(settings, name))}
    named = (*settings.database_urls.values(), *settings.oidc_providers.values())
    urls = {url for url in given if "://" in url} | {url.get_secret_value() for url in named}
    return (given - urls) | {unquote(password) for url in urls if (password := urlsplit(url).password)}
