"""DOCX: WordprocessingML written into the package while the blocks come; what they refer to is written behind them."""

import zipfile
from collections.abc import Iterator
from itertools import chain
from typing import Final, Literal
from xml.sax.saxutils import escape, quoteattr

from bounded_contexts.documents.adapters.engines import barcodes, docx_charts, docx_parts, docx_tables
from bounded_contexts.documents.adapters.engines.docx_parts import HEAD, NAMESPACES, Relations
from bounded_contexts.documents.adapters.packed import Sink, entry
from bounded_contexts.documents.domain.rendering.blocks import (
    Barcode,
    Block,
    Cell,
    Contents,
    Furniture,
    Heading,
    Image,
    ListItem,
    Page,
    PageBreak,
    Paragraph,
    Resolved,
    Rule,
    Run,
    Runs,
    Section,
    Spacer,
    Style,
    Table,
)
from bounded_contexts.documents.domain.rendering.charts import Chart

TWENTIETHS: Final = 20  # of a point: lengths on paper
EMU: Final = 12_700  # English metric units of a point: lengths of drawings
WHICH: Final[tuple[Literal["default", "first"], ...]] = ("default", "first")
CHUNK: Final = 64 * 1024
_DEFAULT: Final = Style()
_ROLES: Final = {"paragraph": None, "quote": "Quote", "code": "Code"}
_FIELD: Final = '<w:r><w:fldChar w:fldCharType="{}"/></w:r>'
_EDGE: Final = 480  # twentieths from the paper's edge to a header or footer


def write_docx(resolved: Resolved) -> Iterator[bytes]:
    """Yield the file. Raise what the blocks raise while they are taken."""
    sink = Sink()
    media: dict[str, bytes] = {}
    document = _Document(resolved, media)
    with zipfile.ZipFile(sink, "w", zipfile.ZIP_DEFLATED) as package:  # type: ignore[call-overload]
        with package.open(entry("word/document.xml"), "w", force_zip64=True) as part:
            waiting: list[str] = []
            size = 0
            for xml in document.xml():
                waiting.append(xml)
                size += len(xml)
                if size > CHUNK:
                    part.write("".join(waiting).encode())
                    waiting, size = [], 0
                    yield sink.taken()
            part.write("".join(waiting).encode())
        for name, data in document.parts().items():
            package.writestr(entry(name), data)
        for name, image in media.items():
            package.writestr(entry(f"word/{name}"), image)
    yield sink.taken()


