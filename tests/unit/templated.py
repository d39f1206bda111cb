"""Templates of the tests, made by other programs' libraries, and what becomes of them."""

import io
import json
import re
import zipfile
from collections.abc import Mapping
from typing import Any

import docx
import openpyxl

from bounded_contexts.documents.adapters.engines.rendering import Rendering, target_of
from bounded_contexts.documents.adapters.templates.filling import Manner, fill, inspected
from bounded_contexts.documents.domain.rendering.limits import RenderLimits
from bounded_contexts.documents.domain.rendering.variables import Variable

W = 'xmlns:w="http://schemas.openxmlformats.org/wordprocessingml/2006/main"'


def letter(*paragraphs: "str | list[str]", table: list[list[str]] | None = None) -> bytes:
    """A DOCX file: a paragraph is a text, or a list of runs, every second of which is bold."""
    document = docx.Document()
    for each in paragraphs:
        paragraph = document.add_paragraph()
        for number, text in enumerate([each] if isinstance(each, str) else each):
            paragraph.add_run(text).bold = True if number % 2 else None
    if table:
        made = document.add_table(len(table), len(table[0]))
        for row, texts in zip(made.rows, table, strict=True):
            for cell, text in zip(row.cells, texts, strict=True):
                cell.text = text
    return saved(document)


def book(**sheets: list[list[Any]]) -> Any:
    made: Any = openpyxl.Workbook()
    del made[made.sheetnames[0]]
    for name, rows in sheets.items():
        sheet = made.create_sheet(name)
        for row in rows:
            sheet.append(row)
    return made


def saved(document: Any) -> bytes:
    stream = io.BytesIO()
    document.save(stream)
    return stream.getvalue()


def filled(
    template: bytes, data: object, manner: Manner | None = None, limits: RenderLimits | None = None
) -> tuple[bytes, Rendering]:
    rendering = Rendering(limits or RenderLimits())
    written = json.dumps(data).encode()
    target = target_of(kind_of(template))
    return b"".join(fill(template, written, target, rendering, manner or Manner())), rendering


def word_of(template: bytes, data: object) -> Any:
    return docx.Document(io.BytesIO(filled(template, data)[0]))


def texts(document: Any) -> list[str]:
    return [paragraph.text for paragraph in document.paragraphs]


def cells(table: Any) -> list[list[str]]:
    return [[cell.text for cell in row.cells] for row in table.rows]


def parts_of(package: bytes) -> dict[str, bytes]:
    with zipfile.ZipFile(io.BytesIO(package)) as archive:
        return {name: archive.read(name) for name in archive.namelist()}


def repacked(package: bytes, changes: Mapping[str, str | tuple[str, str]]) -> bytes:
    """The package with parts put in, or with what a pattern finds in one replaced."""
    parts = {name: data.decode("latin-1") for name, data in parts_of(package).items()}
    for name, change in changes.items():
        if isinstance(change, str):
            parts[name] = change
        else:
            assert re.search(change[0], parts[name]), change
            parts[name] = re.sub(change[0], change[1].replace("\\", "\\\\"), parts[name], count=1)
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, text in parts.items():
            archive.writestr(name, text.encode("latin-1"))
    return stream.getvalue()


def with_body(package: bytes, xml: str) -> bytes:
    return repacked(package, {"word/document.xml": (r"<w:body>", f"<w:body>{xml}")})


def related(kind: str, target: str, *, external: bool = False, part: str = "word/_rels/document.xml.rels") -> Any:
    own = "http://schemas.openxmlformats.org/officeDocument/2006/relationships"
    mode = ' TargetMode="External"' if external else ""
    row = f'<Relationship Id="rIdX" Type="{own}/{kind}" Target="{target}"{mode}/></Relationships>'
    return {part: (r"</Relationships>", row)}


def kind_of(template: bytes) -> str:
    return inspected(template, RenderLimits())[0]


def variables_of(template: bytes) -> list[Variable]:
    return inspected(template, RenderLimits())[1]
