"""Email addresses, as people write them and as they are compared."""

import re

from shared_kernel.errors import Refused

LIMIT = 254  # characters, RFC 5321 4.5.3.1.3 less the angle brackets
LOCAL_LIMIT = 64
# What nearly every server accepts and every mail header can carry as it stands; no quoted local parts, no literals.
ADDRESS = re.compile(
    r"[A-Za-z0-9.!#$%&'*+/=?^_`{|}~-]+@[A-Za-z0-9](?:[A-Za-z0-9-]{0,61}[A-Za-z0-9])?"
    r"(?:\.[A-Za-z0-9](?:[A-Za-z0-9-]{0,61}[A-Za-z0-9])?)+"
)


def checked(text: str) -> str:
    """Return the address as it is written to. Raise `Refused` for what cannot be one."""
    address = text.strip()
    local = address.partition("@")[0]
    is_dotted_well = not local.startswith(".") and not local.endswith(".") and ".." not in local
    is_plain = "=?" not in address  # the beginning of an encoded word, which mail programs decode (RFC 2047)
    if (
        len(address) > LIMIT
        or len(local) > LOCAL_LIMIT
        or not ADDRESS.fullmatch(address)
        or not (is_dotted_well and is_plain)
    ):
        raise Refused("invalid_email", f"an address like ada@example.org, of at most {LIMIT} characters")
    return address


def compared(address: str) -> str:
    """Return the address as it is compared: no provider in use tells letters' cases apart, people do not either."""
    return address.strip().casefold()
