"""What identity does about its own events: mails, and the end of sessions."""

from dataclasses import dataclass
from datetime import datetime
from urllib.parse import urlencode
from uuid import UUID

from bounded_contexts.identity.application.ports import Ports
from bounded_contexts.identity.application.sessions import end_sessions
from bounded_contexts.identity.domain import user
from bounded_contexts.identity.domain.user import User
from schemas.identity.events import (
    EmailVerificationRequested,
    LoginLinked,
    PasswordResetRequested,
    SessionCompromised,
    UserBlocked,
    UserEmailChanged,
    UserRegistered,
)
from shared_kernel.decider import state_of


@dataclass(frozen=True, slots=True)
class Letters:
    """What the mails say. `pages` is where the product's own pages for accounts are, without a slash at the end.

    Nobody's words go to an address that is not known to be theirs: a name is long enough for an advertisement."""

    pages: str
    product: str = "Headwater"

    def verification(self, token: str) -> tuple[str, str]:
        return f"{self.product}: is this your address?", self._letter(
            "Hello", "please confirm that this is your address:", "verify-email", token, "It holds for two days."
        )

    def reset(self, to: User, token: str) -> tuple[str, str]:
        return f"{self.product}: a new password", self._letter(
            _greeting(to),
            "somebody, we hope you, has asked for a new password:",
            "reset-password",
            token,
            "It holds for an hour and once. If it was not you, do nothing: your password stays.",
        )

    def compromised(self, to: User) -> tuple[str, str]:
        text = (
            f"{_greeting(to)},\n\na key of one of your sessions was used twice: somebody may have a copy of it. That session "
            "was ended.\nPlease sign in again, and change your password if you do not know the device.\n"
        )
        return f"{self.product}: one of your sessions was ended", text

    def farewell(self, to: User) -> tuple[str, str]:
        text = (
            f"{_greeting(to)},\n\nyour account has another address now, and this one is no longer used. If that was not you, "
            "please tell whoever runs this service.\n"
        )
        return f"{self.product}: your account has another address", text

    def linked(self, to: User, issuer: str) -> tuple[str, str]:
        text = (
            f"{_greeting(to)},\n\nfrom now on you sign in by your account at {issuer}, too. If that was not you, somebody may "
            "have that account:\nsecure it, remove it from the ways you sign in by, end your other sessions, and revoke API keys "
            "you do not know.\n"
        )
        return f"{self.product}: another way to sign in", text

    def _letter(self, greeting: str, asks: str, page: str, token: str, note: str) -> str:
        link = f"{self.pages}/{page}?{urlencode({'token': token})}"
        return f"{greeting},\n\n{asks}\n\n{link}\n\n{note}\n"


def _greeting(to: User) -> str:
    return f"Hello {to.name}" if to.is_verified else "Hello"


async def send_verification(
    event: UserRegistered | UserEmailChanged | EmailVerificationRequested, ports: Ports, letters: Letters
) -> None:
    """Ask whether the address is the user's, unless that is known by now."""
    state = await _present(event.user_id, ports)
    if state and not state.is_verified:
        token = ports.mail_tokens.for_verification(event.user_id, state.email, ports.now())
        name = f"verification.{event.user_id}.{_moment(event).timestamp()}"
        await _send(name, state, letters.verification(token), ports)


async def send_reset(event: PasswordResetRequested, ports: Ports, letters: Letters) -> None:
    """Send what a new password can be set with."""
    if state := await _present(event.user_id, ports):
        credential = await ports.accounts.credential(event.user_id)
        token = ports.mail_tokens.for_reset(event.user_id, state.email, credential, ports.now())
        name = f"reset.{event.user_id}.{event.requested_at.timestamp()}"
        await _send(name, state, letters.reset(state, token), ports)


async def send_warning(event: SessionCompromised, ports: Ports, letters: Letters) -> None:
    """Tell the user that a session was ended, and why."""
    if state := await _present(event.user_id, ports):
        await _send(f"compromised.{event.session_id}", state, letters.compromised(state), ports)


async def send_linked(event: LoginLinked, ports: Ports, letters: Letters) -> None:
    """Tell the user that there is another way into an account that was there before."""
    state = await _present(event.user_id, ports)
    if state and state.registered_at != event.linked_at:
        await _send(f"linked.{event.login_id}", state, letters.linked(state, event.issuer), ports)


async def end_all(event: UserBlocked, ports: Ports) -> None:
    """End what somebody has open who may not do anything; what they opened after an unblocking is none of that."""
    await end_sessions(event.user_id, "blocked", ports.now(), ports, opened_by=event.blocked_at)


async def send_farewell(event: UserEmailChanged, ports: Ports, letters: Letters) -> None:
    """Tell the former address that it is no longer the account's: a thief of a session would change it first."""
    former, _ = await state_of(user, ports.users, event.user_id, event.changed_at)
    if former.email and await _present(event.user_id, ports):
        await _send(f"farewell.{event.user_id}.{event.changed_at.timestamp()}", former, letters.farewell(former), ports)


async def change_of_address(event: UserEmailChanged, ports: Ports, letters: Letters) -> None:
    """Write to both addresses."""
    await send_farewell(event, ports, letters)
    await send_verification(event, ports, letters)


async def _present(id_: UUID, ports: Ports) -> User | None:
    """Return the user as they are now: a mail goes to the present address, and to nobody who is gone."""
    state, _ = await state_of(user, ports.users, id_)
    return None if state.erased_at or state.blocked_at else state


async def _send(name: str, state: User, letter: tuple[str, str], ports: Ports) -> None:
    subject, text = letter
    await ports.mail.send(state.email, subject, text, name)


def _moment(event: UserRegistered | UserEmailChanged | EmailVerificationRequested) -> datetime:
    match event:
        case UserRegistered():
            return event.registered_at
        case UserEmailChanged():
            return event.changed_at
        case EmailVerificationRequested():
            return event.requested_at
