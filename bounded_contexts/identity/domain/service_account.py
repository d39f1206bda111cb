"""Service account: a program of nobody's, which gets tokens by a secret and may do no more than its scopes."""

from dataclasses import dataclass, replace
from uuid import UUID

from bounded_contexts.identity.domain.api_key import checked_scopes
from bounded_contexts.identity.domain.commands import (
    AddServiceSecret,
    ChangeServiceAccount,
    CreateServiceAccount,
    DeleteServiceAccount,
    RevokeServiceSecret,
)
from bounded_contexts.identity.domain.user import checked_name
from schemas.identity.events import (
    ServiceAccountChanged,
    ServiceAccountCreated,
    ServiceAccountDeleted,
    ServiceSecretAdded,
    ServiceSecretRevoked,
)
from shared_kernel.errors import Malformed, NotFound
from shared_kernel.permissions import require

PERMISSION = "identity:services"
SECRETS = 2  # that are good at a time: each program that has the former one takes over the new one when it can

ServiceAccountEvent = (
    ServiceAccountCreated | ServiceAccountChanged | ServiceSecretAdded | ServiceSecretRevoked | ServiceAccountDeleted
)
Request = CreateServiceAccount | ChangeServiceAccount | AddServiceSecret | RevokeServiceSecret | DeleteServiceAccount


@dataclass(frozen=True, slots=True)
class ServiceAccount:
    exists: bool = False
    name: str = ""
    scopes: frozenset[str] = frozenset()
    secrets: tuple[UUID, ...] = ()  # that are good, first added first


INITIAL = ServiceAccount()


def decide(state: ServiceAccount, ask: Request) -> tuple[ServiceAccountEvent, ...]:
    require(ask.asker.roles, PERMISSION)
    if isinstance(ask, CreateServiceAccount):
        return _created(ask)
    if not state.exists:
        raise NotFound("service_account_not_found")
    id_, by = ask.account_id, ask.asker.id
    match ask:
        case ChangeServiceAccount():
            return _changed(state, ask)
        case AddServiceSecret():
            over = state.secrets[: len(state.secrets) - SECRETS + 1]
            return (
                ServiceSecretAdded(account_id=id_, secret_id=ask.secret_id, added_by=by, added_at=ask.at),
                *(
                    ServiceSecretRevoked(account_id=id_, secret_id=each, revoked_by=by, revoked_at=ask.at)
                    for each in over
                ),
            )
        case RevokeServiceSecret():
            revoked = ServiceSecretRevoked(account_id=id_, secret_id=ask.secret_id, revoked_by=by, revoked_at=ask.at)
            return (revoked,) if ask.secret_id in state.secrets else ()
        case DeleteServiceAccount():
            return (ServiceAccountDeleted(account_id=id_, deleted_by=by, deleted_at=ask.at),)


def evolve(state: ServiceAccount, event: ServiceAccountEvent) -> ServiceAccount:
    match event:
        case ServiceAccountCreated():
            return ServiceAccount(exists=True, name=event.name, scopes=frozenset(event.scopes))
        case ServiceAccountChanged():
            return replace(state, name=event.name, scopes=frozenset(event.scopes))
        case ServiceSecretAdded():
            return replace(state, secrets=(*state.secrets, event.secret_id))
        case ServiceSecretRevoked():
            return replace(state, secrets=tuple(each for each in state.secrets if each != event.secret_id))
        case ServiceAccountDeleted():
            return INITIAL


def granted(held: frozenset[str], asked: str | None) -> frozenset[str]:
    """Return what a token is limited to: all that is held, or what is asked for of it. Raise `Malformed` for more."""
    scopes = held if asked is None else frozenset(asked.split())
    if not scopes or scopes - held:
        raise Malformed("invalid_scope", "one or several of those that the account has, between spaces")
    return scopes


def _created(ask: CreateServiceAccount) -> tuple[ServiceAccountEvent, ...]:
    id_, by = ask.account_id, ask.asker.id
    return (
        ServiceAccountCreated(
            account_id=id_,
            name=checked_name(ask.name),
            scopes=checked_scopes(ask.scopes),
            created_by=by,
            created_at=ask.at,
        ),
        ServiceSecretAdded(account_id=id_, secret_id=ask.secret_id, added_by=by, added_at=ask.at),
    )


def _changed(state: ServiceAccount, ask: ChangeServiceAccount) -> tuple[ServiceAccountEvent, ...]:
    name = state.name if ask.name is None else checked_name(ask.name)
    scopes = checked_scopes(state.scopes if ask.scopes is None else ask.scopes)
    changed = ServiceAccountChanged(
        account_id=ask.account_id, name=name, scopes=scopes, changed_by=ask.asker.id, changed_at=ask.at
    )
    return () if (name, frozenset(scopes)) == (state.name, state.scopes) else (changed,)
