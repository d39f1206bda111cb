"""User: given what happened, when somebody asks, then this happens."""

from datetime import UTC, datetime
from functools import reduce
from uuid import UUID

import pytest

from bounded_contexts.identity.domain.commands import (
    AddSecondFactor,
    Asker,
    Block,
    ChangePassword,
    ChangeProfile,
    Erase,
    GrantRole,
    LinkLogin,
    Register,
    RemoveSecondFactor,
    RequestPasswordReset,
    RequestVerification,
    RevokeRole,
    Unblock,
    UnlinkLogin,
    VerifyEmail,
)
from bounded_contexts.identity.domain.user import (
    INITIAL,
    Request,
    User,
    UserEvent,
    decide,
    evolve,
    require_active,
)
from schemas.identity.events import (
    EmailVerificationRequested,
    LoginLinked,
    LoginUnlinked,
    PasswordChanged,
    PasswordResetRequested,
    SecondFactorAdded,
    SecondFactorRemoved,
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
from shared_kernel.errors import Forbidden, NotFound, Refused

NOW = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)
ADA, EVE, ROOT = UUID(int=1), UUID(int=2), UUID(int=3)
HERSELF, STRANGER, ADMIN = Asker(ADA, frozenset()), Asker(EVE, frozenset()), Asker(ROOT, frozenset({"admin"}))

REGISTERED = UserRegistered(user_id=ADA, email="ada@example.org", name="Ada", registered_at=NOW)
VERIFIED = UserEmailVerified(user_id=ADA, verified_at=NOW)
RENAMED = UserRenamed(user_id=ADA, name="Ada L.", renamed_at=NOW)
MOVED = UserEmailChanged(user_id=ADA, email="ada@example.com", changed_at=NOW)
GRANTED = UserRoleGranted(user_id=ADA, role="moderator", granted_by=ROOT, granted_at=NOW)
DEGRADED = UserRoleRevoked(user_id=ADA, role="moderator", revoked_by=ROOT, revoked_at=NOW)
BLOCKED = UserBlocked(user_id=ADA, blocked_by=ROOT, blocked_at=NOW)
UNBLOCKED = UserUnblocked(user_id=ADA, unblocked_by=ROOT, unblocked_at=NOW)
PROTECTED = SecondFactorAdded(user_id=ADA, added_at=NOW)
BARED = SecondFactorRemoved(user_id=ADA, removed_by=ADA, removed_at=NOW)
HERE, THERE = UUID(int=4), UUID(int=5)
LINK = LinkLogin(user_id=ADA, login_id=HERE, issuer="https://idp.example", subject="ada", at=NOW)
LINKED = LoginLinked(user_id=ADA, login_id=HERE, issuer="https://idp.example", subject="ada", linked_at=NOW)
LINKED_TOO = LoginLinked(user_id=ADA, login_id=THERE, issuer="https://idp.example", subject="eve", linked_at=NOW)
UNLINKED = LoginUnlinked(user_id=ADA, login_id=HERE, unlinked_at=NOW)
ERASED = UserErased(user_id=ADA, erased_by=ADA, erased_at=NOW)

REGISTER = Register(user_id=ADA, email="ada@example.org", name="Ada", at=NOW)


def profile(asker: Asker, name: str | None = None, email: str | None = None) -> ChangeProfile:
    return ChangeProfile(user_id=ADA, name=name, email=email, asker=asker, at=NOW)


def unlink(*, has_password: bool) -> UnlinkLogin:
    return UnlinkLogin(user_id=ADA, login_id=HERE, has_password=has_password, at=NOW)


def state(*events: UserEvent) -> User:
    return reduce(evolve, events, INITIAL)


