"""The packages that templates are (ECMA-376, part 2): looked at before anything is inflated, and free of all that runs,
fetches or embeds (docs/adr/0063)."""

import io
import posixpath
import re
import zipfile
import zlib
from collections.abc import Iterator
from typing import Any, Final

from lxml import etree

from bounded_contexts.documents.adapters.formats.xlsx_package import OLE, check_package
from bounded_contexts.documents.domain.errors import TooLarge, Unreadable
from bounded_contexts.documents.domain.limits import Limits
from bounded_contexts.documents.domain.rendering.fidelity import Target
from bounded_contexts.documents.domain.rendering.styles import scheme_of

INFLATED: Final = 256 << 20  # bytes of all parts together
PARSED: Final = 64 << 20  # bytes of one part that is parsed
PARTS: Final = 2_000
CONTENT_TYPES: Final = "[Content_Types].xml"
_OFFICE: Final = "application/vnd.openxmlformats-officedocument."
_MAIN: Final[dict[str, Target]] = {
    f"{_OFFICE}wordprocessingml.document.main+xml": "docx",
    f"{_OFFICE}spreadsheetml.sheet.main+xml": "xlsx",
}
_TYPES: Final = "{http://schemas.openxmlformats.org/package/2006/content-types}"
_RELATIONS: Final = "{http://schemas.openxmlformats.org/package/2006/relationships}Relationship"
_ACTIVE: Final = re.compile(
    r"macro|vba|oleobject|activex|ms-office\.(?!chart|drawing)|script|msdownload|html|rtf", re.IGNORECASE
)
# Kinds of relationships (what stands behind the last slash of their type): what none of these is may run or fetch something.
_KINDS: Final = frozenset(
    (
        "officeDocument",
        "core-properties",
        "extended-properties",
        "custom-properties",
        "thumbnail",
        "styles",
        "stylesWithEffects",
        "settings",
        "webSettings",
        "fontTable",
        "font",
        "numbering",
        "theme",
        "themeOverride",
        "header",
        "footer",
        "footnotes",
        "endnotes",
        "comments",
        "commentsExtended",
        "commentsIds",
        "commentsExtensible",
        "people",
        "person",
        "threadedComment",
        "image",
        "hdphoto",
        "hyperlink",
        "chart",
        "chartEx",
        "chartUserShapes",
        "chartStyle",
        "chartColorStyle",
        "customXml",
        "customXmlProps",
        "glossaryDocument",
        "diagramData",
        "diagramLayout",
        "diagramQuickStyle",
        "diagramColors",
        "diagramDrawing",
        "worksheet",
        "chartsheet",
        "sharedStrings",
        "calcChain",
        "drawing",
        "vmlDrawing",
        "table",
        "pivotTable",
        "pivotCacheDefinition",
        "pivotCacheRecords",
        "printerSettings",
        "sheetMetadata",
        "slicer",
        "slicerCache",
        "timeline",
        "timelineCache",
        "classificationlabels",
        "documenttasks",
        "rdRichValue",
        "rdRichValueStructure",
        "rdRichValueTypes",
        "richStyles",
        "rdarray",
        "package",
    )
)


