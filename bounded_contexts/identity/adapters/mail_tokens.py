"""What mails carry: signed, dated, and of no use after what they are for has happened. Port `MailTokens`."""

from datetime import UTC, datetime, timedelta
from uuid import UUID

from bounded_contexts.identity.application.ports import Credential
from infra.opaque import OpaqueTokens
from shared_kernel.errors import Refused

VERIFICATION = "verification_token"
VERIFICATION_LIFETIME = timedelta(days=2)
RESET = "reset_token"
RESET_LIFETIME = timedelta(hours=1)


class SealedMailTokens:
    def __init__(self, tokens: OpaqueTokens) -> None:
        self._tokens = tokens

    def for_verification(self, user: UUID, email: str, now: datetime) -> str:
        until = now + VERIFICATION_LIFETIME
        return self._tokens.seal(VERIFICATION, [str(user), email, until.timestamp()])

    def verification(self, token: str, now: datetime) -> tuple[UUID, str]:
        user, email, until = self._tokens.open(VERIFICATION, token)
        _require(until, now, VERIFICATION)
        return UUID(user), email

    def for_reset(self, user: UUID, email: str, credential: Credential | None, now: datetime) -> str:
        since = credential.changed_at.isoformat() if credential else None
        return self._tokens.seal(RESET, [str(user), email, since, (now + RESET_LIFETIME).timestamp()])

    def reset(self, token: str, now: datetime) -> tuple[UUID, str, datetime | None]:
        user, email, since, until = self._tokens.open(RESET, token)
        _require(until, now, RESET)
        return UUID(user), email, datetime.fromisoformat(since).astimezone(UTC) if since else None


def _require(until: float, now: datetime, kind: str) -> None:
    if now.timestamp() > until:
        raise Refused(f"invalid_{kind}", "it is too old: ask for another mail")
