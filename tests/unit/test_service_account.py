"""Service account: given what happened, when somebody asks, then this happens."""

from datetime import UTC, datetime
from functools import reduce
from uuid import UUID

import pytest

from bounded_contexts.identity.domain.commands import (
    AddServiceSecret,
    Asker,
    ChangeServiceAccount,
    CreateServiceAccount,
    DeleteServiceAccount,
    RevokeServiceSecret,
)
from bounded_contexts.identity.domain.service_account import (
    INITIAL,
    Request,
    ServiceAccountEvent,
    decide,
    evolve,
    granted,
)
from schemas.identity.events import (
    ServiceAccountChanged,
    ServiceAccountCreated,
    ServiceAccountDeleted,
    ServiceSecretAdded,
    ServiceSecretRevoked,
)
from shared_kernel.errors import Forbidden, NotFound, Refused

NOW = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)
ROBOT, ROOT, FIRST, SECOND, THIRD = (UUID(int=number) for number in range(1, 6))
ADMIN, SOMEBODY = Asker(ROOT, frozenset({"admin"})), Asker(ROOT, frozenset({"moderator"}))
SCOPES = ("messages:read", "messages:write")

CREATED = ServiceAccountCreated(account_id=ROBOT, name="Robot", scopes=SCOPES, created_by=ROOT, created_at=NOW)
DELETED = ServiceAccountDeleted(account_id=ROBOT, deleted_by=ROOT, deleted_at=NOW)


def added(secret: UUID) -> ServiceSecretAdded:
    return ServiceSecretAdded(account_id=ROBOT, secret_id=secret, added_by=ROOT, added_at=NOW)


def revoked(secret: UUID) -> ServiceSecretRevoked:
    return ServiceSecretRevoked(account_id=ROBOT, secret_id=secret, revoked_by=ROOT, revoked_at=NOW)


def create(name: str = " Robot ", scopes: frozenset[str] = frozenset(SCOPES), asker: Asker = ADMIN) -> Request:
    return CreateServiceAccount(account_id=ROBOT, secret_id=FIRST, name=name, scopes=scopes, asker=asker, at=NOW)


def change(name: str | None = None, scopes: frozenset[str] | None = None) -> Request:
    return ChangeServiceAccount(account_id=ROBOT, name=name, scopes=scopes, asker=ADMIN, at=NOW)


def add(secret: UUID, asker: Asker = ADMIN) -> Request:
    return AddServiceSecret(account_id=ROBOT, secret_id=secret, asker=asker, at=NOW)


def revoke(secret: UUID, asker: Asker = ADMIN) -> Request:
    return RevokeServiceSecret(account_id=ROBOT, secret_id=secret, asker=asker, at=NOW)


def delete(asker: Asker = ADMIN) -> Request:
    return DeleteServiceAccount(account_id=ROBOT, asker=asker, at=NOW)


def after(*events: ServiceAccountEvent, ask: Request) -> tuple[ServiceAccountEvent, ...]:
    return decide(reduce(evolve, events, INITIAL), ask)


def test_it_is_created_with_a_first_secret() -> None:
    assert after(ask=create()) == (CREATED, added(FIRST))


@pytest.mark.parametrize(
    ("ask", "code"),
    [
        (create(name="\n"), "invalid_name"),
        (create(scopes=frozenset()), "unknown_scope"),
        (create(scopes=frozenset({"everything"})), "unknown_scope"),
        (create(scopes=frozenset({"service-accounts:write"})), "unknown_scope"),
    ],
)
def test_what_it_cannot_be_is_refused(ask: Request, code: str) -> None:
    with pytest.raises(Refused) as refused:
        after(ask=ask)
    assert refused.value.code == code


def test_what_is_given_is_changed_and_the_same_again_is_nothing() -> None:
    less = frozenset({"messages:read"})
    changed = ServiceAccountChanged(
        account_id=ROBOT, name="Android", scopes=("messages:read",), changed_by=ROOT, changed_at=NOW
    )

    assert after(CREATED, ask=change("Android", less)) == (changed,)
    assert after(CREATED, changed, ask=change("Android")) == after(CREATED, changed, ask=change(scopes=less)) == ()
    with pytest.raises(Refused):
        after(CREATED, ask=change(scopes=frozenset({"everything"})))


def test_two_secrets_are_good_at_a_time_and_the_oldest_goes() -> None:
    one = (CREATED, added(FIRST))

    assert after(*one, ask=add(SECOND)) == (added(SECOND),)
    assert after(*one, added(SECOND), ask=add(THIRD)) == (added(THIRD), revoked(FIRST))
    assert after(*one, added(SECOND), revoked(FIRST), ask=add(THIRD)) == (added(THIRD),)
    assert after(*one, revoked(FIRST), ask=add(SECOND)) == (added(SECOND),)


def test_a_secret_is_revoked_once() -> None:
    assert after(CREATED, added(FIRST), ask=revoke(FIRST)) == (revoked(FIRST),)
    assert after(CREATED, added(FIRST), revoked(FIRST), ask=revoke(FIRST)) == ()
    assert after(CREATED, added(FIRST), ask=revoke(SECOND)) == ()


@pytest.mark.parametrize("ask", [change("x"), add(SECOND), revoke(FIRST), delete()])
def test_what_is_deleted_is_gone(ask: Request) -> None:
    assert after(CREATED, added(FIRST), ask=delete()) == (DELETED,)
    with pytest.raises(NotFound):
        after(CREATED, added(FIRST), DELETED, ask=ask)


@pytest.mark.parametrize(
    "ask", [create(asker=SOMEBODY), add(FIRST, SOMEBODY), revoke(FIRST, SOMEBODY), delete(SOMEBODY)]
)
def test_it_is_for_administrators(ask: Request) -> None:
    with pytest.raises(Forbidden):
        after(CREATED, ask=ask)


def test_a_token_has_all_scopes_or_some_and_no_others() -> None:
    held = frozenset(SCOPES)

    assert granted(held, None) == held
    assert granted(held, "messages:read") == {"messages:read"}
    for asked in ("messages:read users:read", "everything", " "):
        with pytest.raises(Refused, match="invalid_scope"):
            granted(held, asked)