class _Document:
    def __init__(self, resolved: Resolved, media: dict[str, bytes]) -> None:
        self._resolved, self._media = resolved, media
        self._relations = Relations(media)
        self._lists: dict[int, tuple[bool, int, int]] = {}
        self._page = resolved.page
        self._is_first_section = True
        self._furniture: dict[str, tuple[str, Relations]] = {}
        self._drawings = self._headings = 0
        for name in ("styles", "numbering", "settings"):
            self._relations.to(name, f"{name}.xml")

    def xml(self) -> Iterator[str]:
        yield f"{HEAD}<w:document {NAMESPACES}><w:body>"
        references = [
            *self._parts_of("header", self._resolved.header),
            *self._parts_of("footer", self._resolved.footer),
        ]
        begun = False
        for block in self._resolved.body():
            if isinstance(block, Section):
                if begun:
                    yield f"<w:p><w:pPr>{self._section(references)}</w:pPr></w:p>"
                self._page = block.page
                continue
            begun = True
            yield from self._block(block, self._relations)
        yield f"{self._section(references)}</w:body></w:document>"

    def parts(self) -> dict[str, str]:
        """Return all other parts by name; complete once the document has been written."""
        relations = self._relations
        found = {
            "word/styles.xml": docx_parts.styles(self._resolved.meta.language),
            "word/numbering.xml": docx_parts.numbering(self._lists),
            "word/settings.xml": docx_parts.settings(),
            "docProps/core.xml": docx_parts.core(self._resolved.meta),
            "_rels/.rels": docx_parts.package_relations(),
            "word/_rels/document.xml.rels": relations.xml,
        }
        for name, (xml, own) in self._furniture.items():
            found[f"word/{name}.xml"] = xml
            if own.rows:
                found[f"word/_rels/{name}.xml.rels"] = own.xml
        kinds = {name: name.rstrip("12") for name in self._furniture}
        found["[Content_Types].xml"] = docx_parts.content_types(kinds, docx_charts.content_types(list(self._media)))
        return found

    def _parts_of(self, kind: str, furniture: Furniture) -> Iterator[str]:
        for number, which in enumerate(WHICH, 1):
            if which not in furniture:
                continue
            own = Relations(self._media)
            tag = "hdr" if kind == "header" else "ftr"
            inner = "".join(chain.from_iterable(self._block(block, own) for block in furniture[which])) or "<w:p/>"
            self._furniture[f"{kind}{number}"] = f"{HEAD}<w:{tag} {NAMESPACES}>{inner}</w:{tag}>", own
            key = self._relations.to(kind, f"{kind}{number}.xml")
            yield f'<w:{kind}Reference w:type="{which}" r:id="{key}"/>'

    def _section(self, references: list[str]) -> str:
        page = self._page
        given = "".join(references) if self._is_first_section else ""
        has_first = self._is_first_section and any('w:type="first"' in each for each in references)
        self._is_first_section = False
        orient = ' w:orient="landscape"' if page.width > page.height else ""
        sides = "".join(
            [f' w:{side}="{_twentieths(getattr(page, side))}"' for side in ("top", "right", "bottom", "left")]
        )
        return (
            f'<w:sectPr>{given}<w:pgSz w:w="{_twentieths(page.width)}" w:h="{_twentieths(page.height)}"{orient}/>'
            f'<w:pgMar{sides} w:header="{_EDGE}" w:footer="{_EDGE}" w:gutter="0"/>{"<w:titlePg/>" if has_first else ""}'
            "</w:sectPr>"
        )

    def _block(self, block: Block, relations: Relations) -> Iterator[str]:
        match block:
            case Heading():
                yield self._heading(block, relations)
            case Paragraph():
                yield _paragraph(block.runs, block.style, relations, _ROLES[block.role])
            case ListItem():
                level = min(block.level, docx_parts.LEVELS - 1)
                self._lists[block.list_number] = block.ordered, level, block.first
                number = f'<w:numPr><w:ilvl w:val="{level}"/><w:numId w:val="{block.list_number}"/></w:numPr>'
                yield _paragraph(block.runs, block.style, relations, "ListParagraph", number)
            case Table():
                yield from self._table(block, relations)
            case Contents():
                yield from self._contents(block, relations)
            case Barcode():
                yield self._image(barcodes.as_image(block), relations)
            case Chart():
                self._drawings += 1
                room = self._page.width - self._page.left - self._page.right
                yield docx_charts.drawn(block, relations, self._drawings, room)
            case Image():
                yield self._image(block, relations)
            case Rule() | Spacer() | PageBreak():
                yield _room(block)

    def _heading(self, block: Heading, relations: Relations) -> str:
        self._headings += 1
        mark = f'w:id="{self._headings}"'
        named = f'<w:bookmarkStart {mark} w:name="_Toc{self._headings}"/><w:bookmarkEnd {mark}/>'
        return _paragraph(block.runs, block.style, relations, f"Heading{block.level}", before=named)

    def _table(self, table: Table, relations: Relations) -> Iterator[str]:
        if table.caption is not None:
            yield _paragraph(table.caption.runs, table.caption.style, relations, "Caption")
        widths = _widths(table, self._page)
        rows = docx_tables.rows(table, widths, lambda cell: self._cell(cell, relations))
        if (first := next(rows, None)) is None:  # programs refuse a table without a row
            return
        grid = "".join([f'<w:gridCol w:w="{width}"/>' for width in widths])
        line = '<w:{0} w:val="single" w:sz="4" w:space="0" w:color="C0C4C8"/>'
        borders = "".join([line.format(side) for side in ("top", "bottom", "insideH")]) if table.borders else ""
        fixed = "autofit" if any(column.width.kind == "auto" for column in table.columns) else "fixed"
        yield (
            '<w:tbl><w:tblPr><w:tblW w:w="0" w:type="auto"/>'
            f'<w:tblBorders>{borders}</w:tblBorders><w:tblLayout w:type="{fixed}"/>'
            '<w:tblCellMar><w:left w:w="60" w:type="dxa"/><w:right w:w="60" w:type="dxa"/></w:tblCellMar></w:tblPr>'
            f"<w:tblGrid>{grid}</w:tblGrid>"
        )
        yield first
        yield from rows
        # a paragraph behind it keeps two tables apart
        yield '</w:tbl><w:p><w:pPr><w:spacing w:before="0" w:after="0" w:line="120" w:lineRule="exact"/></w:pPr></w:p>'

    def _cell(self, cell: Cell, relations: Relations) -> str:
        if not cell.blocks:
            return _paragraph(cell.runs, cell.style, relations, None, in_cell=True)
        inner = "".join(chain.from_iterable(self._block(block, relations) for block in cell.blocks))
        return inner if inner.endswith("</w:p>") else f"{inner}<w:p/>"  # a cell ends with a paragraph

    def _contents(self, block: Contents, relations: Relations) -> Iterator[str]:
        """A field that programs refresh, and what it says until then."""
        if block.title is not None:
            yield _paragraph(block.title.runs, block.title.style, relations, None)
        first, last = block.levels
        room = _twentieths(self._page.width - self._page.left - self._page.right)
        tab = f'<w:tabs><w:tab w:val="right" w:leader="dot" w:pos="{room}"/></w:tabs>'
        instruction = f' TOC \\o "{first}-{last}" \\h '
        begin = (
            f'{_FIELD.format("begin")}<w:r><w:instrText xml:space="preserve">{escape(instruction)}</w:instrText></w:r>'
            f"{_FIELD.format('separate')}"
        )
        for row in self._resolved.entries:
            if first <= row.level <= last:
                indent = f'<w:ind w:left="{240 * (row.level - first)}"/>'
                text = _text(f"{row.text}\t{row.page}")
                link = f'<w:hyperlink w:anchor="_Toc{row.number}"><w:r>{text}</w:r></w:hyperlink>'
                yield f"<w:p><w:pPr>{tab}{indent}</w:pPr>{begin}{link}</w:p>"
                begin = ""
        yield f"<w:p>{begin}{_FIELD.format('end')}</w:p>"

    def _image(self, image: Image, relations: Relations) -> str:
        blip = relations.blip(image)
        self._drawings += 1
        room = self._page.width - self._page.left - self._page.right
        scale = min(1.0, room / image.width)
        extent = f'cx="{round(image.width * scale * EMU)}" cy="{round(image.height * scale * EMU)}"'
        named = f'id="{self._drawings}" name="Image {self._drawings}" descr={quoteattr(image.alt)}'
        jc = f'<w:pPr><w:jc w:val="{image.align}"/></w:pPr>' if image.align != "left" else ""
        return (
            f'<w:p>{jc}<w:r><w:drawing><wp:inline distT="0" distB="0" distL="0" distR="0"><wp:extent {extent}/>'
            f'<wp:docPr {named}/><a:graphic><a:graphicData uri="{docx_parts.DRAWING}/picture"><pic:pic>'
            f"<pic:nvPicPr><pic:cNvPr {named}/><pic:cNvPicPr/></pic:nvPicPr><pic:blipFill>{blip}"
            "<a:stretch><a:fillRect/></a:stretch></pic:blipFill><pic:spPr><a:xfrm>"
            f'<a:off x="0" y="0"/><a:ext {extent}/></a:xfrm><a:prstGeom prst="rect"><a:avLst/></a:prstGeom></pic:spPr>'
            "</pic:pic></a:graphicData></a:graphic></wp:inline></w:drawing></w:r></w:p>"
        )


