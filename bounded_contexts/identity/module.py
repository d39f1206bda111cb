"""The door of identity. Who listens to what is decided here and nowhere else."""

from collections.abc import Mapping
from functools import partial
from pathlib import Path

from fastapi import APIRouter

from bounded_contexts.identity.adapters.cookies import Browsers
from bounded_contexts.identity.adapters.graph import graph
from bounded_contexts.identity.adapters.http import key_set_routes, router
from bounded_contexts.identity.adapters.http_compat import compat_routes
from bounded_contexts.identity.adapters.http_oauth import oauth_routes
from bounded_contexts.identity.adapters.http_oidc import SignIns
from bounded_contexts.identity.adapters.oidc import OidcProvider
from bounded_contexts.identity.adapters.signing_keys import PostgresSigningKeys
from bounded_contexts.identity.application import reactions
from bounded_contexts.identity.application.ports import Ports
from bounded_contexts.identity.application.reactions import Letters
from schemas.identity.events import (
    EmailVerificationRequested,
    LoginLinked,
    PasswordResetRequested,
    SessionCompromised,
    UserBlocked,
    UserEmailChanged,
    UserEmailVerified,
    UserErased,
    UserRegistered,
    UserRenamed,
    UserRoleGranted,
    UserRoleRevoked,
    UserUnblocked,
)
from shared_kernel.module import Consumer, Count, Module, Topic, on

NAME = "identity"
DIRECTORY = "identity.directory"
MAIL = "identity.mail"
SESSIONS = "identity.sessions"
READ_MODEL = ("person",)
MAILS_AT_ONCE = 8
MIGRATIONS = Path(__file__).parent / "adapters" / "migrations"


def module(
    ports: Ports,
    keys: PostgresSigningKeys,
    letters: Letters,
    browsers: Browsers,
    providers: Mapping[str, OidcProvider],
    sign_ins: SignIns,
) -> Module:
    """Return the context as wiring knows it."""
    at_the_root = APIRouter()
    at_the_root.include_router(key_set_routes(keys))
    at_the_root.include_router(oauth_routes(ports, keys.issuer))
    verification = partial(reactions.send_verification, ports=ports, letters=letters)
    return Module(
        name=NAME,
        topics=(Topic("users"), Topic("sessions")),
        router=router(ports, letters.product, browsers, providers, sign_ins),
        compat_router=compat_routes(ports),
        root_router=at_the_root,
        graph=graph(ports),
        has_outbox=True,
        consumers=(
            Consumer(
                DIRECTORY,
                (
                    on(UserRegistered, ports.directory.changed),
                    on(UserRenamed, ports.directory.changed),
                    on(UserEmailChanged, ports.directory.changed),
                    on(UserEmailVerified, ports.directory.changed),
                    on(UserRoleGranted, ports.directory.changed),
                    on(UserRoleRevoked, ports.directory.changed),
                    on(UserBlocked, ports.directory.changed),
                    on(UserUnblocked, ports.directory.changed),
                    on(UserErased, ports.directory.changed),
                ),
                does="keeps the list of users",
                read_model=READ_MODEL,
                counts=(
                    Count("users_registered", "Accounts that were opened; a repeat counts again.", UserRegistered),
                    Count("users_erased", "Accounts that were erased for good.", UserErased),
                ),
            ),
            Consumer(
                SESSIONS,
                (on(UserBlocked, partial(reactions.end_all, ports=ports)),),
                does="ends the sessions of blocked users",
            ),
            Consumer(
                MAIL,
                (
                    on(UserRegistered, verification),
                    on(UserEmailChanged, partial(reactions.change_of_address, ports=ports, letters=letters)),
                    on(EmailVerificationRequested, verification),
                    on(PasswordResetRequested, partial(reactions.send_reset, ports=ports, letters=letters)),
                    on(LoginLinked, partial(reactions.send_linked, ports=ports, letters=letters)),
                    on(SessionCompromised, partial(reactions.send_warning, ports=ports, letters=letters)),
                ),
                does="sends the mails of accounts",
                lanes=MAILS_AT_ONCE,
                has_outside_effects=True,
            ),
        ),
    )
