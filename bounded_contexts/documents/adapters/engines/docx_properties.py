"""What a WordprocessingML package says of itself: properties that all have, and those of its own."""

from datetime import UTC, datetime
from typing import Final
from xml.sax.saxutils import escape

from bounded_contexts.documents.adapters.engines.docx_parts import HEAD, OFFICE, PACKAGE
from bounded_contexts.documents.domain.rendering.blocks import Meta
from bounded_contexts.documents.domain.rendering.properties import Property, said

_OWN: Final = "http://schemas.openxmlformats.org/officeDocument/2006"
_SET: Final = "{D5CDD505-2E9C-101B-9397-08002B2CF9AE}"  # of properties that users name
_CORE_TYPE: Final = "application/vnd.openxmlformats-package.core-properties+xml"
_CUSTOM_TYPE: Final = "application/vnd.openxmlformats-officedocument.custom-properties+xml"


def parts(meta: Meta) -> dict[str, str]:
    """Return the parts that say it, and the relations of the package by name."""
    custom = {"docProps/custom.xml": _custom(meta)} if meta.properties else {}
    return {"docProps/core.xml": _core(meta), **custom, "_rels/.rels": _relations(meta)}


def content_types(meta: Meta) -> str:
    """Return what kinds of parts these are."""
    found = f'<Override PartName="/docProps/core.xml" ContentType="{_CORE_TYPE}"/>'
    return found + (
        f'<Override PartName="/docProps/custom.xml" ContentType="{_CUSTOM_TYPE}"/>' if meta.properties else ""
    )


def _relations(meta: Meta) -> str:
    custom = f'<Relationship Id="rId3" Type="{OFFICE}/custom-properties" Target="docProps/custom.xml"/>'
    return (
        f'{HEAD}<Relationships xmlns="{PACKAGE}/relationships">'
        f'<Relationship Id="rId1" Type="{OFFICE}/officeDocument" Target="word/document.xml"/>'
        f'<Relationship Id="rId2" Type="{PACKAGE}/relationships/metadata/core-properties" Target="docProps/core.xml"/>'
        f"{custom if meta.properties else ''}</Relationships>"
    )


def _core(meta: Meta) -> str:
    created = (
        f'<dcterms:created xsi:type="dcterms:W3CDTF">{escape(meta.created)}</dcterms:created>' if meta.created else ""
    )
    return (
        f'{HEAD}<cp:coreProperties xmlns:cp="{PACKAGE}/metadata/core-properties" '
        'xmlns:dc="http://purl.org/dc/elements/1.1/" xmlns:dcterms="http://purl.org/dc/terms/" '
        'xmlns:xsi="http://www.w3.org/2001/XMLSchema-instance">'
        f"<dc:title>{escape(meta.title)}</dc:title><dc:subject>{escape(meta.subject)}</dc:subject>"
        f"<dc:creator>{escape(meta.author)}</dc:creator><cp:keywords>{escape(', '.join(meta.keywords))}</cp:keywords>"
        f"<dc:language>{escape(meta.language)}</dc:language>{created}</cp:coreProperties>"
    )


def _custom(meta: Meta) -> str:
    rows = [
        f'<property fmtid="{_SET}" pid="{number}" name="{name}">{_typed(value)}</property>'
        for number, (name, value) in enumerate(meta.properties, 2)
    ]
    return f'{HEAD}<Properties xmlns="{_OWN}/custom-properties" xmlns:vt="{_OWN}/docPropsVTypes">{"".join(rows)}</Properties>'


def _typed(value: Property) -> str:
    kind, text = "lpwstr", escape(said(value))
    if isinstance(value, bool):
        kind = "bool"
    elif isinstance(value, int):
        kind = "i4"
    elif isinstance(value, float):
        kind, text = "r8", repr(value)
    elif isinstance(value, datetime):
        at = value.astimezone(UTC) if value.tzinfo else value
        kind, text = "filetime", f"{at:%Y-%m-%dT%H:%M:%S}Z"
    return f"<vt:{kind}>{text}</vt:{kind}>"
