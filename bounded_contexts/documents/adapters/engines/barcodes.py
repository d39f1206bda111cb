"""Barcodes as modules, as drawings and as images."""

import io
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import groupby
from typing import Final

import pymupdf_fonts
import segno
from PIL import Image as Raster
from PIL import ImageDraw, ImageFont
from pystrich.code128 import Code128Encoder
from pystrich.datamatrix import DataMatrixData, DataMatrixEncoder
from pystrich.exceptions import PyStrichError
from pystrich.pdf417 import PDF417Data, PDF417Encoder

from bounded_contexts.documents.adapters.engines.drawing import Area, Drawing, Label
from bounded_contexts.documents.adapters.engines.fonts import FILES
from bounded_contexts.documents.domain.errors import Unwritable
from bounded_contexts.documents.domain.rendering.blocks import Barcode, Image

Row = tuple[int, ...]  # dark modules as 1
BLACK: Final = "#000000"
DOTS: Final = 300 / 72  # of a point, in an image: what printers of labels have
SIDE: Final = 4_000  # dots of an image, at most
TEXT: Final = 10.0  # points of the readable text, less for low codes
_LEFT: Final = (
    "0001101",
    "0011001",
    "0010011",
    "0111101",
    "0100011",
    "0110001",
    "0101111",
    "0111011",
    "0110111",
    "0001011",
)
_RIGHT: Final = tuple("".join(["10"[int(each)] for each in code]) for code in _LEFT)
_EVEN: Final = tuple(code[::-1] for code in _RIGHT)
_PARITY: Final = ("000000", "001011", "001101", "001110", "010011", "011001", "011100", "010101", "010110", "011010")
_WIDE: Final = ("00110", "10001", "01001", "11000", "00101", "10100", "01100", "00011", "10010", "01010")


@dataclass(frozen=True, slots=True)
class Symbol:
    """A barcode's modules, the quiet zone round them; one row stands for bars of any height."""

    rows: tuple[Row, ...]
    text: str  # below it; empty for none


def symbol(code: Barcode) -> Symbol:
    """Return the modules of a code. Raise `Unwritable` for more than it holds."""
    try:
        rows = _rows(code)
    except (ValueError, PyStrichError):  # the libraries name their limits in their own words
        raise Unwritable("bad_barcode", f"more than a code of {code.symbology} holds") from None
    side = (0,) * code.quiet
    wide = [(*side, *row, *side) for row in rows]
    if len(rows) > 1:
        blank = [(0,) * len(wide[0])] * code.quiet
        wide = [*blank, *wide, *blank]
    return Symbol(tuple(wide), code.value if code.show_text else "")


def drawing(code: Barcode) -> Drawing:
    """Return the code as areas. Raise `Unwritable`."""
    made = symbol(code)
    size = min(TEXT, code.height / 4) if made.text else 0.0
    room = size * 1.3
    high = (code.height - room) / len(made.rows)
    wide = code.width / len(made.rows[0])
    shapes: list[Area | Label] = [
        Area(first * wide, code.height - (number + 1) * high, count * wide, high, BLACK)
        for number, row in enumerate(made.rows)
        for first, count in _runs(row)
    ]
    if made.text:
        shapes.append(Label(made.text, code.width / 2, size * 0.3, size, anchor="center"))
    return Drawing(code.width, code.height, tuple(shapes), code.alt)


def as_image(code: Barcode) -> Image:
    """Return the code as a PNG, whose modules are whole dots. Raise `Unwritable`."""
    made = symbol(code)
    across, down = len(made.rows[0]), len(made.rows)
    wide = max(1, min(round(code.width * DOTS / across), SIDE // across))
    per_point = wide * across / code.width
    size = min(TEXT, code.height / 4) if made.text else 0.0
    high = max(1, min(round((code.height - size * 1.3) * per_point / down), SIDE // down))
    raster = Raster.new("L", (wide * across, high * down + round(size * 1.3 * per_point)), 255)
    draw = ImageDraw.Draw(raster)
    for number, row in enumerate(made.rows):
        for first, count in _runs(row):
            draw.rectangle((first * wide, number * high, (first + count) * wide - 1, (number + 1) * high - 1), fill=0)
    if made.text:
        _write(draw, made.text, raster.width / 2, high * down, size * per_point)
    out = io.BytesIO()
    raster.save(out, "PNG", optimize=False)
    return Image(out.getvalue(), "image/png", code.width, code.height, code.alt, code.align)


def _write(draw: ImageDraw.ImageDraw, text: str, x: float, y: float, size: float) -> None:
    font = ImageFont.truetype(io.BytesIO(pymupdf_fonts.myfont(FILES["sans", False, False])), size)
    draw.text((x, y), text, fill=0, font=font, anchor="ma")


def _runs(row: Row) -> Iterator[tuple[int, int]]:
    """Yield where dark modules begin that stand together, and how many they are."""
    at = 0
    for dark, run in groupby(row):
        count = len(list(run))
        if dark:
            yield at, count
        at += count


def _rows(code: Barcode) -> list[Row]:
    value = code.value
    match code.symbology:
        case "qr":
            made = segno.make_qr(value, error=code.error or "M", boost_error=False)
            return [tuple(row) for row in made.matrix]
        case "datamatrix":
            data = DataMatrixEncoder(DataMatrixData(value, auto_encoding=True), quiet_zone=0)
            return [tuple([cell or 0 for cell in row]) for row in data.init_renderer().matrix]
        case "pdf417":
            level = None if code.error is None else int(code.error)
            text = PDF417Data(value, auto_encoding=True)
            return [tuple(row) for row in PDF417Encoder(text, ecl=level, row_height=1).matrix]  # type: ignore[arg-type]
        case "code128":
            return [_bits(Code128Encoder(value).bars)]
        case "itf":
            return [_bits(_interleaved(value))]
        case "ean8":
            return [_bits(f"101{_of(_LEFT, value[:4])}01010{_of(_RIGHT, value[4:])}101")]
        case "ean13" | "upca":
            value = value.rjust(13, "0")
            left = [
                (_LEFT, _EVEN)[int(odd)][int(each)]
                for odd, each in zip(_PARITY[int(value[0])], value[1:7], strict=True)
            ]
            return [_bits(f"101{''.join(left)}01010{_of(_RIGHT, value[7:])}101")]


def _of(codes: tuple[str, ...], digits: str) -> str:
    return "".join([codes[int(each)] for each in digits])


def _interleaved(digits: str) -> str:
    """Of two digits each, one is in the widths of the bars and one in those of the spaces; wide is three modules."""
    bits = ["1010"]
    for bars, spaces in zip(digits[::2], digits[1::2], strict=True):
        for bar, space in zip(_WIDE[int(bars)], _WIDE[int(spaces)], strict=True):
            bits += ["111" if bar == "1" else "1", "000" if space == "1" else "0"]
    return "".join([*bits, "11101"])


def _bits(text: str) -> Row:
    return tuple([int(each) for each in text])