@pytest.mark.parametrize(
    ("given", "ask", "then"),
    [
        ([], REGISTER, [REGISTERED]),
        ([REGISTERED], REGISTER, []),
        ([REGISTERED], profile(HERSELF, name=" Ada L. "), [RENAMED]),
        ([REGISTERED], profile(ADMIN, email="ada@example.com"), [MOVED]),
        ([REGISTERED], profile(HERSELF, name="Ada L.", email="ada@example.com"), [RENAMED, MOVED]),
        ([REGISTERED], profile(HERSELF, name="Ada", email="ada@example.org"), []),
        ([REGISTERED], VerifyEmail(user_id=ADA, email="ADA@example.org", at=NOW), [VERIFIED]),
        ([REGISTERED, VERIFIED], VerifyEmail(user_id=ADA, email="ada@example.org", at=NOW), []),
        ([REGISTERED], GrantRole(user_id=ADA, role="moderator", asker=ADMIN, at=NOW), [GRANTED]),
        ([REGISTERED, GRANTED], GrantRole(user_id=ADA, role="moderator", asker=ADMIN, at=NOW), []),
        ([REGISTERED, GRANTED], RevokeRole(user_id=ADA, role="moderator", asker=ADMIN, at=NOW), [DEGRADED]),
        ([REGISTERED], RevokeRole(user_id=ADA, role="moderator", asker=ADMIN, at=NOW), []),
        ([REGISTERED], Block(user_id=ADA, asker=ADMIN, at=NOW), [BLOCKED]),
        ([REGISTERED, BLOCKED], Block(user_id=ADA, asker=ADMIN, at=NOW), []),
        ([REGISTERED, BLOCKED], Unblock(user_id=ADA, asker=ADMIN, at=NOW), [UNBLOCKED]),
        ([REGISTERED], Unblock(user_id=ADA, asker=ADMIN, at=NOW), []),
        ([REGISTERED], Erase(user_id=ADA, asker=HERSELF, at=NOW), [ERASED]),
        ([REGISTERED, ERASED], Erase(user_id=ADA, asker=HERSELF, at=NOW), []),
        (
            [REGISTERED],
            ChangePassword(user_id=ADA, session_id=EVE, at=NOW),
            [PasswordChanged(user_id=ADA, kept_session_id=EVE, changed_at=NOW)],
        ),
        (
            [REGISTERED],
            RequestPasswordReset(user_id=ADA, at=NOW),
            [PasswordResetRequested(user_id=ADA, requested_at=NOW)],
        ),
        (
            [REGISTERED],
            RequestVerification(user_id=ADA, at=NOW),
            [EmailVerificationRequested(user_id=ADA, requested_at=NOW)],
        ),
        ([REGISTERED, VERIFIED], RequestVerification(user_id=ADA, at=NOW), []),
        ([REGISTERED], AddSecondFactor(user_id=ADA, at=NOW), [PROTECTED]),
        ([REGISTERED, PROTECTED], AddSecondFactor(user_id=ADA, at=NOW), []),
        ([REGISTERED, PROTECTED], RemoveSecondFactor(user_id=ADA, asker=HERSELF, at=NOW), [BARED]),
        ([REGISTERED, PROTECTED, BARED], RemoveSecondFactor(user_id=ADA, asker=HERSELF, at=NOW), []),
        ([REGISTERED], LINK, [LINKED]),
        ([REGISTERED, LINKED], LINK, []),
        ([REGISTERED, LINKED, UNLINKED], LINK, [LINKED]),
        ([REGISTERED, LINKED], unlink(has_password=True), [UNLINKED]),
        ([REGISTERED, LINKED, LINKED_TOO], unlink(has_password=False), [UNLINKED]),
    ],
)
def test_what_happens(given: list[UserEvent], ask: Request, then: list[UserEvent]) -> None:
    assert list(decide(state(*given), ask)) == then


