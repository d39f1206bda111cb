"""Names and texts of XML: which characters they have, and how others are escaped. `_x0020_` is a space in a name, `_x_` by itself
is the empty name."""

import re
import sys
from typing import Final

SCHEMA: Final = "http://www.w3.org/2001/XMLSchema-instance"
RESERVED: Final = ("http://www.w3.org/XML/1998/namespace", "http://www.w3.org/2000/xmlns/")
EMPTY: Final = "_x_"
# XML 1.0, fifth edition, 2.3; without the colon.
_START: Final = (
    "A-Z_a-z\u00c0-\u00d6\u00d8-\u00f6\u00f8-\u02ff\u0370-\u037d\u037f-\u1fff\u200c\u200d\u2070-\u218f\u2c00-\u2fef"
    "\u3001-\ud7ff\uf900-\ufdcf\ufdf0-\ufffd\U00010000-\U000effff"
)
_PART: Final = _START + "\\-.0-9\u00b7\u0300-\u036f\u203f\u2040"
NAME: Final = re.compile(f"[{_START}][{_PART}]*(?::[{_START}][{_PART}]*)?")
PREFIX: Final = re.compile(f"(?!xml(?:ns)?$)[{_START}][{_PART}]*")
FORBIDDEN: Final = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
_ESCAPED = re.compile(r"_x([0-9A-F]{4,6})_")
_UNNAMED = re.compile(f"[^{_PART}]|_(?=x[0-9A-F]{{4,6}}_)")
_BEGIN = re.compile(f"[{_START}]")


def escaped_name(key: str) -> str:
    """Return a name that `unescaped_name` makes the key of."""
    if not key:
        return EMPTY
    if key == EMPTY:
        return f"_x{ord('_'):04X}_{key[1:]}"
    return (
        _UNNAMED.sub(_escaped, key) if _BEGIN.match(key) else f"_x{ord(key[0]):04X}_{_UNNAMED.sub(_escaped, key[1:])}"
    )


def _escaped(match: "re.Match[str]") -> str:
    return f"_x{ord(match[0]):04X}_"


def unescaped_name(name: str) -> str:
    """Return the key that a name stands for."""
    if "_x" not in name:
        return name
    return "" if name == EMPTY else _ESCAPED.sub(_character, name)


def _character(match: "re.Match[str]") -> str:
    code = int(match[1], 16)
    return match[0] if code > sys.maxunicode or 0xD800 <= code < 0xE000 else chr(code)


def escaped_text(text: str, *, quoted: bool = False) -> str:
    """Return the text as it stands in an element, or `quoted` in an attribute."""
    text = text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;").replace("\r", "&#13;")
    return text.replace('"', "&quot;").replace("\n", "&#10;").replace("\t", "&#9;") if quoted else text
