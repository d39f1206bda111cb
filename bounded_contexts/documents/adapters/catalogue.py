"""Every format there is, and how one is found by its name, media type, file name or first bytes."""

import re
from collections.abc import Callable
from typing import Final

from bounded_contexts.documents.adapters.formats import (
    delimited,
    json,
    msgpack,
    properties,
    read_later,
    shown_tables,
    toml,
    xlsx_read,
)
from bounded_contexts.documents.adapters.formats.conversion import MARKS, Format
from bounded_contexts.documents.domain.errors import Unreadable

FORMATS: Final[dict[str, Format]] = {
    each.name: each
    for each in (
        json.JSON,
        json.NDJSON,
        read_later.XML,
        delimited.CSV,
        delimited.TSV,
        toml.TOML,
        read_later.YAML,
        msgpack.MSGPACK,
        xlsx_read.XLSX,
        properties.PROPERTIES,
        read_later.AVRO,
        shown_tables.MARKDOWN,
        shown_tables.HTML,
    )
}
BY_MEDIA_TYPE: Final = {
    media_type: each for each in FORMATS.values() for media_type in (each.media_type, *each.other_media_types)
}
# In this order; what two could be is asked for.
LOOKS: Final[tuple[tuple[str, Callable[[str, str], object]], ...]] = (
    ("xml", lambda text, _: text.startswith("<")),
    (
        "ndjson",
        lambda text, first: (
            text.startswith("{") and re.match(r"\s*\{", text[len(first) :]) and first.rstrip()[-1] == "}"
        ),
    ),
    ("json", lambda text, _: text.startswith(("{", "["))),
    ("yaml", lambda text, first: text.startswith(("---", "%YAML")) or re.match(r"(- |[\w-]+:(\s|$))", first)),
    ("tsv", lambda _, first: "\t" in first),
    ("csv", lambda _, first: re.search("[,;]", first)),
)
BY_EXTENSION: Final = {extension: each for each in FORMATS.values() for extension in each.extensions}


def named(name: str) -> Format:
    """Return the format. Raise `Unreadable` for a name that there is none of."""
    if (found := FORMATS.get(name.lower())) is None:
        raise Unreadable("unknown_format", f"{name[:40]!r} is none of {', '.join(FORMATS)}")
    return found


def of_file(name: str) -> Format:
    """Return the format that the file's name ends with. Raise `Unreadable` for an end that tells nothing."""
    extension = name.rpartition(".")[2].lower()
    if "." not in name or (found := BY_EXTENSION.get(extension)) is None:
        raise Unreadable(
            "unknown_format", f"the end of {name[-40:]!r} names no format: say which of {', '.join(FORMATS)}"
        )
    return found


def of_content(head: bytes) -> Format:
    """Return the format that a document with these first bytes has, as far as one can tell. Raise `Unreadable` if not."""
    if head.startswith(b"PK\x03\x04"):
        return FORMATS["xlsx"]
    if head.startswith(read_later.MAGIC):
        return FORMATS["avro"]
    if head[:1] and (0x80 <= head[0] <= 0x9F or 0xDC <= head[0] <= 0xDF):  # a map or list; no text begins so
        return FORMATS["msgpack"]
    text = _text(head).lstrip("\ufeff \t\r\n")
    first = text.partition("\n")[0]
    for name, looks_so in LOOKS:
        if looks_so(text, first):
            return FORMATS[name]
    raise Unreadable("unknown_format", f"the first bytes look like no format: say which of {', '.join(FORMATS)}")


def _text(head: bytes) -> str:
    charset = next((charset for mark, charset in MARKS if head.startswith(mark)), "utf-8")
    return head.decode(charset, errors="ignore")
