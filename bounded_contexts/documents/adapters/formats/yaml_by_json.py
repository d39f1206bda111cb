"""The quick way from YAML's tree to values: through the JSON that the parser writes of it, where that says the same."""

import re
from decimal import Decimal
from typing import Any, Final

import msgspec
import ryml

from bounded_contexts.documents.adapters.formats.conversion import Conversion
from bounded_contexts.documents.adapters.formats.json import KINDS as JSON_KINDS
from bounded_contexts.documents.adapters.formats.yaml_directives import silent
from bounded_contexts.documents.domain.values import Single

# What the parser's JSON does not say as it is: properties of nodes, merge keys, further documents; and what it takes for text.
# They are looked for where one of their marks is.
_MARKS: Final = (b"<<", b"? ", b"?\n", b"?\t", b"?\r", b"-\t", b"---", b"...")
_SIGNS: Final = {  # that are marks where they begin something
    **{
        sign: re.compile(rb"%b(?<=[\s\[{,:-]%b)" % (re.escape(sign), re.escape(sign)))
        for sign in (b"&", b"*", b"!", b"@", b"`")
    },
    b"%": re.compile(rb"%(?<=\n%)"),
}
_PROPERTIES = re.compile(rb"(?:^|[\s\[{,:-])(?:[&*]\S|[!@`]|<<\s*:|\?\s|-\t)|^(?:---|\.\.\.|%)", re.MULTILINE)
# Texts in that JSON that may have been plain scalars of another meaning, and the plain scalars that become such texts: where
# there are none of them, the texts were quoted and are what they seem.
_BEGIN: Final = rb"[\s,\[{:](?<!\w:)"
_END: Final = rb"(?=[ \t]*(?:[\r\n,\]}:#]|$))"
_NUMBER: Final = rb"[-+]?(?:\.[0-9]+|[0-9]+(?:\.[0-9]*)?)(?:[eE][-+]?[0-9]+)?|0o[0-7]+|0x[0-9a-fA-F]+"
_WORD: Final = rb"~|null|N(?:ull|ULL)|true|T(?:rue|RUE)|false|F(?:alse|ALSE)|[-+]?\.(?:inf|Inf|INF)|\.(?:nan|NaN|NAN)"
_COLON: Final = rb":(?=[\s,\[\]{}]|$)"
_ZERO: Final = (rb'"[-+]?0[0-9oxeE]', rb"[-+]?0[0-9oxeE][0-9a-fA-F.+-]*" + _END)
_OTHERS: Final = (
    (rb'"(?:~|N(?:ull|ULL)|T(?:rue|RUE)|F(?:alse|ALSE))"', rb"(?:~|N(?:ull|ULL)|T(?:rue|RUE)|F(?:alse|ALSE))" + _END),
    (rb'"[-+]?\.(?:inf|nan|I|N)', rb"[-+]?\.?(?:[iI]nf|INF|infinity|[nN]a[nN]|NAN)" + _END),
    (  # keys
        rb'"(?:[-+.0-9][^"]*|true|false|null|)"\s*:',
        rb"(?:(?:%b|%b)(?:[ \t]*%b|\s*[,}])|%b)" % (_WORD, _NUMBER, _COLON, _COLON),
    ),
)
_MISSAID: Final = tuple((re.compile(said), re.compile(_BEGIN + meant)) for said, meant in (_ZERO, *_OTHERS))
# What is found wherever those are, and much quicker than they.
_OTHERS_SAID = re.compile(rb'"(?:%b)' % b"|".join([said[1:] for said, _ in _OTHERS]))
_ZERO_MEANT = re.compile(rb"0[0-9oxeE](?<=[\s,\[{:+-]0.)")
_RENAMED = re.compile(rb'"[-+]?\.(?:inf|nan)"\s*:')  # keys, quoted or not
_MINUS_ZERO = re.compile(rb"(?:^|[\s\[,:])-0(?:[,\s\]}]|$)")
_decode = msgspec.json.Decoder(float_hook=Decimal).decode


def by_json(tree: Any, source: bytes, conversion: Conversion) -> Single | None:
    """Return the document, or None when the tree has to be walked, because the JSON may say something else."""
    source = b"\n" + source
    if _has_properties(source):
        return None
    try:
        text = _json(tree, 2 * len(source))
        if _is_missaid(text, source):
            return None
        value = _decode(text)
        again = msgspec.json.encode(value)
    except (msgspec.DecodeError, RecursionError, ArithmeticError, ryml.ExceptionBasic, UnicodeError):
        return None
    if conversion.options.duplicates != "last" and again.count(b":") != text.count(b":"):
        return None
    return Single(value, JSON_KINDS)


def _json(tree: Any, size: int) -> bytes:
    """Return the JSON that the parser writes of its tree. Not by `emit_json`, which never frees its text."""
    buffer = bytearray(size)
    with silent():
        try:
            return bytes(ryml.emit_json_in_place(tree, buffer))
        except IndexError:
            return bytes(ryml.emit_json_in_place(tree, bytearray(ryml.compute_json_length(tree))))


def _has_properties(source: bytes) -> bool:
    may_have = any(mark in source for mark in _MARKS) or any(
        sign in source and begins.search(source) for sign, begins in _SIGNS.items()
    )
    return may_have and _PROPERTIES.search(source) is not None


def _is_missaid(text: bytes, source: bytes) -> bool:
    """Return whether the JSON may say a text where the source has something else, or otherwise."""
    of_zero, *others = _MISSAID
    if of_zero[0].search(text) and _ZERO_MEANT.search(source) and of_zero[1].search(source):
        return True
    if _OTHERS_SAID.search(text) and any(said.search(text) and meant.search(source) for said, meant in others):
        return True
    if (b".inf" in text or b".nan" in text) and _RENAMED.search(text):
        return True
    return b"-0" in text and _MINUS_ZERO.search(text) is not None
