"""PDFs that others have made: looked through before anything else reads them, their pages as forms of a PDF of ours.

Of a page its operators are taken and what they name (resources); its links, notes, scripts and files stay where they are."""

import io
import zlib
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import lru_cache
from hashlib import sha256
from typing import Any, Final

from pypdf import PageObject, PdfReader
from pypdf.generic import (
    ArrayObject,
    ByteStringObject,
    DictionaryObject,
    IndirectObject,
    StreamObject,
    TextStringObject,
)
from reportlab.pdfbase import pdfdoc

from bounded_contexts.documents.adapters.engines.pdf_file import PdfFile
from bounded_contexts.documents.domain.errors import TooLarge, Unreadable, Unwritable

PAGES: Final = 2  # one for the first page of a document, one for all others
OPERATORS: Final = 16 << 20  # bytes of a page's own, unpacked
OBJECTS: Final = 20_000
SIDES: Final = (72.0, 14_400.0)  # points
KEPT: Final = 4
_RUNS: Final = ("/JS", "/JavaScript", "/XFA", "/EmbeddedFiles", "/AF", "/RichMediaContent")
_ACTIONS: Final = (
    "/JavaScript",
    "/Launch",
    "/ImportData",
    "/SubmitForm",
    "/GoToR",
    "/GoToE",
    "/Rendition",
    "/RichMediaExecute",
)
_FILES: Final = ("/EmbeddedFile", "/Filespec")
_LEFT_OUT: Final = ("/Parent", "/StructParent", "/StructParents", "/Metadata", "/PieceInfo", "/OPI", "/Length")


@dataclass(frozen=True, slots=True)
class ForeignPage:
    """A page as people see it. Sides in points; `turned` is by how many quarters it is shown, with the clock."""

    page: PageObject = field(repr=False)
    box: tuple[float, float, float, float]  # left, bottom, right, top
    turned: int

    @property
    def sides(self) -> tuple[float, float]:
        """Return its width and height."""
        left, bottom, right, top = self.box
        across, up = right - left, top - bottom
        return (up, across) if self.turned % 2 else (across, up)

    def matrix(self, scale: float, height: float) -> tuple[float, ...]:
        """Return what makes it so much as large, its upper left corner in that of a paper of this height (ISO 32000-1, 8.3.4)."""
        left, bottom, right, top = self.box
        low = height - self.sides[1] * scale
        turns = {
            0: (1, 0, 0, 1, -left, -bottom),
            1: (0, -1, 1, 0, -bottom, right),
            2: (-1, 0, 0, -1, right, top),
            3: (0, 1, -1, 0, top, -left),
        }
        *linear, x, y = turns[self.turned]
        return (*[each * scale for each in linear], x * scale, y * scale + low)


@lru_cache(maxsize=KEPT)
def opened(data: bytes) -> tuple[ForeignPage, ...]:
    """Return the pages of a PDF. Raise `Unwritable` for what is none or does more than show pages, `Unreadable` for one that is
    encrypted, `TooLarge`."""
    if not data.startswith(b"%PDF-"):
        raise Unwritable("bad_pdf", "a letterhead is a PDF")
    try:
        return _looked_through(PdfReader(io.BytesIO(data)))
    except (Unwritable, Unreadable, TooLarge):
        raise
    except Exception:  # the library has many ways to say no
        raise Unwritable("bad_pdf", "a PDF cannot be read") from None


def _looked_through(reader: PdfReader) -> tuple[ForeignPage, ...]:
    if reader.is_encrypted:
        raise Unreadable("encrypted", "a PDF that is encrypted is not taken")
    for each in _objects(reader):
        _is_harmless(each)
    if len(reader.pages) > PAGES:
        raise TooLarge("letterhead_pages", PAGES)
    pages = tuple([_page(each) for each in reader.pages])
    if not pages:
        raise Unwritable("bad_pdf", "a PDF has no page")
    return pages


def _objects(reader: PdfReader) -> Iterator[DictionaryObject]:
    """Yield all dictionaries and streams that something leads to, each once. Raise `TooLarge`."""
    waiting: list[Any] = [reader.trailer]
    known: set[tuple[int, int]] = set()
    count = 0
    while waiting:
        each = waiting.pop()
        if isinstance(each, IndirectObject):
            if (each.idnum, each.generation) in known:
                continue
            known.add((each.idnum, each.generation))
            each = each.get_object()
        count += 1
        if count > OBJECTS * 10 or len(known) > OBJECTS:
            raise TooLarge("pdf_objects", OBJECTS)
        if isinstance(each, DictionaryObject):
            yield each
            waiting += [each.raw_get(key) for key in each]
        elif isinstance(each, ArrayObject):
            waiting += list(each)


