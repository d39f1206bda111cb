"""What a PDF says of itself: its information dictionary, and the same as XMP (ISO 16684-1)."""

from functools import partial
from html import escape
from typing import Any, Final

from reportlab.pdfbase import pdfdoc

from bounded_contexts.documents.domain.rendering.blocks import Meta
from bounded_contexts.documents.domain.rendering.properties import said

PRODUCER: Final = "Headwater"
_escaped: Final = partial(escape, quote=False)  # that of xml.sax.saxutils comes with a client of HTTP, of 6 MB
_SPACES: Final = (
    'xmlns:dc="http://purl.org/dc/elements/1.1/" xmlns:xmp="http://ns.adobe.com/xap/1.0/" '
    'xmlns:pdf="http://ns.adobe.com/pdf/1.3/" xmlns:pdfx="http://ns.adobe.com/pdfx/1.3/"'
)
_Info: Any = pdfdoc.PDFInfo  # whose types say less than its code does


class _Information(_Info):  # type: ignore[misc]
    """The library's dictionary, with properties of the document's own."""

    def __init__(self, meta: Meta) -> None:
        super().__init__()
        self.title, self.author, self.subject = meta.title, meta.author, meta.subject
        self.keywords = ", ".join(meta.keywords)
        self.creator = self.producer = PRODUCER
        self._own = {name: pdfdoc.PDFString(said(value)) for name, value in meta.properties}
        digits = "".join([each for each in meta.created or "" if each.isdigit()])[:14]
        if len(digits) == 14:
            self._dateFormatter = lambda *_: f"D:{digits}Z"

    def format(self, document: Any) -> Any:
        moment = pdfdoc.PDFDate(ts=document._timeStamp, dateFormatter=self._dateFormatter)
        texts = {
            "Title": self.title,
            "Author": self.author,
            "Producer": self.producer,
            "Creator": self.creator,
            "Subject": self.subject,
            "Keywords": self.keywords,
        }
        found: dict[str, Any] = {name: pdfdoc.PDFString(text) for name, text in texts.items()}
        found |= {"CreationDate": moment, "ModDate": moment, "Trapped": pdfdoc.PDFName(self.trapped), **self._own}
        return pdfdoc.PDFDictionary(found).format(document)


def describe(document: Any, meta: Meta) -> None:
    """Have a document of the library say what it is."""
    document.info = _Information(meta)
    document.Catalog.Lang = pdfdoc.PDFString(meta.language)
    kind = pdfdoc.PDFDictionary({"Type": pdfdoc.PDFName("Metadata"), "Subtype": pdfdoc.PDFName("XML")})
    packet = pdfdoc.PDFStream(kind, xmp(meta), filters=[])  # whoever looks for it reads no filters
    packet.dictionary["Filter"] = pdfdoc.PDFArray([])
    document.Catalog.Metadata = packet


def xmp(meta: Meta) -> bytes:
    """Return the metadata as XMP."""
    texts = {
        "dc:format": "application/pdf",
        "dc:title": _all("Alt", (meta.title,), ' xml:lang="x-default"'),
        "dc:creator": _all("Seq", (meta.author,)),
        "dc:description": _all("Alt", (meta.subject,), ' xml:lang="x-default"'),
        "dc:subject": _all("Bag", meta.keywords),
        "dc:language": _all("Bag", (meta.language,)),
        "pdf:Keywords": _escaped(", ".join(meta.keywords)),
        "pdf:Producer": PRODUCER,
        "xmp:CreatorTool": PRODUCER,
        "xmp:CreateDate": _escaped(meta.created or ""),
        **{f"pdfx:{name}": _escaped(said(value)) for name, value in meta.properties},
    }
    inner = "".join([f"<{name}>{text}</{name}>" for name, text in texts.items() if text])
    return (
        '<?xpacket begin="\ufeff" id="W5M0MpCehiHzreSzNTczkc9d"?><x:xmpmeta xmlns:x="adobe:ns:meta/">'
        '<rdf:RDF xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#">'
        f'<rdf:Description rdf:about="" {_SPACES}>{inner}</rdf:Description></rdf:RDF></x:xmpmeta><?xpacket end="r"?>\n'
    ).encode()


def _all(kind: str, texts: tuple[str, ...], attribute: str = "") -> str:
    items = "".join([f"<rdf:li{attribute}>{_escaped(text)}</rdf:li>" for text in texts if text])
    return f"<rdf:{kind}>{items}</rdf:{kind}>" if items else ""
