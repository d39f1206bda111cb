"""Footnotes in WordprocessingML."""

from collections.abc import Iterator
from typing import Final

from bounded_contexts.documents.adapters.engines.docx_parts import HEAD, NAMESPACES

_BETWEEN: Final = (
    '<w:footnote w:type="separator" w:id="-1"><w:p><w:r><w:separator/></w:r></w:p></w:footnote>'
    '<w:footnote w:type="continuationSeparator" w:id="0"><w:p><w:r><w:continuationSeparator/></w:r></w:p></w:footnote>'
)
MARK: Final = '<w:r><w:rPr><w:vertAlign w:val="superscript"/></w:rPr><w:footnoteRef/></w:r>'


def reference(number: int, properties: str) -> str:
    """Return the mark in the text."""
    return f'<w:r>{properties}<w:footnoteReference w:id="{number}"/></w:r>'


def part(notes: dict[int, str]) -> str:
    """Return the part of all notes; `notes` are their paragraphs by number."""
    return f"{HEAD}<w:footnotes {NAMESPACES}>{_BETWEEN}{''.join(_each(notes))}</w:footnotes>"


def _each(notes: dict[int, str]) -> Iterator[str]:
    for number, paragraph in notes.items():
        yield f'<w:footnote w:id="{number}">{paragraph}</w:footnote>'
