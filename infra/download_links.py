"""Links that let whoever has them download one thing for a while: signed, so that nobody can make one up (docs/generation.md)."""

from datetime import UTC, datetime, timedelta

from infra.opaque import OpaqueTokens
from shared_kernel.errors import Gone

LONGEST = timedelta(hours=24)  # that a link may hold: who has it is not asked who they are
PARAMETER = "link"
KIND = "link"


def seal_link(tokens: OpaqueTokens, path: str, until: datetime) -> str:
    """Return the path with what opens it until then."""
    return f"{path}?{PARAMETER}={tokens.seal(KIND, int(until.timestamp()), path)}"


def check_link(tokens: OpaqueTokens, path: str, token: str, now: datetime) -> None:
    """Return for a token that opens the path now. Raise `Refused` for one that was not given out for it, `Gone` after its
    time."""
    until = datetime.fromtimestamp(tokens.open(KIND, token, path), UTC)
    if until <= now:
        raise Gone("link_expired", f"it held until {until.isoformat()}")
