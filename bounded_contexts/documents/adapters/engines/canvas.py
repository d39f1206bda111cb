"""ReportLab's canvas with what the layout draws, in few operators."""

import hashlib
import io
import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from functools import lru_cache
from typing import TYPE_CHECKING, Any, Final

from reportlab.lib.utils import ImageReader
from reportlab.pdfbase.pdfdoc import xObjectName
from reportlab.pdfgen.canvas import Canvas

from bounded_contexts.documents.adapters.engines import pdf_metadata, pdf_vectors
from bounded_contexts.documents.adapters.engines.fonts import Face
from bounded_contexts.documents.adapters.engines.lines import Line, Piece
from bounded_contexts.documents.adapters.engines.pdf_file import PdfFile
from bounded_contexts.documents.domain.errors import Unwritable
from bounded_contexts.documents.domain.rendering.blocks import Align, Anchor, Image, Meta, Page, Rule, Watermark

if TYPE_CHECKING:  # reading PDFs takes 13 MB, which documents without a letterhead do without
    from bounded_contexts.documents.adapters.engines.pdf_pages import ForeignPage, Importing

UNDERLINE: Final = 0.12  # of the size, below the base line
STRIKE: Final = 0.3
_ESCAPED: Final = re.compile(r"[\\()]")
_ESCAPES: Final = str.maketrans({each: f"\\{each}" for each in "\\()"})
RISE: Final = {"sub": -0.2, "super": 0.5}  # of the size that they are drawn in


