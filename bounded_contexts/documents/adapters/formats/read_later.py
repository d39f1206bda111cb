"""XML, YAML and Avro, whose code is read when a document of theirs is: their parsers take 11 MB, and most conversions need none.
Processes that fork workers read it before."""

from collections.abc import Iterator
from typing import BinaryIO, Final

from bounded_contexts.documents.adapters.formats.conversion import Conversion, Format
from bounded_contexts.documents.adapters.formats.yaml_write import KINDS as YAML_KINDS
from bounded_contexts.documents.adapters.formats.yaml_write import write as write_yaml
from bounded_contexts.documents.domain.values import Document

MAGIC: Final = b"Obj\x01"  # that an Avro container begins with
AVRO_SCALARS: Final = frozenset({"null", "boolean", "integer", "float", "not finite", "string", "bytes", "list", "map"})
AVRO_KINDS: Final = AVRO_SCALARS | {"decimal", "whole decimal", "datetime", "local datetime", "date", "time"}


def prepare() -> None:
    """Read the code. May be repeated."""
    from bounded_contexts.documents.adapters.formats import avro, xml, yaml  # noqa: F401


def _read_xml(source: BinaryIO, conversion: Conversion) -> Document:
    from bounded_contexts.documents.adapters.formats.xml import read

    return read(source, conversion)


def _write_xml(document: Document, conversion: Conversion) -> Iterator[bytes]:
    from bounded_contexts.documents.adapters.formats.xml_write import write

    return write(document, conversion)


def _read_yaml(source: BinaryIO, conversion: Conversion) -> Document:
    from bounded_contexts.documents.adapters.formats.yaml import read

    return read(source, conversion)


def _read_avro(source: BinaryIO, conversion: Conversion) -> Document:
    from bounded_contexts.documents.adapters.formats.avro import read

    return read(source, conversion)


def _write_avro(document: Document, conversion: Conversion) -> Iterator[bytes]:
    from bounded_contexts.documents.adapters.formats.avro import write

    return write(document, conversion)


XML: Final = Format(
    name="xml",
    title="XML",
    media_type="application/xml",
    other_media_types=("text/xml",),
    extensions=("xml",),
    kinds=frozenset({"string"}),
    read=_read_xml,
    write=_write_xml,
    streams_in=True,
    streams_out=True,
)
YAML: Final = Format(
    name="yaml",
    title="YAML",
    media_type="application/yaml",
    other_media_types=("text/yaml", "application/x-yaml", "text/x-yaml"),
    extensions=("yaml", "yml"),
    kinds=YAML_KINDS,
    read=_read_yaml,
    write=write_yaml,
    streams_in=False,
    streams_out=True,
)
AVRO: Final = Format(
    name="avro",
    title="Avro container",
    media_type="application/vnd.apache.avro",
    other_media_types=("application/avro", "avro/binary"),
    extensions=("avro",),
    kinds=AVRO_KINDS,
    read=_read_avro,
    write=_write_avro,
    streams_in=True,
    streams_out=True,
    is_text=False,
)
