"""Sections in WordprocessingML: pages, columns, and the parts that headers, footers and a watermark are in."""

from collections.abc import Callable, Iterable, Iterator
from typing import Final, Literal
from xml.sax.saxutils import quoteattr

from bounded_contexts.documents.adapters.engines.docx_marks import Shapes
from bounded_contexts.documents.adapters.engines.docx_parts import HEAD, NAMESPACES, Relations
from bounded_contexts.documents.adapters.engines.fonts import FAMILIES
from bounded_contexts.documents.domain.rendering.blocks import Block, Furniture, Page, Section, Watermark, Which

EDGE: Final = 480  # twentieths of a point from the paper's edge to a header or footer
TWENTIETHS: Final = 20
_VML: Final = 'xmlns:v="urn:schemas-microsoft-com:vml" xmlns:o="urn:schemas-microsoft-com:office:office"'
_TAGS: Final = {"header": "hdr", "footer": "ftr"}
Kind = Literal["header", "footer"]
KINDS: Final[tuple[Kind, Kind]] = ("header", "footer")
_Given = tuple[Kind, tuple[Block, ...], Page | None]


class Sections:
    """Makes the properties of sections. `inner` makes blocks with the relations of their part; parts that say the same are
    one. Complete once the last section has been written."""

    def __init__(
        self,
        relations: Relations,
        watermark: Watermark | None,
        shapes: Shapes,
        inner: Callable[[Block, Relations], Iterable[str]],
    ) -> None:
        self._relations, self._watermark, self._shapes, self._inner = relations, watermark, shapes, inner
        self._known: dict[_Given, str] = {}
        # what later sections would take over
        self._begun: set[Kind] = {"header"} if watermark or shapes.marks else set()
        self.parts: dict[str, tuple[Kind, str, Relations]] = {}
        self.has_even = False

    def properties(self, section: Section) -> str:
        """Return the properties of a section, at its end."""
        references = "".join([each for kind in KINDS for each in self._references(kind, section)])
        page = section.page
        orient = ' w:orient="landscape"' if page.width > page.height else ""
        sides = "".join(
            [f' w:{side}="{_twentieths(getattr(page, side))}"' for side in ("top", "right", "bottom", "left")]
        )
        numbers = f'<w:pgNumType w:start="{section.first_number}"/>' if section.first_number is not None else ""
        columns = (
            f'<w:cols w:num="{section.columns}" w:space="{_twentieths(section.gap)}"/>' if section.columns > 1 else ""
        )
        first = "<w:titlePg/>" if "first" in section.header or "first" in section.footer else ""
        return (
            f'<w:sectPr>{references}<w:pgSz w:w="{_twentieths(page.width)}" w:h="{_twentieths(page.height)}"{orient}/>'
            f'<w:pgMar{sides} w:header="{EDGE}" w:footer="{EDGE}" w:gutter="0"/>{numbers}{columns}{first}</w:sectPr>'
        )

    def _references(self, kind: Kind, section: Section) -> Iterator[str]:
        furniture: Furniture = getattr(section, kind)
        if not furniture and kind not in self._begun:
            return
        self._begun.add(kind)
        self.has_even |= "even" in section.header or "even" in section.footer
        default = furniture.get("default", ())
        wanted: list[tuple[Which, tuple[Block, ...]]] = [("default", default)]
        if "first" in section.header or "first" in section.footer:
            wanted.append(("first", furniture.get("first", default)))
        # Always: a later section may have some, and what even pages have is one setting of all sections.
        wanted.append(("even", furniture.get("even", default)))
        for which, blocks in wanted:
            yield f'<w:{kind}Reference w:type="{which}" r:id="{self._part(kind, blocks, section.page)}"/>'

    def _part(self, kind: Kind, blocks: tuple[Block, ...], page: Page) -> str:
        paper = page if kind == "header" and self._shapes.marks else None  # which marks stand on
        if (kind, blocks, paper) not in self._known:
            own = Relations(self._relations.media)
            xml = "".join([each for block in blocks for each in self._inner(block, own)])
            if kind == "header" and self._watermark is not None:
                xml += _marked(self._watermark, len(self.parts) + 1)
            xml += self._shapes.paragraph("all", page, own) if paper else ""
            xml = xml if xml.endswith("</w:p>") else f"{xml}<w:p/>"
            name = f"{kind}{len(self.parts) + 1}"
            tag = _TAGS[kind]
            self.parts[name] = kind, f"{HEAD}<w:{tag} {NAMESPACES} {_VML}>{xml}</w:{tag}>", own
            self._known[kind, blocks, paper] = self._relations.to(kind, f"{name}.xml")
        return self._known[kind, blocks, paper]


def _marked(mark: Watermark, number: int) -> str:
    """A word behind the text of every page, as programs write it: a shape of the header."""
    width = min(460, 60 * len(mark.text))
    height = round(width / max(len(mark.text) * 0.6, 1.0))
    place = (
        "position:absolute;margin-left:0;margin-top:0;"
        f"width:{width}pt;height:{height}pt;rotation:{round(-mark.angle) % 360};z-index:-251658752;"
        "mso-position-horizontal:center;mso-position-horizontal-relative:margin;"
        "mso-position-vertical:center;mso-position-vertical-relative:margin"
    )
    font = f"font-family:&quot;{FAMILIES['sans']}&quot;;font-size:1pt"
    return (
        '<w:p><w:pPr><w:spacing w:before="0" w:after="0" w:line="20" w:lineRule="exact"/></w:pPr><w:r><w:pict>'
        '<v:shapetype id="_x0000_t136" coordsize="21600,21600" o:spt="136" adj="10800" path="m@7,l@8,m@5,21600l@6,21600e">'
        '<v:path textpathok="t" o:connecttype="rect"/><v:textpath on="t" fitshape="t"/></v:shapetype>'
        f'<v:shape id="Watermark{number}" o:spid="_x0000_s{2048 + number}" type="#_x0000_t136" style="{place}" '
        f'o:allowincell="f" fillcolor="{mark.color}" stroked="f"><v:fill opacity="{mark.opacity:g}"/>'
        f'<v:textpath style="{font}" string={quoteattr(mark.text)}/></v:shape></w:pict></w:r></w:p>'
    )


def _twentieths(length: float) -> int:
    return round(length * TWENTIETHS)
