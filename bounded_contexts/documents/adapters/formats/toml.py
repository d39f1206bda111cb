"""TOML 1.0 by the standard library and 1.1 by tomli, which is the same parser at a later age. Both keep numbers as written."""

import re
import tomllib
from collections.abc import Iterator
from decimal import Decimal
from typing import Any, BinaryIO, Final

import tomli
import tomli_w

from bounded_contexts.documents.adapters.formats.conversion import Conversion, Format, encoded, utf8, whole
from bounded_contexts.documents.adapters.formats.tables import single
from bounded_contexts.documents.domain.errors import TooLarge, Unreadable
from bounded_contexts.documents.domain.fitting import MARK
from bounded_contexts.documents.domain.values import Document, Single, Value, in_order, written_out

KINDS: Final = frozenset(
    {"boolean", "integer", "decimal", "float", "not finite", "string", "list", "map"}
    | {"datetime", "local datetime", "offset", "date", "time"}
)
WRAPPED: Final = "items"  # the key of a document that is no map
KEY_PARTS: Final = 1_000  # of one key: tomli has this limit, and tomllib takes a time that grows with their square
_BASES = re.compile("0[box][0-9a-fA-F_]{1000}")
_AT = re.compile(r"at line (\d+), column (\d+)")


def read(source: BinaryIO, conversion: Conversion) -> Document:
    """Read one document. It is UTF-8, unless another charset is asked for: a mark of UTF-16 says what TOML may not be."""
    text = whole(utf8(source, conversion), conversion.limits.item_bytes).decode()
    if conversion.options.charset is None and conversion.losses.notes["charset"] != "utf-8":
        raise Unreadable("bad_charset", "TOML is UTF-8; name another charset if it is meant", offset=0)
    try:
        if conversion.options.toml == "1.1" or any(line.count(".") >= KEY_PARTS for line in text.splitlines()):
            value: Any = tomli.loads(text, parse_float=_number)
        if conversion.options.toml == "1.0":
            value = tomllib.loads(text, parse_float=_number)
    except RecursionError:
        raise TooLarge("depth", conversion.limits.depth) from None
    except (ValueError, ArithmeticError) as error:  # both libraries' errors are a ValueError
        why = str(error)
        at = _AT.search(why)
        line, column = (int(at[1]), int(at[2])) if at else (None, None)
        raise Unreadable("bad_toml", why.splitlines()[0].split(" (at")[0], line=line, column=column) from None
    if _BASES.search(text):
        _check_integers(value)
    return Single(value)


def _check_integers(value: Any) -> None:
    """Refuse what has more digits than a decimal integer may have; the parser has checked those of base ten only."""
    left = [value]
    while left:
        match left.pop():
            case dict(found):
                left.extend(found.values())
            case list(found):
                left.extend(found)
            case int(found):
                try:
                    written_out(found)
                except ValueError:
                    raise Unreadable("number_too_long", "an integer has too many digits") from None


def _number(text: str) -> Decimal | float:
    text = text.replace("_", "")
    return float(text) if text.lstrip("+-") in ("inf", "nan") else Decimal(text)


def write(document: Document, conversion: Conversion) -> Iterator[bytes]:
    """Write one document, which is a map; another value is wrapped into one."""
    value = single(document, conversion.limits.rows)
    fit, lossless = conversion.fitting(KINDS).fit, conversion.options.lossless
    if not isinstance(value, dict):
        if not lossless:
            conversion.losses.add(
                "wrapped", "", f"the format begins with a map: the document is at the key {WRAPPED!r}"
            )
        fitted: Value = {f"{MARK}value" if lossless else WRAPPED: fit(value)}
    else:
        fitted = fit(value)
    if conversion.options.sort_keys:
        fitted = in_order(fitted)
    inline = conversion.options.arrays == "inline"
    return encoded(_tables(fitted, ()) if inline else (tomli_w.dumps(fitted),), conversion)


def _tables(table: dict[str, Value], path: tuple[str, ...]) -> Iterator[str]:
    """Yield maps as tables, and lists of maps as values."""
    inner = {key: value for key, value in table.items() if isinstance(value, dict)}
    for key, value in table.items():
        if key not in inner:
            yield f"{_key(key)} = {_inline(value)}\n"
    for key, value in inner.items():
        here = (*path, key)
        yield f"\n[{'.'.join(map(_key, here))}]\n"
        yield from _tables(value, here)


def _inline(value: Value) -> str:
    if isinstance(value, dict):
        parts = ", ".join([f"{_key(key)} = {_inline(each)}" for key, each in value.items()])
        return f"{{ {parts} }}" if parts else "{}"
    if isinstance(value, list):
        return f"[{', '.join([_inline(each) for each in value])}]"
    return tomli_w.dumps({"k": value}).removeprefix("k = ").rstrip("\n")


def _key(key: str) -> str:
    return tomli_w.dumps({key: 0}).removesuffix(" = 0\n")


TOML: Final = Format(
    name="toml",
    title="TOML",
    media_type="application/toml",
    other_media_types=("text/toml",),
    extensions=("toml",),
    kinds=KINDS,
    read=read,
    write=write,
    streams_in=False,
    streams_out=False,
)
