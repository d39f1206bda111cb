"""Charts in WordprocessingML packages: a part of its own for each, with the workbook of its values."""

from typing import Final
from xml.sax.saxutils import quoteattr

from bounded_contexts.documents.adapters.engines import native_charts
from bounded_contexts.documents.adapters.engines.docx_parts import DRAWING, HEAD, OFFICE, PACKAGE, Relations
from bounded_contexts.documents.domain.rendering.charts import Chart

EMU: Final = 12_700  # English metric units of a point
PART: Final = "charts/chart"
_TYPE: Final = "application/vnd.openxmlformats-officedocument"


def drawn(chart: Chart, relations: Relations, number: int, room: float) -> str:
    """Return the paragraph that shows a chart, at most as wide as the room, and put its parts into the package."""
    xml, workbook = native_charts.part(chart)
    name = f"{PART}{sum(1 for each in relations.media if each.startswith(PART)) + 1}"
    book = f"embeddings/{name.rpartition('/')[2]}.xlsx"
    relations.media[f"{name}.xml"] = xml.encode()
    relations.media[f"charts/_rels/{name.rpartition('/')[2]}.xml.rels"] = (
        f'{HEAD}<Relationships xmlns="{PACKAGE}/relationships"><Relationship Id="rId1" Type="{OFFICE}/package" '
        f'Target="../{book}"/></Relationships>'
    ).encode()
    relations.media[book] = workbook
    key = relations.to("chart", f"{name}.xml")
    scale = min(1.0, room / chart.width)
    extent = f'cx="{round(chart.width * scale * EMU)}" cy="{round(chart.height * scale * EMU)}"'
    jc = f'<w:pPr><w:jc w:val="{chart.align}"/></w:pPr>' if chart.align != "left" else ""
    return (
        f'<w:p>{jc}<w:r><w:drawing><wp:inline distT="0" distB="0" distL="0" distR="0"><wp:extent {extent}/>'
        f'<wp:docPr id="{number}" name="Chart {number}" descr={quoteattr(chart.alt)}/><wp:cNvGraphicFramePr/>'
        f'<a:graphic><a:graphicData uri="{DRAWING}/chart"><c:chart xmlns:c="{DRAWING}/chart" r:id="{key}"/>'
        "</a:graphicData></a:graphic></wp:inline></w:drawing></w:r></w:p>"
    )


def content_types(names: list[str]) -> str:
    """Return what a package says of its parts that belong to charts."""
    charts = [name for name in names if name.startswith(PART)]
    rows = [f'<Override PartName="/word/{name}" ContentType="{_TYPE}.drawingml.chart+xml"/>' for name in charts]
    return f'<Default Extension="xlsx" ContentType="{_TYPE}.spreadsheetml.sheet"/>{"".join(rows)}' if rows else ""
