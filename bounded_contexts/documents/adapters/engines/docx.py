"""DOCX: WordprocessingML written into the package while the blocks come; what they refer to is written behind them."""

import zipfile
from collections.abc import Iterable, Iterator
from itertools import chain
from typing import Final
from xml.sax.saxutils import escape, quoteattr

from bounded_contexts.documents.adapters.engines import (
    barcodes,
    docx_charts,
    docx_fonts,
    docx_layout,
    docx_notes,
    docx_parts,
    docx_properties,
    docx_tables,
)
from bounded_contexts.documents.adapters.engines.docx_marks import Shapes
from bounded_contexts.documents.adapters.engines.docx_parts import HEAD, NAMESPACES, Relations
from bounded_contexts.documents.adapters.engines.docx_sections import Sections
from bounded_contexts.documents.adapters.packed import Sink, entry
from bounded_contexts.documents.domain.rendering.blocks import (
    Anchor,
    Barcode,
    Block,
    Cell,
    Columns,
    Contents,
    Group,
    Heading,
    Image,
    ListItem,
    Note,
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
from bounded_contexts.documents.domain.rendering.fonts import Family
from bounded_contexts.documents.domain.rendering.numbering import NumberFormat

TWENTIETHS: Final = 20  # of a point: lengths on paper
EMU: Final = 12_700  # English metric units of a point: lengths of drawings
CHUNK: Final = 64 * 1024
_DEFAULT: Final = Style()
_ROLES: Final = {"paragraph": None, "quote": "Quote", "code": "Code", "caption": "FigureCaption"}
_CAPTIONS: Final = {"table": "caption", "image": "Figure Caption"}
_FIELD: Final = '<w:r><w:fldChar w:fldCharType="{}"/></w:r>'


def write_docx(resolved: Resolved, fonts: list[Family]) -> Iterator[bytes]:
    """Yield the file, with the fonts in it. Raise what the blocks raise while they are taken."""
    sink = Sink()
    media: dict[str, bytes] = {}
    document = _Document(resolved, media, fonts)
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
    def __init__(self, resolved: Resolved, media: dict[str, bytes], fonts: list[Family]) -> None:
        self._resolved, self._media, self._fonts = resolved, media, fonts
        self._relations = Relations(media)
        self._lists: dict[int, tuple[NumberFormat | None, int, int]] = {}
        self._section = Section(resolved.page, resolved.header, resolved.footer)
        self._shapes = Shapes(resolved.marks)
        self._sections = Sections(self._relations, resolved.watermark, self._shapes, self._block)
        self._drawings = 0
        self._coming: list[Anchor] = []  # that the next heading has
        self._notes: dict[int, str] = {}
        self._note_relations = Relations(media)
        for name in ("styles", "numbering", "settings", *(("fontTable",) if fonts else ())):
            self._relations.to(name, f"{name}.xml")

    def xml(self) -> Iterator[str]:
        yield f"{HEAD}<w:document {NAMESPACES}><w:body>"
        yield self._shapes.paragraph("first", self._section.page, self._relations)
        begun = False
        for block in self._resolved.body():
            if isinstance(block, Section):
                if begun:
                    yield f"<w:p><w:pPr>{self._sections.properties(self._section)}</w:pPr></w:p>"
                self._section = block
                continue
            begun = True
            yield from self._block(block, self._relations)
        yield self._shapes.paragraph("last", self._section.page, self._relations)
        yield f"{self._sections.properties(self._section)}</w:body></w:document>"
        if self._notes:
            self._relations.to("footnotes", "footnotes.xml")

    def parts(self) -> dict[str, str]:
        """Return all other parts by name; complete once the document has been written."""
        relations = self._relations
        found = {
            "word/styles.xml": docx_parts.styles(self._resolved.meta.language),
            "word/numbering.xml": docx_parts.numbering(self._lists),
            "word/settings.xml": docx_parts.settings(fonts=bool(self._fonts), even=self._sections.has_even),
            **docx_properties.parts(self._resolved.meta),
            "word/_rels/document.xml.rels": relations.xml,
        }
        written = {name: (xml, own) for name, (_, xml, own) in self._sections.parts.items()}
        kinds: dict[str, str] = {name: kind for name, (kind, _, _) in self._sections.parts.items()}
        if self._notes:
            written["footnotes"] = docx_notes.part(self._notes), self._note_relations
            kinds["footnotes"] = "footnotes"
        if self._fonts:
            own = Relations(self._media)
            written["fontTable"] = docx_fonts.table(self._fonts, own), own
            kinds["fontTable"] = "fontTable"
        for name, (xml, own) in written.items():
            found[f"word/{name}.xml"] = xml
            if own.rows:
                found[f"word/_rels/{name}.xml.rels"] = own.xml
        found["[Content_Types].xml"] = docx_parts.content_types(kinds, self._content_types())
        return found

    def _content_types(self) -> str:
        fonts = docx_fonts.CONTENT_TYPE if self._fonts else ""
        return (
            f"{docx_charts.content_types(list(self._media))}{fonts}{docx_properties.content_types(self._resolved.meta)}"
        )

    @property
    def _room(self) -> float:
        """The width of a column of text, in points."""
        page = self._section.page
        room = page.width - page.left - page.right
        return (room - self._section.gap * (self._section.columns - 1)) / self._section.columns

    def _block(self, block: Block, relations: Relations) -> Iterator[str]:
        match block:
            case Heading():
                yield self._heading(block, relations)
            case Paragraph():
                yield self._text(block.runs, block.style, relations, _ROLES[block.role])
            case ListItem():
                level = min(block.level, docx_parts.LEVELS - 1)
                self._lists[block.list_number] = block.form if block.ordered else None, level, block.first
                number = f'<w:numPr><w:ilvl w:val="{level}"/><w:numId w:val="{block.list_number}"/></w:numPr>'
                yield self._text(block.runs, block.style, relations, "ListParagraph", number)
            case Anchor():
                yield self._anchored(block)
            case Group() | Columns() | Table():
                yield from self._holding(block, relations)
            case Contents():
                yield from self._contents(block, relations)
            case Barcode() | Chart() | Image():
                yield self._drawn(block, relations)
            case Rule() | Spacer() | PageBreak():
                yield _room(block)

    def _heading(self, block: Heading, relations: Relations) -> str:
        coming, self._coming = self._coming, []
        text = self._runs(block.runs, relations)
        for anchor in coming:
            text = _bookmarked(anchor, text)
        return _paragraph(text, block.style, f"Heading{block.level}")

    def _anchored(self, anchor: Anchor) -> str:
        if anchor.kind != "heading":
            return _bookmarked(anchor, "")
        self._coming.append(anchor)
        return ""

    def _holding(self, block: Group | Columns | Table, relations: Relations) -> Iterator[str]:
        def inner(blocks: Iterable[Block]) -> str:
            return "".join(chain.from_iterable(self._block(each, relations) for each in blocks))

        if isinstance(block, Table):
            yield from self._table(block, relations)
        elif isinstance(block, Columns):
            yield docx_layout.side_by_side(block, inner, self._room)
        elif docx_layout.is_framed(block):
            yield docx_layout.framed(block, inner, self._room)
        else:
            yield inner(docx_layout.kept(block.blocks) if block.keep_together else block.blocks)

    def _text(
        self,
        runs: Runs,
        style: Style,
        relations: Relations,
        name: str | None,
        number: str = "",
        *,
        in_cell: bool = False,
    ) -> str:
        return _paragraph(self._runs(runs, relations), style, name, number, in_cell=in_cell)

    def _runs(self, runs: Runs, relations: Relations) -> str:
        return "".join([_run(run, relations) if run.note is None else self._noted(run, run.note) for run in runs])

    def _noted(self, run: Run, note: Note) -> str:
        if note.number not in self._notes:
            self._notes[note.number] = ""
            text = f"{docx_notes.MARK}<w:r>{_text(' ')}</w:r>{self._runs(note.runs, self._note_relations)}"
            self._notes[note.number] = _paragraph(text, note.style, None)
        return docx_notes.reference(note.number, _run_properties(run.style))

    def _table(self, table: Table, relations: Relations) -> Iterator[str]:
        if table.caption is not None:
            yield self._text(table.caption.runs, table.caption.style, relations, "Caption")
        widths = _widths(table, self._room)
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
            return self._text(cell.runs, cell.style, relations, None, in_cell=True)
        inner = "".join(chain.from_iterable(self._block(block, relations) for block in cell.blocks))
        return inner if inner.endswith("</w:p>") else f"{inner}<w:p/>"  # a cell ends with a paragraph

    def _contents(self, block: Contents, relations: Relations) -> Iterator[str]:
        """A field that programs refresh, and what it says until then."""
        if block.title is not None:
            yield self._text(block.title.runs, block.title.style, relations, None)
        first, last = block.levels
        room = _twentieths(self._room)
        tab = f'<w:tabs><w:tab w:val="right" w:leader="dot" w:pos="{room}"/></w:tabs>'
        instruction = f' TOC \\o "{first}-{last}" \\h '
        if block.kind != "heading":
            instruction = f' TOC \\h \\z \\t "{_CAPTIONS[block.kind]},1" '
        begin = (
            f'{_FIELD.format("begin")}<w:r><w:instrText xml:space="preserve">{escape(instruction)}</w:instrText></w:r>'
            f"{_FIELD.format('separate')}"
        )
        for row in sorted(self._resolved.entries, key=lambda each: each.number):
            if row.kind == block.kind and first <= row.level <= last:
                indent = f'<w:ind w:left="{240 * (row.level - first)}"/>'
                text = _text(f"{row.text}\t{row.page}")
                link = f'<w:hyperlink w:anchor="_Toc{row.number}"><w:r>{text}</w:r></w:hyperlink>'
                yield f"<w:p><w:pPr>{tab}{indent}</w:pPr>{begin}{link}</w:p>"
                begin = ""
        yield f"<w:p>{begin}{_FIELD.format('end')}</w:p>"

    def _drawn(self, block: Barcode | Chart | Image, relations: Relations) -> str:
        if isinstance(block, Chart):
            self._drawings += 1
            return docx_charts.drawn(block, relations, self._drawings, self._room)
        return self._image(barcodes.as_image(block) if isinstance(block, Barcode) else block, relations)

    def _image(self, image: Image, relations: Relations) -> str:
        blip = relations.blip(image)
        self._drawings += 1
        room = self._room
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


def _widths(table: Table, room: float) -> list[int]:
    """The grid: what is left behind fixed columns is shared; an auto column counts as one share."""
    fixed = sum(column.width.amount for column in table.columns if column.width.kind == "points")
    shares = sum({"points": 0.0, "auto": 1.0}.get(c.width.kind, c.width.amount) for c in table.columns)
    share = max(room - fixed, 24.0 * len(table.columns)) / shares if shares else 0.0
    return [
        _twentieths({"points": c.width.amount, "auto": share}.get(c.width.kind, c.width.amount * share))
        for c in table.columns
    ]


def _bookmarked(anchor: Anchor, text: str) -> str:
    """What is referred to: by the number of the list that has it, and by its name."""
    names = [f"_Toc{anchor.number}", *([f"ref_{anchor.name}"] if anchor.name is not None else [])]
    for place, name in enumerate(names):
        mark = f'w:id="{2 * anchor.number + place}"'
        text = f'<w:bookmarkStart {mark} w:name="{name}"/>{text}<w:bookmarkEnd {mark}/>'
    return text


def _paragraph(text: str, style: Style, name: str | None, number: str = "", *, in_cell: bool = False) -> str:
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
    return f"<w:p><w:pPr>{''.join(properties)}</w:pPr>{text}</w:p>"


def _run(run: Run, relations: Relations) -> str:
    properties = _run_properties(run.style)
    if run.field:
        instruction = "PAGE" if run.field == "page" else "NUMPAGES"
        return f'<w:fldSimple w:instr=" {instruction} "><w:r>{properties}<w:t>1</w:t></w:r></w:fldSimple>'
    text = f"<w:r>{properties}{_text(run.text)}</w:r>"
    if run.page_of:
        return f'<w:fldSimple w:instr=" PAGEREF ref_{run.page_of} \\h ">{text}</w:fldSimple>'
    if run.link and run.link.startswith("#"):
        return f'<w:hyperlink w:anchor="ref_{run.link[1:]}">{text}</w:hyperlink>'
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
        f'<w:vertAlign w:val="{style.script}script"/>' if style.script != "normal" else "",
    ]
    return f"<w:rPr>{''.join(found)}</w:rPr>"


def _twentieths(length: float) -> int:
    return round(length * TWENTIETHS)
