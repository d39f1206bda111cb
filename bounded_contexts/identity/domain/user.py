"""User: an account, from registration to erasure."""

from dataclasses import dataclass, replace
from datetime import datetime
from uuid import UUID

from bounded_contexts.identity.domain import address
from bounded_contexts.identity.domain.commands import (
    AddSecondFactor,
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
from shared_kernel.permissions import ROLES, USER, require

NAME_LIMIT = 100  # characters

UserEvent = (
    UserRegistered
    | UserRenamed
    | UserEmailChanged
    | UserEmailVerified
    | UserRoleGranted
    | UserRoleRevoked
    | UserBlocked
    | UserUnblocked
    | UserErased
    | PasswordChanged
    | PasswordResetRequested
    | EmailVerificationRequested
    | SecondFactorAdded
    | SecondFactorRemoved
    | LoginLinked
    | LoginUnlinked
)
AskedByOthers = ChangeProfile | GrantRole | RevokeRole | Block | Unblock | Erase | RemoveSecondFactor
ByProof = (
    VerifyEmail
    | AddSecondFactor
    | ChangePassword
    | RequestPasswordReset
    | RequestVerification
    | LinkLogin
    | UnlinkLogin
)
Request = Register | AskedByOthers | ByProof
PERMISSION: dict[type[AskedByOthers], str] = {
    ChangeProfile: "identity:change",
    GrantRole: "identity:roles",
    RevokeRole: "identity:roles",
    Block: "identity:block",
    Unblock: "identity:block",
    Erase: "identity:erase",
    RemoveSecondFactor: "identity:change",
}


@dataclass(frozen=True, slots=True)
class User:
    registered_at: datetime | None = None  # None: nobody
    email: str = ""
    name: str = ""
    is_verified: bool = False  # the present address
    was_verified: bool = False  # any address, ever
    has_second_factor: bool = False
    roles: frozenset[str] = frozenset()  # beside `user`, which everybody has
    logins: frozenset[UUID] = frozenset()
    blocked_at: datetime | None = None
    erased_at: datetime | None = None


INITIAL = User()


def decide(state: User, ask: Request) -> tuple[UserEvent, ...]:
    if isinstance(ask, Register):
        return _registered(state, ask)
    if isinstance(ask, AskedByOthers):  # before looking: who may not do it learns nothing
        require(ask.asker.roles, PERMISSION[type(ask)], own=ask.asker.id == ask.user_id)
    if state.registered_at is None or (state.erased_at and not isinstance(ask, Erase)):
        raise NotFound("user_not_found")
    match ask:
        case VerifyEmail():
            return _verified(state, ask)
        case ChangePassword():
            return (PasswordChanged(user_id=ask.user_id, kept_session_id=ask.session_id, changed_at=ask.at),)
        case RequestPasswordReset():
            return (PasswordResetRequested(user_id=ask.user_id, requested_at=ask.at),)
        case AddSecondFactor():
            added = SecondFactorAdded(user_id=ask.user_id, added_at=ask.at)
            return () if state.has_second_factor else (added,)
        case RequestVerification():
            asked = EmailVerificationRequested(user_id=ask.user_id, requested_at=ask.at)
            return () if state.is_verified else (asked,)
        case LinkLogin() | UnlinkLogin():
            return _logins(state, ask)
        case _:
            return _changed(state, ask)


def evolve(state: User, event: UserEvent) -> User:
    match event:
        case UserRegistered():
            return User(event.registered_at, event.email, event.name)
        case UserErased():
            return User(registered_at=state.registered_at, erased_at=event.erased_at)
        case UserRenamed() | UserEmailChanged() | UserEmailVerified():
            return _with_profile(state, event)
        case UserRoleGranted():
            return replace(state, roles=state.roles | {event.role})
        case UserRoleRevoked():
            return replace(state, roles=state.roles - {event.role})
        case UserBlocked():
            return replace(state, blocked_at=event.blocked_at)
        case UserUnblocked():
            return replace(state, blocked_at=None)
        case LoginLinked() | LoginUnlinked():
            return replace(state, logins=state.logins ^ {event.login_id})
        case SecondFactorAdded() | SecondFactorRemoved():
            return replace(state, has_second_factor=isinstance(event, SecondFactorAdded))
        case _:
            return state


def _with_profile(state: User, event: UserRenamed | UserEmailChanged | UserEmailVerified) -> User:
    match event:
        case UserRenamed():
            return replace(state, name=event.name)
        case UserEmailChanged():
            return replace(state, email=event.email, is_verified=False)
        case UserEmailVerified():
            return replace(state, is_verified=True, was_verified=True)


def is_active(state: User) -> bool:
    """Return whether it is somebody, and neither blocked nor erased."""
    return bool(state.registered_at) and not state.blocked_at and not state.erased_at


def require_active(state: User) -> None:
    """Raise `NotFound` for nobody and an erased user, `Forbidden` for a blocked one."""
    if state.registered_at is None or state.erased_at:
        raise NotFound("user_not_found")
    if state.blocked_at:
        raise Forbidden("user_blocked", "an administrator has blocked this account")


def checked_name(text: str) -> str:
    """Return the name. Raise `Refused` for an empty or overlong one, or one with control characters."""
    name = text.strip()
    if not 1 <= len(name) <= NAME_LIMIT or not name.isprintable():
        raise Refused("invalid_name", f"1 to {NAME_LIMIT} printable characters")
    return name


def _registered(state: User, ask: Register) -> tuple[UserEvent, ...]:
    if state.registered_at:
        return ()  # the same request again
    email, name = address.checked(ask.email), checked_name(ask.name)
    return (UserRegistered(user_id=ask.user_id, email=email, name=name, registered_at=ask.at),)


def _verified(state: User, ask: VerifyEmail) -> tuple[UserEvent, ...]:
    if address.compared(ask.email) != address.compared(state.email):
        raise Refused("email_changed", "the account has another address by now")
    return () if state.is_verified else (UserEmailVerified(user_id=ask.user_id, verified_at=ask.at),)


def _logins(state: User, ask: LinkLogin | UnlinkLogin) -> tuple[UserEvent, ...]:
    if isinstance(ask, LinkLogin):
        linked = LoginLinked(
            user_id=ask.user_id, login_id=ask.login_id, issuer=ask.issuer, subject=ask.subject, linked_at=ask.at
        )
        return () if ask.login_id in state.logins else (linked,)
    if ask.login_id not in state.logins:
        raise NotFound("login_not_found")
    if not ask.has_password and len(state.logins) == 1:
        raise Refused("last_way_in", "set a password first, by `/auth/password/forgot`")
    return (LoginUnlinked(user_id=ask.user_id, login_id=ask.login_id, unlinked_at=ask.at),)


def _changed(state: User, ask: AskedByOthers) -> tuple[UserEvent, ...]:
    id_, own = ask.user_id, ask.asker.id == ask.user_id
    match ask:
        case ChangeProfile():
            return _profiled(state, ask)
        case GrantRole():
            _require_role(ask.role)
            granted = UserRoleGranted(user_id=id_, role=ask.role, granted_by=ask.asker.id, granted_at=ask.at)
            return () if ask.role in state.roles else (granted,)
        case RevokeRole():
            _require_role(ask.role)
            revoked = UserRoleRevoked(user_id=id_, role=ask.role, revoked_by=ask.asker.id, revoked_at=ask.at)
            return (revoked,) if ask.role in state.roles else ()
        case Block():
            if own:
                raise Refused("not_oneself", "nobody blocks themselves")
            return () if state.blocked_at else (UserBlocked(user_id=id_, blocked_by=ask.asker.id, blocked_at=ask.at),)
        case Unblock():
            unblocked = UserUnblocked(user_id=id_, unblocked_by=ask.asker.id, unblocked_at=ask.at)
            return (unblocked,) if state.blocked_at else ()
        case RemoveSecondFactor():
            removed = SecondFactorRemoved(user_id=id_, removed_by=ask.asker.id, removed_at=ask.at)
            return (removed,) if state.has_second_factor else ()
        case Erase():
            return () if state.erased_at else (UserErased(user_id=id_, erased_by=ask.asker.id, erased_at=ask.at),)


def _profiled(state: User, ask: ChangeProfile) -> tuple[UserEvent, ...]:
    events: list[UserEvent] = []
    if ask.name is not None and (name := checked_name(ask.name)) != state.name:
        events.append(UserRenamed(user_id=ask.user_id, name=name, renamed_at=ask.at))
    if ask.email is not None and (email := address.checked(ask.email)) != state.email:
        events.append(UserEmailChanged(user_id=ask.user_id, email=email, changed_at=ask.at))
    return tuple(events)


def _require_role(role: str) -> None:
    if role not in ROLES or role == USER:
        raise Refused("unknown_role", f"one of {', '.join(sorted(ROLES.keys() - {USER}))}")
