"""Tables as people read them: in Markdown (GitHub Flavored Markdown, 4.10) and in HTML. They are written only.

Cells are texts: nothing in one is taken for markup."""

import re
from collections.abc import Iterator, Sequence
from html import escape
from typing import BinaryIO, Final

from bounded_contexts.documents.adapters.formats.conversion import Conversion, Format, encoded
from bounded_contexts.documents.adapters.formats.tables import Cells, flat_rows
from bounded_contexts.documents.domain.errors import Unreadable, Unwritable
from bounded_contexts.documents.domain.values import Document

KINDS: Final = frozenset({"string"})
_MARKUP = re.compile(r"[\\`*_\[\]<>|~&:@]")  # colons and at signs: addresses become links by themselves
_EDGE = re.compile(r"^[ \t]+|[ \t]+$")
_BREAK = re.compile(r"\r\n|\r|\n")
_FORBIDDEN = re.compile("[\x00-\x08\x0b\x0e-\x1f\x7f]")  # as characters of HTML, however they are written
_HEAD: Final = (
    '<!DOCTYPE html>\n<html><head><meta charset="{}"><title>Table</title>'
    "<style>td{{white-space:pre-wrap}}</style></head><body>\n<table>\n"
)


def _read(_: BinaryIO, __: Conversion) -> Document:
    raise Unreadable("written_only", "tables for people are written, not read")


def write_markdown(document: Document, conversion: Conversion) -> Iterator[bytes]:
    """Write one table."""
    return encoded(_markdown(document, conversion), conversion)


def _markdown(document: Document, conversion: Conversion) -> Iterator[str]:
    table = flat_rows(document, conversion, Cells(conversion))
    if table.columns:
        yield _row([_cell(name) for name in table.columns])
        yield _row(["---"] * len(table.columns))
    for rows in table.batches:
        yield "".join([_row([_cell(cell) for cell in row]) for row in rows])


def _row(cells: Sequence[str]) -> str:
    return f"| {' | '.join(cells)} |\n"


def _cell(text: str) -> str:
    _check(text)
    text = _MARKUP.sub(lambda match: f"\\{match[0]}", text)
    text = _EDGE.sub(lambda match: "".join([f"&#{ord(character)};" for character in match[0]]), text)
    return _BREAK.sub("<br>", text)


def write_html(document: Document, conversion: Conversion) -> Iterator[bytes]:
    """Write a page of one table."""
    return encoded(_html(document, conversion), conversion)


def _html(document: Document, conversion: Conversion) -> Iterator[str]:
    table = flat_rows(document, conversion, Cells(conversion))
    yield _HEAD.format(escape(conversion.options.output_charset))
    yield f"<thead>{_html_row(table.columns, 'th')}</thead>\n<tbody>\n"
    for rows in table.batches:
        yield "".join([f"{_html_row(row, 'td')}\n" for row in rows])
    yield "</tbody>\n</table>\n</body></html>\n"


def _html_row(cells: Sequence[str], tag: str) -> str:
    for cell in cells:
        _check(cell)
    inner = [f"<{tag}>{escape(cell).replace(chr(13), '&#13;')}</{tag}>" for cell in cells]
    return f"<tr>{''.join(inner)}</tr>"


def _check(text: str) -> None:
    if _FORBIDDEN.search(text):
        raise Unwritable("bad_character", "a page has no such character; `lossless` has a way")


MARKDOWN: Final = Format(
    name="markdown",
    title="Markdown table",
    media_type="text/markdown",
    other_media_types=("text/x-markdown",),
    extensions=("md", "markdown"),
    kinds=KINDS,
    read=_read,
    write=write_markdown,
    streams_in=False,
    streams_out=True,
    is_read=False,
)
HTML: Final = Format(
    name="html",
    title="HTML table",
    media_type="text/html",
    other_media_types=(),
    extensions=("html", "htm"),
    kinds=KINDS,
    read=_read,
    write=write_html,
    streams_in=False,
    streams_out=True,
    is_read=False,
)