class Sheets:
    """The pages of one PDF. Coordinates in points from the lower left corner."""

    def __init__(self, meta: Meta) -> None:
        # invariant: no clock and no chance gets into the file
        canvas: Any = Canvas(io.BytesIO(), invariant=1, pageCompression=1)
        self._file = canvas._doc = PdfFile()
        self._canvas = canvas
        self._meta = meta
        self._images: set[str] = set()
        self._fonts: dict[Face, str] = {}
        self._imports: dict[bytes, Importing] = {}
        self._outline_level = -1
        self._number, self._height = 0, 0.0
        self.entries: list[Anchor] = []
        self._coming: list[Anchor] = []
        self.in_form = False
        self.silent = False  # only links are placed

    def begin(self, page: Page, number: int) -> None:
        """Begin a page of this size."""
        self._number, self._height = number, page.height
        self._canvas.setPageSize((page.width, page.height))

    def clear(self) -> None:
        """Take away what is on the page so far."""
        self._canvas._code.clear()
        self._canvas._annotationrefs.clear()

    def end(self) -> None:
        """End the page."""
        self._canvas.showPage()
        self._file.write_complete()

    def done(self) -> Iterator[bytes]:
        """Yield the file."""
        pdf_metadata.describe(self._file, self._meta)
        self._canvas.save()
        self._file.Catalog.Metadata = None  # it is in the file
        yield from self._file.pieces()

    def close(self) -> None:
        """Forget the file. It may be closed again."""
        self._file.close()

    def anchor(self, anchor: Anchor) -> None:
        """Let what is drawn next be what leads to this."""
        self._coming.append(anchor)

    def arrive(self, top: float) -> None:
        """Set the anchors of what begins here. Headings are in the outline, where no level is left out."""
        coming, self._coming = self._coming, []
        for anchor in coming:
            self.entries.append(replace(anchor, page=self._number))
            key = f"anchor-{anchor.number}"
            self._canvas.bookmarkHorizontal(key, 0, top)
            if anchor.name is not None:
                self._canvas.bookmarkHorizontal(f"id-{anchor.name}", 0, top)
            if anchor.kind == "heading":
                self._outline_level = min(anchor.level - 1, self._outline_level + 1)
                self._canvas.addOutlineEntry(anchor.text, key, self._outline_level)
                self._canvas.showOutline()

    def leads_to(self, number: int, x: float, y: float, width: float, height: float) -> None:
        """Make an area lead to an anchor."""
        self._canvas.linkRect("", f"anchor-{number}", (x, y, x + width, y + height), relative=1)

    def draw(self, operators: str) -> None:
        """Draw with operators of PDF (ISO 32000-1, 8.5), between a save and a restore of the state."""
        if self._coming:
            self.arrive(self._height)
        self._code(f"q {operators} Q")

    @contextmanager
    def turned(self, x: float, y: float, angle: float) -> Iterator[None]:
        """Draw with the corner of all coordinates at x, y, turned against the clock by degrees."""
        if self._coming:
            self.arrive(y)
        self._canvas.saveState()
        self._canvas.translate(x, y)
        if angle:
            self._canvas.rotate(angle)
        yield
        self._canvas.restoreState()

    def line(self, line: Line, x: float, y: float, width: float, align: Align) -> None:
        """Draw a line of text whose base line is at y."""
        if self._coming:
            self.arrive(y + max([piece.style.size for piece in line.pieces], default=0.0))
        room, stretch = width - line.width, 0.0
        if align == "right":
            x += room
        elif align == "center":
            x += room / 2
        elif align == "justify" and not line.ends and room > 0:
            blanks = sum([piece.text.count(" ") for piece in line.pieces])
            stretch = room / blanks if blanks else 0.0
        for piece in line.pieces if stretch or len(line.pieces) == 1 else _together(line.pieces):
            across = piece.width
            if stretch:
                across += stretch * piece.text.count(" ")  # a piece is a word or the white space between two
            self._piece(piece, x, y, across)
            x += across

    def _piece(self, piece: Piece, x: float, y: float, across: float) -> None:
        style = piece.style
        if piece.link and not self.in_form:
            self._link(piece.link, (x, y - style.size * 0.25, x + across, y + style.size * 0.9))
        if self.silent:
            return
        if style.script != "normal":
            y += RISE[style.script] * style.size
        if piece.text.strip():
            shown = self._shown(piece.text, piece.face, style.size)
            self._canvas._code.append(f"BT {rgb(style.color)} rg {x:.2f} {y:.2f} Td {shown} ET")
        if style.underline or style.strike:
            self._under(piece, x, y, across)

    def _link(self, link: str, area: tuple[float, float, float, float]) -> None:
        if link.startswith("#"):
            self._canvas.linkRect("", f"id-{link[1:]}", area, relative=1)
        else:
            self._canvas.linkURL(link, area, relative=1)

    def _shown(self, text: str, face: Face, size: float) -> str:
        doc, font = self._canvas._doc, face.font
        if text.isascii():  # the first part of every font has these at their own places
            escaped = text.translate(_ESCAPES) if _ESCAPED.search(text) else text
            return f"{self._fonts.get(face) or self._first_part(face)} {size:g} Tf ({escaped}) Tj"
        return " ".join(
            [
                f"{font.getSubsetInternalName(subset, doc)} {size:g} Tf ({self._canvas._escape(part)}) Tj"
                for subset, part in font.splitString(text, doc)
            ]
        )

    def _first_part(self, face: Face) -> str:
        face.font.splitString("a", self._canvas._doc)
        name = self._fonts[face] = face.font.getSubsetInternalName(0, self._canvas._doc)
        return name

    def _under(self, piece: Piece, x: float, y: float, across: float) -> None:
        style = piece.style
        for wanted, height in ((style.underline, -UNDERLINE), (style.strike, STRIKE)):
            if wanted:
                self.rule(x, y + height * style.size, across, style.color, style.size / 20)

    def watermark(self, mark: Watermark, line: Line, page: Page) -> None:
        """Draw a line of text across the page."""
        self._canvas.saveState()
        self._canvas.setFillAlpha(mark.opacity)
        self._canvas.translate(page.width / 2, page.height / 2)
        self._canvas.rotate(mark.angle)
        size = line.pieces[0].style.size if line.pieces else 0.0
        self.line(line, -line.width / 2, -size / 3, line.width, "left")
        self._canvas.restoreState()

    def rule(self, x: float, y: float, width: float, color: str, thickness: float) -> None:
        """Draw a horizontal line."""
        if self._coming:
            self.arrive(y)
        self._code(f"{rgb(color)} RG {thickness:.2f} w {x:.2f} {y:.2f} m {x + width:.2f} {y:.2f} l S")

    def frame(self, x: float, y: float, width: float, height: float, line: Rule) -> None:
        """Draw a rectangle whose lower left corner is at x, y."""
        if self._coming:
            self.arrive(y + height)
        area = f"{x:.2f} {y:.2f} {width:.2f} {height:.2f} re S"
        self._code(f"{rgb(line.color)} RG {line.thickness:.2f} w {area}")

    def box(self, x: float, y: float, width: float, height: float, color: str) -> None:
        """Fill a rectangle whose lower left corner is at x, y."""
        if self._coming:
            self.arrive(y + height)
        self._code(f"{rgb(color)} rg {x:.2f} {y:.2f} {width:.2f} {height:.2f} re f")

    def image(self, image: Image, x: float, y: float) -> None:
        """Draw an image; the same one is in the file once. Raise `Unwritable` for what cannot be decoded."""
        if self._coming:
            self.arrive(y + image.height)
        name = self.define(image)
        if self.silent:
            return
        self._canvas.saveState()
        self._canvas.translate(x, y)
        self._canvas.doForm(name)
        self._canvas.restoreState()

    def define(self, image: Image) -> str:
        """Put an image into the file, and return its name there. Raise `Unwritable` for what cannot be decoded."""
        name = f"image-{hashlib.sha256(image.data).hexdigest()[:24]}-{image.width:.2f}-{image.height:.2f}"
        if name not in self._images:
            self._define(name, image)
        return name

    def _define(self, name: str, image: Image) -> None:
        shapes = pdf_vectors.shapes_of(image.vector) if image.vector else None
        if shapes is not None:
            self._images.add(name)
            self._canvas.beginForm(name, 0, 0, image.width, image.height)
            pdf_vectors.draw(self._canvas, shapes, image.width, image.height)
            self._canvas.endForm()
            return
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
        self._file.reserve(name)
        self._canvas.doForm(name)

    def import_form(self, name: str, data: bytes, page: "ForeignPage", matrix: tuple[float, ...]) -> None:
        """Let a page of another file be what `place_form` has put."""
        if data not in self._imports:
            from bounded_contexts.documents.adapters.engines.pdf_pages import Importing

            self._imports[data] = Importing(self._file, data)
        self._file.Reference(self._imports[data].form(page, matrix), xObjectName(name))
        self._file.write_complete()

    def begin_form(self, name: str, page: Page) -> None:
        """Draw from now on what `place_form` has put."""
        self.in_form = True
        self._canvas.beginForm(name, 0, 0, page.width, page.height)

    def end_form(self) -> None:
        """End what was begun."""
        self._canvas.endForm()
        self._file.write_complete()
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


@lru_cache(maxsize=256)
def rgb(color: str) -> str:
    """Return a colour as operands of PDF."""
    return " ".join([f"{int(color[at : at + 2], 16) / 255:.3g}" for at in (1, 3, 5)])