class Package:
    """A template's parts by name. Raises `Unreadable` for what is no such template or carries what is not allowed, `TooLarge`."""

    def __init__(self, data: bytes) -> None:
        if data.startswith(OLE):
            raise Unreadable("encrypted", "the template is encrypted, or of a format before 2007")
        try:
            self._zip = zipfile.ZipFile(io.BytesIO(data))
        except (zipfile.BadZipFile, ValueError, NotImplementedError):
            raise Unreadable("bad_template", "a template is a DOCX or an XLSX file, or a document") from None
        check_package(self._zip, Limits(inflated_bytes=INFLATED))
        self._entries = {entry.filename: entry for entry in self._zip.infolist() if not entry.is_dir()}
        if len(self._entries) > PARTS:
            raise TooLarge("parts", PARTS)
        self._types = self._content_types()
        self._check_relations()
        self.target, self.main = self._main_part()

    @property
    def names(self) -> list[str]:
        """Return the names of the parts, in their order."""
        return list(self._entries)

    def type_of(self, name: str) -> str:
        """Return a part's content type, nothing where it has none."""
        return self._types.get(f"/{name}".lower()) or self._types.get(name.rpartition(".")[2].lower(), "")

    def read(self, name: str) -> bytes:
        """Return a part as it is."""
        entry = self._entries.get(name)
        if entry is None:
            raise Unreadable("bad_template", f"the package lacks {name[-40:]!r}")
        try:
            with self._zip.open(entry) as part:
                return part.read(entry.file_size)
        except (zipfile.BadZipFile, zlib.error, OSError, EOFError, ValueError, NotImplementedError):
            raise Unreadable("bad_template", f"{name[-40:]!r} cannot be inflated") from None

    def parsed(self, name: str) -> Any:
        """Return the root of a part. Comments and processing instructions are left out."""
        return parse(self.read(name), name)

    def relations(self, name: str) -> Iterator[tuple[str, str, str]]:
        """Yield id, kind and the part that it leads to, of each relation of a part to another."""
        folder, _, own = name.rpartition("/")
        path = f"{folder}/_rels/{own}.rels".lstrip("/")
        if path in self._entries:
            for each in self.parsed(path).iter(_RELATIONS):
                if each.get("TargetMode") != "External":
                    target = posixpath.normpath(posixpath.join("/", folder, each.get("Target", ""))).lstrip("/")
                    yield each.get("Id", ""), _kind(each), target

    def _content_types(self) -> dict[str, str]:
        found: dict[str, str] = {}
        for each in self.parsed(CONTENT_TYPES):
            type_ = each.get("ContentType", "")
            if _ACTIVE.search(type_):
                raise Unreadable("not_allowed_part", "a template has no macros, controls or embedded objects")
            key = each.get("PartName") if each.tag == f"{_TYPES}Override" else each.get("Extension")
            found[(key or "").lower()] = type_
        return found

    def _check_relations(self) -> None:
        for name in self._entries:
            if name.endswith(".rels"):
                for each in self.parsed(name).iter(_RELATIONS):
                    _check(each, name)

    def _main_part(self) -> tuple[Target, str]:
        for _, kind, target in self.relations(""):
            if kind == "officeDocument" and (found := _MAIN.get(self.type_of(target))):
                return found, target
        raise Unreadable("bad_template", "a template is a DOCX or an XLSX file, or a document")


def _kind(relation: Any) -> str:
    return str(relation.get("Type", "")).rpartition("/")[2]


def _check(relation: Any, name: str) -> None:
    kind, target = _kind(relation), relation.get("Target", "")
    if relation.get("TargetMode") == "External":
        if kind != "hyperlink" or not (target.startswith("#") or scheme_of(target)):
            raise Unreadable("not_allowed_part", f"{name[-60:]!r} leads outside: {kind[:40]}")
    elif kind not in _KINDS or (kind == "package" and not re.search(r"charts/_rels/[^/]+\Z", name)):
        raise Unreadable("not_allowed_part", f"{name[-60:]!r} carries what may run or fetch something: {kind[:40]}")


def parse(data: bytes, name: str) -> Any:
    """Return the root. Raise `Unreadable` for what is no XML or has a document type, `TooLarge`."""
    if len(data) > PARSED:
        raise TooLarge("part_bytes", PARSED)
    parser = etree.XMLParser(
        resolve_entities=False,
        no_network=True,
        load_dtd=False,
        huge_tree=False,
        remove_comments=True,
        remove_pis=True,
    )
    try:
        root = etree.fromstring(data, parser)
    except (etree.XMLSyntaxError, ValueError):
        raise Unreadable("bad_template", f"{name[-60:]!r} is no XML") from None
    if root.getroottree().docinfo.doctype:
        raise Unreadable("dtd_not_allowed", "a document type may not stand in a template")
    return root
