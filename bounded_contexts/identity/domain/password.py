"""What a password has to be, by NIST SP 800-63B-4 section 3.1.1: long enough, and none that everybody tries first."""

from shared_kernel.errors import Refused

SHORTEST = 10  # characters
LONGEST = 256
# The common ones of that length; an installation's own list goes through the port `Breaches`.
COMMON = frozenset(
    {
        *("1234567890", "0123456789", "12345678910", "123456789a", "1q2w3e4r5t", "qwertyuiop", "qwerty123456"),
        *("password12", "password123", "password1234", "passw0rd123", "iloveyou123", "letmein123", "welcome123"),
        *("administrator", "changeme123", "abcdefghij", "football123", "princess123", "sunshine123", "baseball123"),
    }
)


def checked(password: str, *, known: tuple[str, ...] = ()) -> str:
    """Return the password. Raise `Refused` for a short, overlong or common one, or one that is `known` of the user."""
    if not SHORTEST <= len(password) <= LONGEST:
        raise Refused("weak_password", f"{SHORTEST} to {LONGEST} characters")
    folded = password.casefold()
    if folded in COMMON or len(set(folded)) < 4:
        raise Refused("weak_password", "this is one of those that are tried first")
    if any(part and part.casefold() in (folded, folded[::-1]) for part in known):
        raise Refused("weak_password", "not your name or address")
    try:
        password.encode()
    except UnicodeEncodeError:
        raise Refused("weak_password", "lone surrogates are not text") from None
    return password
