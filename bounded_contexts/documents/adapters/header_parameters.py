"""What stands behind the value of a header, `; name=value`, in time that grows with its length (RFC 9110, 5.6.6; RFC 8187)."""

import re
from collections.abc import Iterator
from typing import Final
from urllib.parse import unquote

# Tried where the one before has ended, never further on: what no quote closes is looked through once.
PARAMETER: Final = re.compile(
    r"""[ \t]*;[ \t]*(?:([!#$%&'*+.^_`|~0-9A-Za-z-]+)[ \t]*=[ \t]*(?:"((?:[^"\\]|\\.)*)"|([^\s;"]*))[ \t]*(?=;|$))?""",
    re.DOTALL,
)
ESCAPED: Final = re.compile(r"\\(.)", re.DOTALL)
CHARSETS: Final = ("utf-8", "iso-8859-1")


def parameters_of(value: str) -> dict[str, str]:
    """Return the parameters by their names, in lower case; of two of one name the first. What cannot be read ends them."""
    found: dict[str, str] = {}
    for name, text in _written(value):
        found.setdefault(name, text)
    return found


def _written(value: str) -> Iterator[tuple[str, str]]:
    start = value.find(";")
    while start >= 0 and (match := PARAMETER.match(value, start)):
        name, quoted, plain = match.groups()
        start = match.end()
        if name:
            yield name.lower(), ESCAPED.sub(r"\1", quoted) if quoted is not None else plain


def extended(text: str) -> str | None:
    """Return what `charset'language'%C3%A4` means; None where it means nothing."""
    charset, _, rest = text.partition("'")
    _, has_language, encoded = rest.partition("'")
    if not has_language or charset.lower() not in CHARSETS:
        return None
    return unquote(encoded, charset, "replace")
