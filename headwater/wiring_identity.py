"""Pick identity's adapters, as `wiring` does for the others."""

from dataclasses import dataclass
from datetime import UTC, datetime
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
from bounded_contexts.identity.adapters.sessions_postgres import PostgresSessions
from bounded_contexts.identity.adapters.signing_keys import PostgresSigningKeys
from bounded_contexts.identity.adapters.totp_postgres import PostgresSecondFactors
from bounded_contexts.identity.adapters.users_postgres import PostgresUsers
from bounded_contexts.identity.adapters.vault_postgres import PostgresVault
from bounded_contexts.identity.application.ports import Ports
from bounded_contexts.identity.application.reactions import Letters
from bounded_contexts.identity.domain.api_key import ApiKeyEvent
from bounded_contexts.identity.domain.user import UserEvent
from headwater import addresses
from headwater.settings import PREFIX, Settings, SettingsError, secret_key
from infra.avro import Codec
from infra.event_store_postgres import PostgresEventStore
from infra.opaque import OpaqueTokens
from infra.positions import ReadModel
from infra.postgres import Database
from shared_kernel.module import Module


@dataclass(frozen=True, slots=True)
class Identity:
    """What the house gives the context."""

    settings: Settings
    database: Database
    codec: Codec
    opaque_tokens: OpaqueTokens
    signing_keys: PostgresSigningKeys
    api_keys: PostgresApiKeys
    stored: ReadModel


def users_of(settings: Settings, database: Database, codec: Codec) -> PostgresUsers:
    """Return the accounts."""
    secret = secret_key(settings)
    events: PostgresEventStore[UserEvent] = PostgresEventStore(database, identity.NAME, codec)
    return PostgresUsers(database, events, PostgresVault(database, secret), PostgresLogins(database, secret), secret)


def api_keys(settings: Settings, database: Database, codec: Codec) -> PostgresApiKeys:
    """Return the API keys, and what verifies them."""
    events: PostgresEventStore[ApiKeyEvent] = PostgresEventStore(database, identity.NAME, codec)
    return PostgresApiKeys(database, events, users_of(settings, database, codec))


def ports_of_identity(given: Identity) -> Ports:
    """Return what identity's commands need."""
    database, secret = given.database, secret_key(given.settings)
    vault = PostgresVault(database, secret)
    users = users_of(given.settings, database, given.codec)
    sessions = PostgresSessions(database, PostgresEventStore(database, identity.NAME, given.codec), secret)
    return Ports(
        users=users,
        sessions=sessions,
        keys=given.api_keys,
        transaction=database.transaction,
        accounts=users,
        passwords=Argon2Passwords(),
        attempts=PostgresAttempts(database, secret),
        refresh_tokens=sessions,
        access_tokens=given.signing_keys,
        api_keys=given.api_keys,
        logins=PostgresLogins(database, secret),
        second_factors=PostgresSecondFactors(database, secret),
        mail_tokens=SealedMailTokens(given.opaque_tokens),
        mail=_mail(given.settings),
        opener=vault,
        directory=PostgresDirectory(database, vault),
        stored=given.stored,
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


def _mail(settings: Settings) -> SmtpMail | FileMail:
    if not settings.smtp_url:
        return FileMail(settings.home / "mail", settings.mail_from)
    try:
        return SmtpMail(settings.smtp_url.get_secret_value(), settings.mail_from)
    except ValueError as error:
        raise SettingsError(f"{PREFIX}SMTP_URL: {error}") from None
