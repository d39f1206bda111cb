"""ReportLab's canvas with what the layout draws, in few operators."""

import hashlib
import io
from typing import Any, Final

from reportlab.lib.utils import ImageReader
from reportlab.pdfbase.pdfdoc import PDFString
from reportlab.pdfgen.canvas import Canvas

from bounded_contexts.documents.adapters.engines.lines import Line, Piece
from bounded_contexts.documents.domain.errors import Unwritable
from bounded_contexts.documents.domain.rendering.blocks import Align, Image, Meta, Page

UNDERLINE: Final = 0.12  # of the size, below the base line
STRIKE: Final = 0.3


class Sheets:
    """The pages of one PDF. Coordinates in points from the lower left corner."""

    def __init__(self, meta: Meta) -> None:
        self._buffer = io.BytesIO()
        # invariant: no clock and no chance gets into the file
        canvas: Any = Canvas(self._buffer, invariant=1, pageCompression=1)
        self._canvas = canvas
        self._canvas.setTitle(meta.title)
        self._canvas.setAuthor(meta.author)
        self._canvas.setSubject(meta.subject)
        self._canvas.setKeywords(", ".join(meta.keywords))
        self._canvas.setCreator("Headwater")
        self._canvas.setProducer("Headwater")
        digits = "".join([each for each in meta.created or "" if each.isdigit()])[:14]
        if len(digits) == 14:
            self._canvas.setDateFormatter(lambda *_: f"D:{digits}Z")
        self._canvas._doc.Catalog.Lang = PDFString(meta.language)
        self._images: set[str] = set()
        self._outline_level = -1
        self.in_form = False
        self.silent = False  # only links are placed

    def begin(self, page: Page) -> None:
        """Begin a page of this size."""
        self._canvas.setPageSize((page.width, page.height))

    def end(self) -> None:
        """End the page."""
        self._canvas.showPage()

    def done(self) -> bytes:
        """Return the file."""
        self._canvas.save()
        return self._buffer.getvalue()

    def outline(self, title: str, level: int, top: float) -> None:
        """Add an entry that leads here; levels from 0, none is left out."""
        self._outline_level = min(level, self._outline_level + 1)
        key = f"h{self._canvas.getPageNumber()}-{round(top, 2)}"
        self._canvas.bookmarkHorizontal(key, 0, top)
        self._canvas.addOutlineEntry(title, key, self._outline_level)
        self._canvas.showOutline()

    def line(self, line: Line, x: float, y: float, width: float, align: Align) -> None:
        """Draw a line of text whose base line is at y."""
        room, stretch = width - line.width, 0.0
        if align == "right":
            x += room
        elif align == "center":
            x += room / 2
        elif align == "justify" and not line.ends and room > 0:
            blanks = sum([piece.text.count(" ") for piece in line.pieces])
            stretch = room / blanks if blanks else 0.0
        for piece in line.pieces if stretch else _together(line.pieces):
            across = piece.width
            if stretch:
                across += stretch * piece.text.count(" ")  # a piece is a word or the white space between two
            self._piece(piece, x, y, across)
            x += across

    def _piece(self, piece: Piece, x: float, y: float, across: float) -> None:
        style = piece.style
        if piece.link and not self.in_form:
            size = style.size
            self._canvas.linkURL(piece.link, (x, y - size * 0.25, x + across, y + size * 0.9), relative=0)
        if self.silent:
            return
        if piece.text.strip():
            doc, font = self._canvas._doc, piece.face.font
            shown = [
                f"{font.getSubsetInternalName(subset, doc)} {_n(style.size)} Tf ({self._canvas._escape(text)}) Tj"
                for subset, text in font.splitString(piece.text, doc)
            ]
            self._code(f"BT {_rgb(style.color)} rg {_n(x)} {_n(y)} Td {' '.join(shown)} ET")
        self._under(piece, x, y, across)

    def _under(self, piece: Piece, x: float, y: float, across: float) -> None:
        style = piece.style
        for wanted, height in ((style.underline, -UNDERLINE), (style.strike, STRIKE)):
            if wanted:
                self.rule(x, y + height * style.size, across, style.color, style.size / 20)

    def rule(self, x: float, y: float, width: float, color: str, thickness: float) -> None:
        """Draw a horizontal line."""
        self._code(f"{_rgb(color)} RG {_n(thickness)} w {_n(x)} {_n(y)} m {_n(x + width)} {_n(y)} l S")

    def box(self, x: float, y: float, width: float, height: float, color: str) -> None:
        """Fill a rectangle whose lower left corner is at x, y."""
        self._code(f"{_rgb(color)} rg {_n(x)} {_n(y)} {_n(width)} {_n(height)} re f")

    def image(self, image: Image, x: float, y: float) -> None:
        """Draw an image; the same one is in the file once. Raise `Unwritable` for what cannot be decoded."""
        name = f"image-{hashlib.sha256(image.data).hexdigest()[:24]}-{_n(image.width)}-{_n(image.height)}"
        if name not in self._images:
            self._define(name, image)
        if self.silent:
            return
        self._canvas.saveState()
        self._canvas.translate(x, y)
        self._canvas.doForm(name)
        self._canvas.restoreState()

    def _define(self, name: str, image: Image) -> None:
        try:
            reader: Any = ImageReader(io.BytesIO(image.data))
            reader.getRGBData()
        except Exception:  # the decoder has many ways to say no
            raise Unwritable("bad_image", "an image cannot be decoded") from None
        self._images.add(name)
        self._canvas.beginForm(name, 0, 0, image.width, image.height)
        self._canvas.drawImage(reader, 0, 0, image.width, image.height, mask="auto")
        self._canvas.endForm()

    def place_form(self, name: str) -> None:
        """Put here what will be drawn at the end, by this name."""
        self._canvas.doForm(name)

    def begin_form(self, name: str, page: Page) -> None:
        """Draw from now on what `place_form` has put."""
        self.in_form = True
        self._canvas.beginForm(name, 0, 0, page.width, page.height)

    def end_form(self) -> None:
        """End what was begun."""
        self._canvas.endForm()
        self.in_form = False

    def _code(self, operators: str) -> None:
        if not self.silent:
            self._canvas._code.append(operators)


def _together(pieces: list[Piece]) -> list[Piece]:
    """Join neighbours of one style, face and link: fewer operators, and one area that leads to a link."""
    if len(pieces) < 2:
        return pieces
    joined = [pieces[0]]
    for piece in pieces[1:]:
        last = joined[-1]
        if piece.style is last.style and piece.face is last.face and piece.link == last.link:
            joined[-1] = Piece(last.text + piece.text, last.style, last.face, last.width + piece.width, last.link)
        else:
            joined.append(piece)
    return joined


def _n(number: float) -> str:
    return f"{number:.2f}".rstrip("0").rstrip(".")


def _rgb(color: str) -> str:
    return " ".join([_n(int(color[at : at + 2], 16) / 255) for at in (1, 3, 5)])
