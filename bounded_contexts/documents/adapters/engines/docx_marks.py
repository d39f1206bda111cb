"""Marks of pages in WordprocessingML: shapes that stand on the paper, whatever the text does."""

import io
from dataclasses import dataclass, field
from typing import Final
from xml.sax.saxutils import escape

from PIL import Image as Raster

from bounded_contexts.documents.adapters.engines import stamps
from bounded_contexts.documents.adapters.engines.docx_parts import DRAWING, Relations, fonts_of
from bounded_contexts.documents.adapters.engines.lines import Breaker
from bounded_contexts.documents.domain.rendering.blocks import Image, Page
from bounded_contexts.documents.domain.rendering.marks import Box, Mark, Pages, box_of

EMU: Final = 12_700  # English metric units of a point
FIRST: Final = 1_000_000  # ids of shapes, above those of the text's drawings
_SHAPE: Final = "http://schemas.microsoft.com/office/word/2010/wordprocessingShape"
_CHOICE: Final = (
    '<mc:AlternateContent xmlns:mc="http://schemas.openxmlformats.org/markup-compatibility/2006">'
    f'<mc:Choice xmlns:wps="{_SHAPE}" Requires="wps">'
)


@dataclass(slots=True)
class Shapes:
    """Makes shapes of marks."""

    marks: tuple[Mark, ...]
    _count: int = 0
    _breaker: Breaker = field(default_factory=Breaker)

    def paragraph(self, pages: Pages, page: Page, relations: Relations) -> str:
        """Return a paragraph of no height that holds the shapes of these pages; nothing where there are none."""
        shapes = "".join([self._shape(mark, page, relations) for mark in self.marks if mark.pages == pages])
        flat = '<w:pPr><w:spacing w:before="0" w:after="0" w:line="20" w:lineRule="exact"/></w:pPr>'
        return f"<w:p>{flat}{shapes}</w:p>" if shapes else ""

    def _shape(self, mark: Mark, page: Page, relations: Relations) -> str:
        self._count += 1
        box = box_of(mark, page, *stamps.size_of(mark, self._breaker))
        if mark.text:
            return (
                f"<w:r>{_CHOICE}{self._anchored(mark, box, _text(mark, box))}</mc:Choice></mc:AlternateContent></w:r>"
            )
        image = mark.image or _colored(mark.color)
        return f"<w:r>{self._anchored(mark, box, self._picture(mark, box, relations.blip(image)))}</w:r>"

    def _anchored(self, mark: Mark, box: Box, inner: str) -> str:
        behind = 0 if mark.kind == "stamp" else 1
        extent = f'cx="{_emu(box.width)}" cy="{_emu(box.height)}"'
        return (
            '<w:drawing><wp:anchor distT="0" distB="0" distL="0" distR="0" simplePos="0" '
            f'relativeHeight="{self._count}" behindDoc="{behind}" locked="0" layoutInCell="1" allowOverlap="1">'
            '<wp:simplePos x="0" y="0"/>'
            f'<wp:positionH relativeFrom="page"><wp:posOffset>{_emu(box.x)}</wp:posOffset></wp:positionH>'
            f'<wp:positionV relativeFrom="page"><wp:posOffset>{_emu(box.y)}</wp:posOffset></wp:positionV>'
            f'<wp:extent {extent}/><wp:wrapNone/><wp:docPr id="{FIRST + self._count}" name="{mark.kind} {self._count}"/>'
            f"<a:graphic>{inner}</a:graphic></wp:anchor></w:drawing>"
        )

    def _picture(self, mark: Mark, box: Box, blip: str) -> str:
        named = f'id="{FIRST + self._count}" name="{mark.kind} {self._count}"'
        return (
            f'<a:graphicData uri="{DRAWING}/picture"><pic:pic><pic:nvPicPr><pic:cNvPr {named}/><pic:cNvPicPr/>'
            f"</pic:nvPicPr><pic:blipFill>{blip}<a:stretch><a:fillRect/></a:stretch></pic:blipFill>"
            f"<pic:spPr>{_geometry(mark, box)}</pic:spPr></pic:pic></a:graphicData>"
        )


def _text(mark: Mark, box: Box) -> str:
    color = mark.color[1:]
    fill = f'<a:solidFill><a:srgbClr val="{color}"/></a:solidFill>' if mark.has_border else "<a:noFill/>"
    look = f'<w:rPr>{fonts_of("sans")}<w:b/><w:color w:val="{color}"/><w:sz w:val="{round(mark.size * 2)}"/></w:rPr>'
    return (
        f'<a:graphicData uri="{_SHAPE}"><wps:wsp><wps:cNvSpPr txBox="1"/><wps:spPr>{_geometry(mark, box)}<a:noFill/>'
        f'<a:ln w="{_emu(stamps.LINE)}">{fill}</a:ln></wps:spPr><wps:txbx><w:txbxContent><w:p><w:pPr>'
        f'<w:spacing w:before="0" w:after="0"/><w:jc w:val="center"/></w:pPr><w:r>{look}<w:t xml:space="preserve">'
        f"{escape(mark.text)}</w:t></w:r></w:p></w:txbxContent></wps:txbx>"
        '<wps:bodyPr wrap="none" lIns="0" tIns="0" rIns="0" bIns="0" anchor="ctr"/></wps:wsp></a:graphicData>'
    )


def _geometry(mark: Mark, box: Box) -> str:
    turn = f' rot="{round(-mark.angle * 60_000) % 21_600_000}"' if mark.angle else ""
    extent = f'cx="{_emu(box.width)}" cy="{_emu(box.height)}"'
    return (
        f'<a:xfrm{turn}><a:off x="0" y="0"/><a:ext {extent}/></a:xfrm><a:prstGeom prst="rect"><a:avLst/></a:prstGeom>'
    )


def _colored(color: str) -> Image:
    """One dot of a colour, which is stretched."""
    out = io.BytesIO()
    Raster.new("RGB", (1, 1), color).save(out, "PNG")
    return Image(out.getvalue(), "image/png", 1.0, 1.0, "")


def _emu(length: float) -> int:
    return round(length * EMU)
