"""Why a conversion ends: what is wrong with the input, and where it is."""

import re
from collections.abc import Mapping

from shared_kernel.errors import Refused

QUOTED = 40  # characters of the input that an error repeats at most
_LONG = re.compile(rf"[^\s'\"]{{{QUOTED + 1},}}")  # parsers repeat names, however long these are


def _cut(word: "re.Match[str]") -> str:
    return word[0][: QUOTED - 1] + "…"


class Unreadable(Refused):
    """The input is not what its format says. `more` has what is known of the place: line and column (from 1), byte offset
    (from 0), JSON Pointer, cell."""

    def __init__(
        self,
        code: str,
        detail: str,
        *,
        line: int | None = None,
        column: int | None = None,
        offset: int | None = None,
        pointer: str | None = None,
        cell: str | None = None,
    ) -> None:
        super().__init__(code, _LONG.sub(_cut, detail))
        known = {
            "line": line,
            "column": column,
            "offset": offset,
            "pointer": pointer,
            "cell": cell and _LONG.sub(_cut, cell),
        }
        self.more: Mapping[str, str | int] = {name: value for name, value in known.items() if value is not None}


class Unwritable(Refused):
    """The target format cannot hold the document at all; `pointer` says what of it, as far as that is known."""

    def __init__(self, code: str, detail: str, *, pointer: str | None = None) -> None:
        super().__init__(code, detail)
        if pointer is not None:
            self.more = {"pointer": pointer}


class TooLarge(Refused):
    """A limit on sizes was passed; `more` names the limit."""

    def __init__(self, limit: str, allowed: int) -> None:
        super().__init__("limit_exceeded", f"more than {allowed} {limit.replace('_', ' ')}")
        self.more = {"limit": limit, "allowed": allowed}


def quoted(text: str) -> str:
    """Return the text as an error may repeat it."""
    return repr(text if len(text) <= QUOTED else text[: QUOTED - 1] + "…")
