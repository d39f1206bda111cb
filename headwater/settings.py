"""Every setting, read once from the environment and checked before anything starts.

Each field is `HEADWATER_<NAME>`; a secret may come as `HEADWATER_<NAME>_FILE`, whose content is the value. A context may be
given its own database by `HEADWATER_DATABASE_URL_<CONTEXT>`, and each OpenID provider is a `HEADWATER_OIDC_<PROVIDER>`. An
unknown `HEADWATER_` variable is an error. The table in docs/settings.md and `.env.template` are generated from here by
`make docs`.
"""

import os
import ssl
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Literal, Self, TypeVar
from urllib.parse import unquote, urlsplit

from dotenv import dotenv_values
from pydantic import Field, SecretStr, ValidationError, field_validator, model_validator
from pydantic_settings import BaseSettings, PydanticBaseSettingsSource, SettingsConfigDict

from headwater import addresses
from infra import crash_points

T = TypeVar("T")

PREFIX = "HEADWATER_"
CONTEXT_DATABASE = f"{PREFIX}DATABASE_URL_"
PROVIDER = f"{PREFIX}OIDC_"
# Variables that end in a name of their own, and the field that holds what they say. All of them are secrets.
FAMILIES = {CONTEXT_DATABASE: "database_urls", PROVIDER: "oidc_providers"}
SECRET_MIN_BYTES = 32  # RFC 7518 3.2: an HMAC key is at least as long as the hash


class SettingsError(ValueError):
    """The environment is not usable. The message names the variable and what to do."""


def required(value: T | None, name: str) -> T:
    """Return the setting's value. Raise `SettingsError` where there is none."""
    if value is None:
        raise SettingsError(f"set {PREFIX}{name}, or start the local servers with `headwater up`")
    return value


