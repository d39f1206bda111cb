"""Documents of the tests, and independent readers of what becomes of them."""

import base64
import io
import json
import struct
import zipfile
import zlib
from typing import Any

import docx
import openpyxl
import pypdf
import pypdfium2
import zxingcpp
from PIL import Image

from bounded_contexts.documents.adapters.engines.rendering import Rendering, render
from bounded_contexts.documents.domain.rendering.fidelity import Target
from bounded_contexts.documents.domain.rendering.limits import RenderLimits


def png(width: int, height: int, color: bytes = b"\x20\x80\x40") -> bytes:
    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    rows = b"".join([b"\0" + color * width for _ in range(height)])
    head = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + chunk(b"IDAT", zlib.compress(rows)) + chunk(b"IEND", b"")


def uri(data: bytes, kind: str = "png") -> str:
    return f"data:image/{kind};base64,{base64.b64encode(data).decode()}"


def source(*body: Any, **more: Any) -> bytes:
    return json.dumps({"version": "1.0", "body": list(body), **more}).encode()


def rendered(data: bytes, target: Target, limits: RenderLimits | None = None) -> tuple[bytes, Rendering]:
    rendering = Rendering(limits or RenderLimits())
    return b"".join(render(data, target, rendering)), rendering


def pdf(data: bytes) -> pypdf.PdfReader:
    return pypdf.PdfReader(io.BytesIO(rendered(data, "pdf")[0]))


def pdf_text(data: bytes) -> str:
    return "\n".join([page.extract_text() for page in pdf(data).pages])


def word(data: bytes) -> Any:
    return docx.Document(io.BytesIO(rendered(data, "docx")[0]))


def book(data: bytes) -> Any:
    return openpyxl.load_workbook(io.BytesIO(rendered(data, "xlsx")[0]))


def column(data: bytes) -> list[Any]:
    sheet = book(data).worksheets[0]
    return [cell.value for cell in sheet["A"] if cell.value is not None]


def page(data: bytes, dots: int = 300) -> Image.Image:
    """The first page of the PDF, as a printer sees it."""
    drawn: Image.Image = pypdfium2.PdfDocument(rendered(data, "pdf")[0])[0].render(scale=dots / 72).to_pil()
    return drawn


def images(data: bytes, target: Target) -> list[Image.Image]:
    """The images in a package."""
    with zipfile.ZipFile(io.BytesIO(rendered(data, target)[0])) as package:
        return [Image.open(io.BytesIO(package.read(name))) for name in package.namelist() if name.endswith(".png")]


def codes(image: Image.Image) -> list[tuple[str, str]]:
    """The barcodes in an image, by kind and text."""
    return [(str(each.format), each.text) for each in zxingcpp.read_barcodes(image)]
