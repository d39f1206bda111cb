"""What can go wrong, as far as every context agrees on it.

HeadwaterError
├── Refused           a rule says no; asking again does not help
│   ├── Malformed       … because of the form it is asked in
│   ├── Forbidden     … because of who asks
│   ├── NotFound      … because it is not there, or the asker may not know that it is
│   ├── Taken         … because somebody else has it
│   ├── Stale         … because it has changed since the asker saw it
│   ├── Gone          … because it was there and is not any more
│   ├── Exhausted     … because the asker has too much of it already
│   ├── Unsupported   … because it is in a form that is not understood here
│   └── NotAcceptable … because there is no form of the answer that the asker understands
├── Conflict          somebody else wrote first; asking again may help
└── Unavailable       something this process depends on is away; asking again later helps
"""

from collections.abc import Mapping
from typing import Any


class HeadwaterError(Exception):
    """`code` is a stable snake_case word from docs/errors.md that clients may branch on; `detail` is for people."""

    def __init__(self, code: str, detail: str = "") -> None:
        super().__init__(code, detail)
        self.code = code
        self.detail = detail
        self.more: Mapping[str, Any] = {}  # what else a client needs

    def __str__(self) -> str:
        return f"{self.code}: {self.detail}" if self.detail else self.code


class Refused(HeadwaterError):
    """A rule of the domain says no."""


class Malformed(Refused):
    """It is not asked as the protocol prescribes."""


class Forbidden(Refused):
    """The asker may not do this."""


class NotFound(Refused):
    """There is no such thing as far as the asker may know."""


class Taken(Refused):
    """What was asked for is somebody else's, or there is one already."""


class Stale(Refused):
    """It is not in the state that the asker has named."""


class Gone(Refused):
    """It was there, and will not be again."""


class Exhausted(Refused):
    """The asker has as much of it as anybody may have; some of that has to end first."""


class Unsupported(Refused):
    """What was sent is in a form that nobody here understands."""


class NotAcceptable(Refused):
    """The answer cannot be given in any form that the asker takes."""


class Conflict(HeadwaterError):
    """The stream is not at the version the decision was made on."""


class Unavailable(HeadwaterError):
    """A broker, database or registry did not answer in time. Whether it took effect is not known."""