class Settings(BaseSettings):
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
        description="Signs cursors, positions and audit roots, derives the database passwords of contexts; 32 bytes or more.",
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
    schema_registry_ca_file: Path | None = Field(
        None, description="PEM file of the authority that signed the registry."
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

    rate_limit_per_minute: int = Field(
        6_000,
        ge=0,
        le=1_000_000,
        description="REST requests of one user, and refused ones from one address, per process; 0: no limit.",
    )
    cors_origins: str = Field(
        "",
        pattern=r"^(\*|[^*]*)$",
        description="Comma-separated browser origins whose pages may use the REST interface (`https://app.example`); `*`: all.",
    )
    compat_routes: bool = Field(
        False,
        description="Also serve the routes and the plain WebSocket of older chat services (docs/messaging.md, docs/realtime.md).",
    )
    realtime_queue_limit: int = Field(
        1_000, ge=10, le=100_000, description="Events waiting for one client before it is cut off."
    )
    realtime_connections_per_user: int = Field(50, ge=1, le=10_000, description="Open sockets of one user per process.")
    realtime_allowed_origins: str = Field(
        "", description="Comma-separated browser origins that may open a socket beside the own one; `*` for all."
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
        if self.jwt_jwks_url and self.jwt_hs256_secret:
            raise ValueError(f"set {PREFIX}JWT_JWKS_URL or {PREFIX}JWT_HS256_SECRET, not both")
        if self.mode == "production":
            if self.jwt_hs256_secret:
                raise ValueError(
                    f"{PREFIX}JWT_HS256_SECRET is for development; /auth/login or {PREFIX}JWT_JWKS_URL in production"
                )
            if self.crash_at:
                raise ValueError(f"{PREFIX}CRASH_AT is for development")
            if any(url.get_secret_value().startswith("http:") for url in self.oidc_providers.values()):
                raise ValueError(f"{PROVIDER}<PROVIDER>: plain http is for development")
            if not self.secret_key:
                raise ValueError(f"{PREFIX}SECRET_KEY is required in production")
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
        """Refuse files that the libraries would only complain about when they connect, each in its own words."""
        for name in ("kafka_ssl_ca_file", "database_ssl_ca_file", "schema_registry_ca_file"):
            if file := getattr(self, name):
                with _named(f"{PREFIX}{name.upper()}: no certificates in PEM in {file}"):
                    ssl.create_default_context(cafile=file)
        certificate, key = self.kafka_ssl_certificate_file, self.kafka_ssl_key_file
        if certificate or key:
            pair = f"{PREFIX}KAFKA_SSL_CERTIFICATE_FILE and {PREFIX}KAFKA_SSL_KEY_FILE"
            if not (certificate and key):
                raise ValueError(f"set {pair}, or neither")
            with _named(f"{pair}: no certificate with its key, not encrypted, in PEM"):
                # A password would be asked for on the terminal.
                ssl.create_default_context().load_cert_chain(certificate, key, password="")
        return self

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
        if self.schema_registry_url:
            given.append((f"{PREFIX}SCHEMA_REGISTRY_URL", addresses.registry, self.schema_registry_url))
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
    families = [url for family in FAMILIES.values() for url in getattr(settings, family).values()]
    urls = {url for url in given if "://" in url} | {url.get_secret_value() for url in families}
    return (given - urls) | {unquote(password) for url in urls if (password := urlsplit(url).password)}


def load(environ: Mapping[str, str] | None = None, **overrides: object) -> Settings:
    """Return the settings from `environ`, `overrides` winning. Raise `SettingsError`.

    By default that is the process's own environment, and behind it a file `.env` in the working directory."""
    given = {**_dotenv(), **os.environ} if environ is None else environ
    values: dict[str, object] = {}
    families: dict[str, dict[str, str]] = {field: {} for field in FAMILIES.values()}
    for variable, value in _with_files({name: given[name] for name in given if name.startswith(PREFIX)}).items():
        name = variable.removeprefix(PREFIX).lower()
        family = _family(variable)
        if name in Settings.model_fields and name not in families:
            values[name] = value
        elif family:
            families[FAMILIES[family]][variable.removeprefix(family).lower()] = value
        else:
            raise SettingsError(f"unknown variable {variable}; `headwater settings` lists the known ones")
    try:
        return Settings(**(values | families | overrides))  # type: ignore[arg-type]
    except ValidationError as error:
        raise SettingsError("; ".join(_sentence(problem) for problem in error.errors())) from None


def table() -> list[dict[str, str]]:
    """Return every setting as it stands in documentation."""
    rows = []
    for name, field in Settings.model_fields.items():
        if name in FAMILIES.values():
            continue
        default = "" if field.default is None else str(field.default)
        more = f" `{PREFIX}{name.upper()}_FILE` names a file with it." if name in SECRETS else ""
        rows.append(
            {"variable": f"{PREFIX}{name.upper()}", "default": default, "meaning": f"{field.description}{more}"}
        )
    own = {"variable": f"{CONTEXT_DATABASE}<CONTEXT>", "default": "", "meaning": "A context's own database."}
    provider = {
        "variable": f"{PROVIDER}<PROVIDER>",
        "default": "",
        "meaning": "An OpenID provider that users may sign in by (docs/identity.md), "
        "`https://client_id:client_secret@issuer/path`, percent-encoded.",
    }
    return [*rows, own, provider]


def _family(variable: str) -> str | None:
    """Return the beginning of a variable that ends in a name of its own."""
    return next((each for each in FAMILIES if variable.startswith(each) and variable != each), None)


def _dotenv() -> dict[str, str]:
    """A setting of the environment wins over one of the file, whichever of them is given as a secret's `_FILE`."""
    given = {name.removesuffix("_FILE") for name in os.environ}
    found = dotenv_values(".env").items()
    return {name: value for name, value in found if value is not None and name.removesuffix("_FILE") not in given}


def _with_files(given: Mapping[str, str]) -> dict[str, str]:
    """Return the variables, each that names a secret's file replaced by the secret."""
    values = dict(given)
    for variable, path in given.items():
        plain = variable.removesuffix("_FILE")
        secret = plain.removeprefix(PREFIX).lower() in SECRETS or _family(plain)
        if plain == variable or not secret:
            continue
        if plain in given:
            raise SettingsError(f"set {variable} or {plain}, not both")
        del values[variable]
        values[plain] = _content(variable, path)
    return values


def _content(variable: str, path: str) -> str:
    try:
        return Path(path).read_text(encoding="utf-8").strip()
    except OSError as error:
        raise SettingsError(f"{variable}: cannot read {path}: {error.strerror}") from None
    except UnicodeDecodeError:
        raise SettingsError(f"{variable}: cannot read {path}: not UTF-8 text") from None


@contextmanager
def _named(what: str) -> Iterator[None]:
    try:
        yield
    except OSError as error:  # ssl.SSLError is one
        raise ValueError(f"{what} ({error.strerror or error})") from None


def _sentence(problem: Mapping[str, object]) -> str:
    """Name the variable and what is wrong, without repeating its value, which may be a secret."""
    where = problem["loc"]
    name = f"{PREFIX}{str(where[0]).upper()}: " if isinstance(where, tuple) and where else ""
    return name + str(problem["msg"]).removeprefix("Value error, ")
