"""Pick identity's adapters, as `wiring` does for the others."""

from datetime import UTC, datetime
from typing import Protocol
from urllib.parse import urlsplit

from bounded_contexts.identity import module as identity
from bounded_contexts.identity.adapters.api_keys_postgres import PostgresApiKeys
from bounded_contexts.identity.adapters.attempts_postgres import PostgresAttempts
from bounded_contexts.identity.adapters.cookies import Browsers
from bounded_contexts.identity.adapters.directory_postgres import PostgresDirectory
from bounded_contexts.identity.adapters.http_oidc import SignIns
from bounded_contexts.identity.adapters.logins_postgres import PostgresLogins
from bounded_contexts.identity.adapters.mail import FileMail, SmtpMail
from bounded_contexts.identity.adapters.mail_tokens import SealedMailTokens
from bounded_contexts.identity.adapters.oidc import OidcProvider
from bounded_contexts.identity.adapters.passwords import Argon2Passwords
from bounded_contexts.identity.adapters.security_history_postgres import PostgresSecurityHistory
from bounded_contexts.identity.adapters.service_accounts_postgres import PostgresServiceAccounts
from bounded_contexts.identity.adapters.sessions_postgres import PostgresSessions
from bounded_contexts.identity.adapters.signing_keys import LOOK_S, PostgresSigningKeys
from bounded_contexts.identity.adapters.totp_postgres import PostgresSecondFactors
from bounded_contexts.identity.adapters.users_cached import CACHE, LIFETIME, CachedUsers
from bounded_contexts.identity.adapters.users_postgres import PostgresUsers
from bounded_contexts.identity.adapters.vault_postgres import PostgresVault
from bounded_contexts.identity.application.ports import Ports
from bounded_contexts.identity.application.reactions import Letters
from bounded_contexts.identity.domain.api_key import ApiKeyEvent
from bounded_contexts.identity.domain.service_account import ServiceAccountEvent
from bounded_contexts.identity.domain.session import SessionEvent
from bounded_contexts.identity.domain.user import UserEvent
from headwater import addresses
from headwater.settings import PREFIX, Settings, SettingsError, secret_key
from headwater.wiring_redis import cache
from infra.access_tokens import AccessTokens, EitherTokens, KeySetTokens, SharedKeyTokens, published_at
from infra.avro import Codec
from infra.event_store_postgres import PostgresEventStore
from infra.opaque import OpaqueTokens
from infra.positions import ReadModel
from infra.postgres import Database
from infra.redis_server import RedisServer
from shared_kernel.module import Module


class Given(Protocol):
    """What the house gives the context."""

    settings: Settings
    databases: dict[str, Database]
    codec: Codec
    opaque_tokens: OpaqueTokens
    signing_keys: PostgresSigningKeys
    api_keys: PostgresApiKeys
    current_users: CachedUsers


def users_of(settings: Settings, database: Database, codec: Codec) -> PostgresUsers:
    """Return the accounts."""
    secret = secret_key(settings)
    events: PostgresEventStore[UserEvent] = PostgresEventStore(database, identity.NAME, codec, UserEvent)
    return PostgresUsers(database, events, PostgresVault(database, secret), PostgresLogins(database, secret), secret)


def cached_users(settings: Settings, database: Database, codec: Codec, redis: RedisServer | None) -> CachedUsers:
    """Return the accounts as whoever only reads sees them."""
    vault = PostgresVault(database, secret_key(settings))
    return CachedUsers(database, users_of(settings, database, codec), vault, cache(settings, redis, CACHE, LIFETIME))


def api_keys(database: Database, codec: Codec, users: CachedUsers) -> PostgresApiKeys:
    """Return the API keys, and what verifies them."""
    events: PostgresEventStore[ApiKeyEvent] = PostgresEventStore(database, identity.NAME, codec, ApiKeyEvent)
    return PostgresApiKeys(database, events, users)


def ports_of_identity(given: Given, stored: ReadModel) -> Ports:
    """Return what identity's commands need."""
    database, secret = given.databases[identity.NAME], secret_key(given.settings)
    vault = PostgresVault(database, secret)
    users = users_of(given.settings, database, given.codec)
    opened = PostgresEventStore[SessionEvent](database, identity.NAME, given.codec, SessionEvent)
    sessions = PostgresSessions(database, opened, secret)
    accounts = PostgresEventStore[ServiceAccountEvent](database, identity.NAME, given.codec, ServiceAccountEvent)
    services = PostgresServiceAccounts(database, accounts, secret)
    return Ports(
        current_users=given.current_users,
        users=users,
        sessions=sessions,
        keys=given.api_keys,
        services=services,
        transaction=database.transaction,
        accounts=users,
        passwords=Argon2Passwords(),
        attempts=PostgresAttempts(database, secret),
        refresh_tokens=sessions,
        access_tokens=given.signing_keys,
        api_keys=given.api_keys,
        service_accounts=services,
        logins=PostgresLogins(database, secret),
        second_factors=PostgresSecondFactors(database, secret),
        security_history=PostgresSecurityHistory(database, given.codec),
        mail_tokens=SealedMailTokens(given.opaque_tokens),
        mail=_mail(given.settings),
        opener=vault,
        directory=PostgresDirectory(database, vault),
        stored=stored,
        now=lambda: datetime.now(UTC),
    )


def module_of_identity(settings: Settings, ports: Ports, keys: PostgresSigningKeys) -> Module:
    """Return the context, with the browsers and providers that the settings trust."""
    own = urlsplit(settings.account_pages)
    pages = settings.browser_origins | {f"{own.scheme}://{own.netloc}"}
    browsers = Browsers(settings.browser_origins, pages, may_be_plain=settings.is_at_home)
    providers = {
        name: OidcProvider(*addresses.provider(url.get_secret_value())) for name, url in settings.oidc_providers.items()
    }
    sign_ins = SignIns(secret_key(settings), browsers)
    return identity.module(ports, keys, Letters(settings.account_pages), browsers, providers, sign_ins)


def signing_keys(settings: Settings, database: Database) -> PostgresSigningKeys:
    """Return the keys our own tokens are signed with."""
    return PostgresSigningKeys(database, secret_key(settings), settings.token_issuer, settings.token_audience)


def access_tokens(
    settings: Settings, keys: PostgresSigningKeys, of_programs: PostgresApiKeys, shared: SharedKeyTokens | None
) -> AccessTokens:
    """Return what verifies tokens: our own, and beside them those of another issuer or of development."""
    sets = [KeySetTokens(keys.public, keys.issuer, keys.audience, LOOK_S)]
    if settings.jwt_jwks_url:
        sets.append(KeySetTokens(published_at(settings.jwt_jwks_url), settings.jwt_issuer, settings.jwt_audience))
    return EitherTokens(shared, sets, of_programs)


def _mail(settings: Settings) -> SmtpMail | FileMail:
    if not settings.smtp_url:
        return FileMail(settings.home / "mail", settings.mail_from)
    try:
        return SmtpMail(settings.smtp_url.get_secret_value(), settings.mail_from)
    except ValueError as error:
        raise SettingsError(f"{PREFIX}SMTP_URL: {error}") from None