def _is_harmless(found: DictionaryObject) -> None:
    is_external = isinstance(found, StreamObject) and "/F" in found
    kind, action = found.get("/Type"), found.get("/S")
    if is_external or kind in _FILES or action in _ACTIONS or any(name in found for name in _RUNS):
        raise Unwritable("not_allowed_part", "a PDF that runs something or has other files in it is not taken")


def _page(page: PageObject) -> ForeignPage:
    left, bottom, right, top = (float(each) for each in page.cropbox)
    found = ForeignPage(page, (left, bottom, right, top), int(page.rotation) // 90 % 4)
    if not all(SIDES[0] <= side <= SIDES[1] for side in found.sides):
        raise Unwritable("bad_pdf", "a page is 1 to 200 inches wide and high")
    if len(_operators(page)) > OPERATORS:
        raise TooLarge("page_operators", OPERATORS)
    return found


def _operators(page: PageObject) -> bytes:
    contents = page.get_contents()
    return contents.get_data() if contents is not None else b""


class Importing:
    """Brings pages into one PDF, and what they name once."""

    def __init__(self, file: PdfFile, data: bytes) -> None:
        self._file = file
        self._key = sha256(data).hexdigest()[:24]
        self._known: dict[str, pdfdoc.PDFObjectReference] = {}

    def form(self, found: ForeignPage, matrix: tuple[float, ...]) -> "Imported":
        """Return a page as a form."""
        page = found.page
        packed = zlib.compress(_operators(page))
        head = [
            b"/Type /XObject /Subtype /Form /FormType 1 /Filter /FlateDecode",
            b"/BBox [%s]" % _numbers(found.box),
            b"/Matrix [%s]" % _numbers(matrix),
        ]
        head += [
            name.encode() + b" " + self.written(page.raw_get(name)) for name in ("/Resources", "/Group") if name in page
        ]
        return Imported(self, stream=(b" ".join(head), packed))

    def written(self, value: Any) -> bytes:
        """Return a value as it stands in the file; what it refers to follows."""
        match value:
            case IndirectObject():
                return self._reference(value)
            case DictionaryObject():
                rows = [_name(key) + b" " + self.written(value.raw_get(key)) for key in value if key not in _LEFT_OUT]
                return b"<< " + b" ".join(rows) + b" >>"
            case ArrayObject():
                return b"[" + b" ".join([self.written(each) for each in value]) + b"]"
            case TextStringObject() | ByteStringObject():
                return b"<" + bytes(self._file.encrypt.encode(value.original_bytes)).hex().encode() + b">"
            case None:  # what leads nowhere
                return b"null"
        return _plain(value)

    def _reference(self, value: IndirectObject) -> bytes:
        name = f"{self._key}-{value.idnum}-{value.generation}"
        if name not in self._known:
            self._known[name] = self._file.Reference(Imported(self, value), name)
        return bytes(self._known[name].format(self._file))


class Imported(pdfdoc.PDFObject):
    """An object of another file, which is written when ours is."""

    def __init__(
        self, importing: Importing, value: IndirectObject | None = None, stream: tuple[bytes, bytes] | None = None
    ) -> None:
        self._importing, self._value, self._stream = importing, value, stream

    def format(self, document: Any) -> bytes:
        """Return it as the library writes objects."""
        head, content = self._stream or (b"", b"")
        if self._value is not None:
            found: Any = self._value.get_object()
            written = self._importing.written(found)
            if not isinstance(found, StreamObject):
                return written
            head, content = written.removeprefix(b"<<").removesuffix(b">>"), found._data
        content = bytes(document.encrypt.encode(content))
        return b"<< %s /Length %d >>\nstream\n%s\nendstream\n" % (head.strip(), len(content), content)


def _numbers(numbers: tuple[float, ...]) -> bytes:
    return " ".join([f"{each:.6f}".rstrip("0").rstrip(".") for each in numbers]).encode()


def _name(key: Any) -> bytes:
    return _plain(key)


def _plain(value: Any) -> bytes:
    out = io.BytesIO()
    value.write_to_stream(out)
    return out.getvalue()
