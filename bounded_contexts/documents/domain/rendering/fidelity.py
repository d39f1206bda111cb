"""What each target does with each block: by itself, as something like it, or not at all. docs/rendering.md has the table."""

from typing import Final, Literal

Target = Literal["pdf", "docx", "xlsx"]
Fidelity = Literal["native", "approximated", "dropped"]
TARGETS: Final[tuple[Target, ...]] = ("pdf", "docx", "xlsx")
N, A, D = "native", "approximated", "dropped"
FIDELITY: Final[dict[str, tuple[str, str, str, str]]] = {
    # block: PDF, DOCX, XLSX, what is other
    "heading": (N, N, A, "XLSX: a row in its style; PDF has outline entries"),
    "paragraph": (N, N, A, "XLSX: one cell"),
    "runs": (N, N, N, "bold, italic, underline, strike, colour, size"),
    "link": (N, N, A, "XLSX: one link in a cell, the first"),
    "field in body": (N, N, D, "page, pages; XLSX has them in headers and footers only"),
    "list": (N, N, A, "XLSX: indented texts with their marks"),
    "widows and orphans": (N, N, D, "neither the first nor the last line of a paragraph stands alone on a page"),
    "table": (N, N, N, ""),
    "table.repeatHeader": (N, N, N, "XLSX: on each printed page, for a sheet's first table"),
    "table.repeatFooter": (N, A, A, "DOCX, XLSX: once, behind the last row"),
    "table.headerRows": (N, N, N, "XLSX: all of them on each printed page"),
    "table spans": (N, N, N, "colSpan, rowSpan"),
    "table.groupBy": (N, N, N, ""),
    "table.carried": (N, D, D, "totals at the end and the beginning of pages, which programs break as they like"),
    "table.breakRows": (N, N, D, ""),
    "blocks in a cell": (N, N, A, "XLSX: their texts, one below the other in the cell"),
    "table.formats": (N, N, N, "styles by condition are evaluated when rendered"),
    "formula": (A, A, N, "PDF, DOCX: its value"),
    "column.width": (N, A, A, "DOCX: auto is left to the program; XLSX: rounded to characters, auto by the first rows"),
    "numberFormat": (N, N, N, "XLSX: values stay numbers and dates, with the locale's format of the cell"),
    "image": (
        N,
        N,
        N,
        "PNG, JPEG, WebP, SVG; SVG: vectors in PDF unless it has gradients or clips, with a PNG beside in DOCX, a PNG in XLSX",
    ),
    "rule": (N, N, A, "XLSX: a border below a cell"),
    "spacer": (N, N, A, "XLSX: an empty row of this height"),
    "pageBreak": (N, N, N, ""),
    "toc": (
        N,
        N,
        A,
        "DOCX: a field that can be refreshed, with the page numbers of the PDF; XLSX: the headings' texts",
    ),
    "barcode": (N, N, N, "PDF: as areas; DOCX, XLSX: as an image of 300 dots an inch"),
    "captions": (N, N, A, "a list of tables or images; as toc"),
    "ref": (N, N, A, "page or title of an id; XLSX: always the title, as a link"),
    "footnote": (N, N, A, "XLSX: below all else on the sheet"),
    "sub, sup": (N, N, N, ""),
    "group": (N, N, N, ""),
    "group.frame": (N, N, D, "border and background; DOCX: a table of one cell"),
    "group.keepTogether": (N, A, D, "DOCX: without a frame paragraphs are kept with their next, and tables are not"),
    "columns": (N, N, A, "XLSX: one below the other"),
    "section.columns": (N, N, D, ""),
    "section.restartPageNumbers": (N, N, N, ""),
    "chart": (N, N, N, "PDF: as vectors; DOCX: with the workbook of its values; XLSX: its values on a hidden sheet"),
    "sheet": (A, A, N, "PDF, DOCX: a table of its cells"),
    "comment": (D, D, N, "of cells and columns"),
    "section": (N, N, A, "XLSX: a new sheet with its own page"),
    "quote": (N, N, A, "XLSX: one cell"),
    "code": (N, N, A, "XLSX: one cell"),
    "keepWithNext": (N, N, D, ""),
    "header and footer text": (N, N, A, "XLSX: three parts of one line, without underlines of runs"),
    "first header or footer": (N, N, D, ""),
    "even header or footer": (N, N, D, ""),
    "image in header or footer": (N, N, D, ""),
    "rule or spacer in header or footer": (N, N, D, ""),
    "watermark": (N, N, A, "XLSX: an image in the header, which Excel prints and LibreOffice does not"),
    "image as watermark": (N, N, A, "XLSX: in the header, which Excel prints and LibreOffice does not"),
    "background": (N, N, D, "a colour or an image on the whole page"),
    "stamp": (N, A, D, "DOCX: on the page that the text begins or ends on; a text box in the program's font"),
    "letterhead": (N, D, D, "pages of a PDF"),
    "fonts": (N, N, A, "DOCX: in the file where they are TrueType and may be edited with; XLSX: named"),
    "attachments": (N, D, D, "PDF: such a document is tagged"),
    "metadata": (N, N, N, "PDF: as XMP too"),
    "custom properties": (N, N, N, "not in a PDF that is tagged"),
    "language": (N, N, A, "XLSX: a property of its own"),
}


def fidelity(feature: str, target: Target) -> str:
    """Return what the target does with the feature."""
    return FIDELITY[feature][TARGETS.index(target)]


def table() -> list[str]:
    """Return the lines of the table in docs/rendering.md."""
    return [
        "| Block | PDF | DOCX | XLSX | |",
        "|---|---|---|---|---|",
        *(f"| {name} | {pdf} | {docx} | {xlsx} | {says} |" for name, (pdf, docx, xlsx, says) in FIDELITY.items()),
    ]
