"""Images and links that markers put into a DOCX file: parts and relations behind those that the template has."""

import posixpath
from dataclasses import replace
from hashlib import sha256
from typing import Any, Final
from xml.sax.saxutils import escape, quoteattr

from lxml import etree

from bounded_contexts.documents.adapters.engines.pictures import Pictures
from bounded_contexts.documents.adapters.templates.package import CONTENT_TYPES, Package
from bounded_contexts.documents.adapters.templates.program import Filling
from bounded_contexts.documents.domain.rendering.blocks import Image
from bounded_contexts.documents.domain.rendering.drawn import image
from bounded_contexts.documents.domain.rendering.functions import text_of, told
from bounded_contexts.documents.domain.rendering.markers import Marker
from bounded_contexts.documents.domain.rendering.styles import Styles, scheme_of
from bounded_contexts.documents.domain.rendering.texts import Texts, clean
from bounded_contexts.documents.domain.values import Value

EMU: Final = 12_700  # English metric units of a point
WIDEST: Final = 450.0  # points of an image that says no width: a page of A4 between its margins
_PACKAGE: Final = "http://schemas.openxmlformats.org/package/2006"
_OFFICE: Final = "http://schemas.openxmlformats.org/officeDocument/2006/relationships"
_DRAWING: Final = "http://schemas.openxmlformats.org/drawingml/2006"
_SPACES: Final = (
    f'xmlns:wp="{_DRAWING}/wordprocessingDrawing" xmlns:a="{_DRAWING}/main" xmlns:pic="{_DRAWING}/picture" '
    f'xmlns:r="{_OFFICE}"'
)


class Media:
    """What one filling puts into the package, by the parts that show it."""

    def __init__(self, package: Package) -> None:
        self._package = package
        self._added: dict[str, dict[tuple[str, str], str]] = {}  # ids by part, of kind and target
        self.files: dict[str, bytes] = {}

    def image(self, part: str, data: bytes, ending: str) -> str:
        """Return the id of an image in a part. It is in the package once."""
        name = f"hw-{sha256(data).hexdigest()[:24]}.{ending}"
        self.files[f"word/media/{name}"] = data
        return self._id(part, "image", f"/word/media/{name}")

    def link(self, part: str, address: str) -> str:
        """Return the id of a link in a part."""
        return self._id(part, "hyperlink", address)

    def relations(self, part: str) -> bytes:
        """Return all relations of a part. Complete once it has been written."""
        name = relations_of(part)
        root = (
            self._package.parsed(name)
            if name in self._package.names
            else etree.Element(f"{{{_PACKAGE}/relationships}}Relationships", nsmap={None: f"{_PACKAGE}/relationships"})
        )
        for (kind, target), key in self._added.get(part, {}).items():
            row = etree.SubElement(root, f"{{{_PACKAGE}/relationships}}Relationship")
            row.set("Id", key)
            row.set("Type", f"{_OFFICE}/{kind}")
            row.set("Target", target)
            if kind == "hyperlink":
                row.set("TargetMode", "External")
        return _written(root)

    def content_types(self) -> bytes:
        """Return what kinds of parts there are, those of images too."""
        root = self._package.parsed(CONTENT_TYPES)
        known = {each.get("Extension", "").lower() for each in root}
        for ending in sorted({name.rpartition(".")[2] for name in self.files} - known):
            row = etree.Element(f"{{{_PACKAGE}/content-types}}Default")
            row.set("Extension", ending)
            row.set("ContentType", f"image/{ending}")
            root.insert(0, row)
        return _written(root)

    def _id(self, part: str, kind: str, target: str) -> str:
        added = self._added.setdefault(part, {})
        return added.setdefault((kind, target), f"rIdHeadwater{len(added) + 1}")


def relations_of(part: str) -> str:
    """Return the name of the part that has a part's relations."""
    folder, name = posixpath.split(part)
    return f"{folder}/_rels/{name}.rels"


def _written(root: Any) -> bytes:
    return bytes(etree.tostring(root, xml_declaration=True, encoding="UTF-8", standalone=True))


def pictured(marker: Marker, value: Value, filling: Filling, part: str, media: Media, prefix: str) -> str:
    """Return a drawing of the image that a value is; nothing for no value. Raise `Unwritable` for what is none, `TooLarge`."""
    if value is None:
        filling.telling.warn("missing_value", "there is no image")
        return ""
    width, alt = marker.options
    wanted = {"data": text_of(value), "alt": "", **({"width": width} if width else {})}
    texts = Texts(filling.context, Styles({}), filling.telling, None)
    made = _fitting(image(wanted, {}, texts, Pictures()), bool(width))
    key = media.image(part, made.data, made.media_type.removeprefix("image/"))
    number = filling.unique()
    extent = f'cx="{round(made.width * EMU)}" cy="{round(made.height * EMU)}"'
    named = f'id="{number}" name="Image {number}" descr={quoteattr(alt)}'
    return (
        f'<{prefix}drawing><wp:inline {_SPACES} distT="0" distB="0" distL="0" distR="0"><wp:extent {extent}/>'
        f'<wp:docPr {named}/><a:graphic><a:graphicData uri="{_DRAWING}/picture"><pic:pic><pic:nvPicPr>'
        f'<pic:cNvPr {named}/><pic:cNvPicPr/></pic:nvPicPr><pic:blipFill><a:blip r:embed="{key}"/><a:stretch>'
        f'<a:fillRect/></a:stretch></pic:blipFill><pic:spPr><a:xfrm><a:off x="0" y="0"/><a:ext {extent}/></a:xfrm>'
        '<a:prstGeom prst="rect"><a:avLst/></a:prstGeom></pic:spPr></pic:pic></a:graphicData></a:graphic></wp:inline>'
        f"</{prefix}drawing>"
    )


def _fitting(made: Image, has_width: bool) -> Image:
    scale = 1.0 if has_width else min(1.0, WIDEST / made.width)
    return replace(made, width=made.width * scale, height=made.height * scale)


def linked(marker: Marker, value: Value, filling: Filling, part: str, media: Media, run: tuple[str, str]) -> str:
    """Return a link in place of the rest of its run, whose prefix and properties are given: the run ends and goes on behind
    it. What may not be linked stays a text, and is told."""
    prefix, properties = run
    address = clean(text_of(told(filling.context, value)))
    text = address if marker.shown is None else clean(text_of(told(filling.context, marker.shown(filling.context))))
    shown = f'<{prefix}t xml:space="preserve">{escape(text)}</{prefix}t>'
    if scheme_of(address) is None:
        filling.telling.warn("bad_link", "links are http, https, mailto and tel")
        return shown
    key = media.link(part, address)
    return (
        f'</{prefix}r><{prefix}hyperlink xmlns:r="{_OFFICE}" r:id="{key}"><{prefix}r>{properties}{shown}</{prefix}r>'
        f"</{prefix}hyperlink><{prefix}r>{properties}"
    )