def _room(block: Rule | Spacer | PageBreak) -> str:
    if isinstance(block, Rule):
        edge = f'w:val="single" w:sz="{max(2, round(block.thickness * 8))}" w:space="1" w:color="{block.color[1:]}"'
        return f"<w:p><w:pPr><w:pBdr><w:bottom {edge}/></w:pBdr></w:pPr></w:p>"
    if isinstance(block, Spacer):
        line = max(1, _twentieths(block.height))
        return f'<w:p><w:pPr><w:spacing w:before="0" w:after="0" w:line="{line}" w:lineRule="exact"/></w:pPr></w:p>'
    return '<w:p><w:r><w:br w:type="page"/></w:r></w:p>'


def _widths(table: Table, page: Page) -> list[int]:
    """The grid: what is left behind fixed columns is shared; an auto column counts as one share."""
    room = page.width - page.left - page.right
    fixed = sum(column.width.amount for column in table.columns if column.width.kind == "points")
    shares = sum({"points": 0.0, "auto": 1.0}.get(c.width.kind, c.width.amount) for c in table.columns)
    share = max(room - fixed, 24.0 * len(table.columns)) / shares if shares else 0.0
    return [
        _twentieths({"points": c.width.amount, "auto": share}.get(c.width.kind, c.width.amount * share))
        for c in table.columns
    ]


