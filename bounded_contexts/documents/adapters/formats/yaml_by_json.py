"""The quick way from YAML's tree to values: through the JSON that the parser writes of it, where that says the same."""

import re
from decimal import Decimal
from typing import Any, Final

import msgspec
import ryml

from bounded_contexts.documents.adapters.formats.conversion import Conversion
from bounded_contexts.documents.adapters.formats.json import KINDS as JSON_KINDS
from bounded_contexts.documents.domain.values import Single

# What the parser's JSON does not say as it is: properties of nodes, merge keys, further documents; and what it takes for text.
# They are looked for where one of their marks is.
_MARKS: Final = (b"&", b"*", b"!", b"@", b"`", b"<<", b"? ", b"?\n", b"?\t", b"?\r", b"-\t", b"---", b"...", b"%")
_PROPERTIES = re.compile(rb"(?:^|[\s\[{,:-])(?:[&*]\S|[!@`]|<<\s*:|\?\s|-\t)|^(?:---|\.\.\.|%)", re.MULTILINE)
# Texts in that JSON that may have been plain scalars of another meaning, and the plain scalars that become such texts: where
# there are none of them, the texts were quoted and are what they seem.
_BEGIN: Final = rb"[\s,\[{:](?<!\w:)"
_END: Final = rb"(?=[ \t]*(?:[\r\n,\]}:#]|$))"
_NUMBER: Final = rb"[-+]?(?:\.[0-9]+|[0-9]+(?:\.[0-9]*)?)(?:[eE][-+]?[0-9]+)?|0o[0-7]+|0x[0-9a-fA-F]+"
_WORD: Final = rb"~|null|N(?:ull|ULL)|true|T(?:rue|RUE)|false|F(?:alse|ALSE)|[-+]?\.(?:inf|Inf|INF)|\.(?:nan|NaN|NAN)"
_COLON: Final = rb":(?=[\s,\[\]{}]|$)"
_MISSAID: Final = tuple(
    (re.compile(said), re.compile(_BEGIN + meant))
    for said, meant in (
        (r'"[-+]?0[0-9oxeE]', rb"[-+]?0[0-9oxeE][0-9a-fA-F.+-]*" + _END),
        (
            r'"(?:~|N(?:ull|ULL)|T(?:rue|RUE)|F(?:alse|ALSE))"',
            rb"(?:~|N(?:ull|ULL)|T(?:rue|RUE)|F(?:alse|ALSE))" + _END,
        ),
        (r'"[-+]?\.(?:inf|nan|I|N)', rb"[-+]?\.?(?:[iI]nf|INF|infinity|[nN]a[nN]|NAN)" + _END),
        (  # keys
            r'"(?:[-+.0-9][^"]*|true|false|null|)"\s*:',
            rb"(?:(?:%b|%b)(?:[ \t]*%b|\s*[,}])|%b)" % (_WORD, _NUMBER, _COLON, _COLON),
        ),
    )
)
_RENAMED = re.compile(r'"[-+]?\.(?:inf|nan)"\s*:')  # keys, quoted or not
_MINUS_ZERO = re.compile(r"(?:^|[\s\[,:])-0(?:[,\s\]}]|$)")
_decode = msgspec.json.Decoder(float_hook=Decimal).decode


def by_json(tree: Any, source: bytes, conversion: Conversion) -> Single | None:
    """Return the document, or None when the tree has to be walked, because the JSON may say something else."""
    if any(mark in source for mark in _MARKS) and _PROPERTIES.search(source):
        return None
    try:
        text = ryml.emit_json(tree)
        if any(said.search(text) and meant.search(b"\n" + source) for said, meant in _MISSAID):
            return None
        if _RENAMED.search(text) or ("-0" in text and _MINUS_ZERO.search(text)):
            return None
        value = _decode(text)
        again = msgspec.json.encode(value)
    except (msgspec.DecodeError, RecursionError, ArithmeticError, ryml.ExceptionBasic, UnicodeError):
        return None
    if conversion.options.duplicates != "last" and again.count(b":") != text.count(":"):
        return None
    return Single(value, JSON_KINDS)
