"""A PDF's objects, written as soon as they are complete: pages go to disk and not into memory."""

import tempfile
from collections.abc import Iterator
from typing import Any, Final

from reportlab import rl_config
from reportlab.pdfbase import pdfdoc

rl_config.useA85 = 0  # packed streams as they are: a fifth less, and quicker
CHUNK: Final = 256 * 1024
IN_MEMORY: Final = 1 << 20  # bytes of a file that needs no disk
VERSION: Final = (1, 7)
_HEAD: Final = b"%PDF-1.7\n%\xe2\xe3\xcf\xd3\n"
_NAME: Final = "__InternalName__"  # what the library calls an object's name, on the object
_COMPLETE: Final = (pdfdoc.PDFPage, pdfdoc.PDFStream, pdfdoc.PDFFormXObject)


_Document: Any = pdfdoc.PDFDocument  # whose types say less than its code does


class PdfFile(_Document):  # type: ignore[misc]
    """The library's document, which keeps what is written by its number only. `write_complete` forgets pages and forms."""

    def __init__(self) -> None:
        self._reserved: set[str] = set()
        super().__init__(compression=1, invariant=1, pdfVersion=VERSION)
        self._out = tempfile.SpooledTemporaryFile(IN_MEMORY)  # noqa: SIM115  it is closed with this
        self._offset = 0
        self._next = 1
        self._waiting: list[int] = []
        self._add(_HEAD)

    def reserve(self, name: str) -> None:
        """Let a form be referred to before it is there."""
        internal = pdfdoc.xObjectName(name)
        if internal not in self.idToObjectNumberAndVersion:
            self.objectcounter += 1
            self.idToObjectNumberAndVersion[internal] = self.objectcounter, 0
            self.numberToId[self.objectcounter] = internal
            self.idToObject[internal] = None
            self._reserved.add(internal)

    def Reference(self, obj: Any, name: str | None = None) -> Any:  # noqa: N802  the library's name
        if name not in self._reserved:
            return super().Reference(obj, name)
        self._reserved.discard(name)
        setattr(obj, _NAME, name)
        self.idToObject[name] = obj
        self._write(self.idToObjectNumberAndVersion[name][0], name)
        return pdfdoc.PDFObjectReference(name)

    def addPage(self, page: Any) -> None:  # noqa: N802  the library's name
        name = self.thisPageName()
        super().addPage(page)
        self.Pages.pages[-1] = pdfdoc.PDFObjectReference(name)

    def write_complete(self) -> None:
        """Write what is complete: pages, forms, their operators and links. The rest waits for the end."""
        while (number := self._next) <= self.objectcounter:
            self._next += 1
            name = self.numberToId.get(number)
            if name is None or name in self._reserved:
                continue
            if _is_complete(name, self.idToObject[name]):
                self._write(number, name)
            else:
                self._waiting.append(number)

    def format(self) -> bytes:
        """Write the rest. The library calls it when all pages are there, and gets nothing to write."""
        root, info = self.Reference(self.Catalog), self.Reference(self.info)
        waiting, self._waiting = self._waiting, []
        while waiting:
            for number in waiting:
                self._write(number, self.numberToId[number])
            waiting = list(range(self._next, self.objectcounter + 1))
            self._next = self.objectcounter + 1
        rows = [b"0000000000 65535 f \n"]
        for number in range(1, self.objectcounter + 1):
            name = self.numberToId.get(number)
            rows.append(b"0000000000 00000 f \n" if name is None else b"%010d 00000 n \n" % self.idToOffset[name])
        start = self._add(b"xref\n0 %d\n%s" % (len(rows), b"".join(rows)))
        trailer = pdfdoc.PDFTrailer(startxref=start, Size=len(rows), Root=root, Info=info, ID=self.ID())
        self._add(pdfdoc.pdfdocEnc(trailer.format(self)))
        return b""

    def pieces(self) -> Iterator[bytes]:
        """Yield the file, once, when it is complete."""
        self._out.seek(0)
        while piece := self._out.read(CHUNK):
            yield piece

    def close(self) -> None:
        """Forget the file. It may be closed again."""
        self._out.close()

    def _write(self, number: int, name: str) -> None:
        found = pdfdoc.PDFIndirectObject(name, self.idToObject[name]).format(self)
        self.idToOffset[name] = self._add(found)
        self.idToObject[name] = None

    def _add(self, data: bytes) -> int:
        begin, self._offset = self._offset, self._offset + len(data)
        self._out.write(data)
        return begin


def _is_complete(name: Any, found: Any) -> bool:
    """Whether nothing is to come: a link within the document says the place that it leads to, which may be later."""
    is_link = str(name).startswith("Annot.") and not isinstance(found, pdfdoc.LinkAnnotation)
    return is_link or isinstance(found, _COMPLETE)