@pytest.mark.parametrize(
    ("given", "ask", "error"),
    [
        ([], profile(HERSELF, name="x"), NotFound),
        ([REGISTERED, ERASED], profile(HERSELF, name="x"), NotFound),
        ([REGISTERED, ERASED], RequestPasswordReset(user_id=ADA, at=NOW), NotFound),
        ([REGISTERED], profile(STRANGER, name="x"), Forbidden),
        ([REGISTERED], GrantRole(user_id=ADA, role="admin", asker=HERSELF, at=NOW), Forbidden),
        ([REGISTERED], RevokeRole(user_id=ADA, role="moderator", asker=HERSELF, at=NOW), Forbidden),
        ([REGISTERED], GrantRole(user_id=ADA, role="emperor", asker=ADMIN, at=NOW), Refused),
        ([REGISTERED], GrantRole(user_id=ADA, role="user", asker=ADMIN, at=NOW), Refused),
        ([REGISTERED], Block(user_id=ADA, asker=STRANGER, at=NOW), Forbidden),
        ([REGISTERED], Block(user_id=ADA, asker=Asker(ADA, frozenset({"admin"})), at=NOW), Refused),
        ([REGISTERED, BLOCKED], Unblock(user_id=ADA, asker=HERSELF, at=NOW), Forbidden),
        ([REGISTERED], Erase(user_id=ADA, asker=STRANGER, at=NOW), Forbidden),
        ([REGISTERED, PROTECTED], RemoveSecondFactor(user_id=ADA, asker=STRANGER, at=NOW), Forbidden),
        ([REGISTERED, MOVED], VerifyEmail(user_id=ADA, email="ada@example.org", at=NOW), Refused),
        ([], LINK, NotFound),
        ([REGISTERED, ERASED], LINK, NotFound),
        ([REGISTERED], unlink(has_password=True), NotFound),
        ([REGISTERED, LINKED, UNLINKED], unlink(has_password=True), NotFound),
        ([REGISTERED, LINKED], unlink(has_password=False), Refused),
        ([REGISTERED, LINKED, ERASED], unlink(has_password=True), NotFound),
    ],
)
def test_what_is_refused(given: list[UserEvent], ask: Request, error: type[Exception]) -> None:
    with pytest.raises(error):
        decide(state(*given), ask)


@pytest.mark.parametrize("name", ["", "   ", "x" * 101, "a\nb", "a\0b", "\ud800", "\u202egnp"])
def test_a_name_is_short_and_printable(name: str) -> None:
    with pytest.raises(Refused) as refused:
        decide(INITIAL, Register(user_id=ADA, email="ada@example.org", name=name, at=NOW))

    assert refused.value.code == "invalid_name"


@pytest.mark.parametrize(
    "email",
    [
        "",
        "ada",
        "@example.org",
        "ada@",
        "ada@example",
        "ada lovelace@example.org",
        "ada@exa mple.org",
        "ada@-example.org",
        ".ada@example.org",
        "a..da@example.org",
        "ada@example.org\r\nBcc: eve@example.org",
        f"{'a' * 65}@example.org",
        f"ada@{'a' * 60}.{'b' * 60}.{'c' * 60}.{'d' * 60}.org.example",
        "ada@[127.0.0.1]",
        '"ada"@example.org',
        "=?utf-8?q?ad=61?=@example.org",
    ],
)
def test_an_address_is_one_that_mail_can_be_sent_to(email: str) -> None:
    with pytest.raises(Refused) as refused:
        decide(INITIAL, Register(user_id=ADA, email=email, name="Ada", at=NOW))

    assert refused.value.code == "invalid_email"


def test_another_address_is_not_verified() -> None:
    assert state(REGISTERED, VERIFIED).is_verified
    assert not state(REGISTERED, VERIFIED, MOVED).is_verified


def test_nothing_personal_is_left_after_erasure() -> None:
    left = state(REGISTERED, VERIFIED, GRANTED, LINKED, ERASED)

    assert left == User(registered_at=NOW, erased_at=NOW)


def test_only_who_is_there_and_not_blocked_is_active() -> None:
    require_active(state(REGISTERED))
    require_active(state(REGISTERED, BLOCKED, UNBLOCKED))
    for inactive, error in (
        (state(), NotFound),
        (state(REGISTERED, ERASED), NotFound),
        (state(REGISTERED, BLOCKED), Forbidden),
    ):
        with pytest.raises(error):
            require_active(inactive)