def _paragraph(
    runs: Runs,
    style: Style,
    relations: Relations,
    name: str | None,
    number: str = "",
    *,
    in_cell: bool = False,
    before: str = "",
) -> str:
    properties = [f'<w:pStyle w:val="{name}"/>' if name else ""]
    if style.keep_with_next:
        properties.append("<w:keepNext/>")
    properties.append(number)
    if style.background and not in_cell:
        properties.append(f'<w:shd w:val="clear" w:color="auto" w:fill="{style.background[1:]}"/>')
    above, below, line = [_twentieths(each) for each in (style.space_before, style.space_after, style.line_height * 12)]
    properties.append(f'<w:spacing w:before="{above}" w:after="{below}" w:line="{line}" w:lineRule="auto"/>')
    if style.indent and not number:
        properties.append(f'<w:ind w:left="{_twentieths(style.indent)}"/>')
    if style.align != "left":
        properties.append(f'<w:jc w:val="{"both" if style.align == "justify" else style.align}"/>')
    return f"<w:p><w:pPr>{''.join(properties)}</w:pPr>{before}{''.join([_run(run, relations) for run in runs])}</w:p>"


def _run(run: Run, relations: Relations) -> str:
    properties = _run_properties(run.style)
    if run.field:
        instruction = "PAGE" if run.field == "page" else "NUMPAGES"
        return f'<w:fldSimple w:instr=" {instruction} "><w:r>{properties}<w:t>1</w:t></w:r></w:fldSimple>'
    text = f"<w:r>{properties}{_text(run.text)}</w:r>"
    if run.link:
        key = relations.to("hyperlink", run.link, external=True)
        return f'<w:hyperlink r:id="{key}">{text}</w:hyperlink>'
    return text


def _text(text: str) -> str:
    escaped = escape(text)
    if "\n" in text or "\t" in text:
        close, begin = "</w:t>", '<w:t xml:space="preserve">'
        escaped = escaped.replace("\n", f"{close}<w:br/>{begin}").replace("\t", f"{close}<w:tab/>{begin}")
    return f'<w:t xml:space="preserve">{escaped}</w:t>'


def _run_properties(style: Style) -> str:
    found = [
        docx_parts.fonts_of(style.font) if style.font != _DEFAULT.font else "",
        f'<w:b w:val="{int(style.bold)}"/>',
        "<w:i/>" if style.italic else "",
        "<w:strike/>" if style.strike else "",
        f'<w:color w:val="{style.color[1:]}"/>' if style.color != _DEFAULT.color else "",
        f'<w:sz w:val="{round(style.size * 2)}"/>',
        '<w:u w:val="single"/>' if style.underline else "",
    ]
    return f"<w:rPr>{''.join(found)}</w:rPr>"


def _twentieths(length: float) -> int:
    return round(length * TWENTIETHS)
