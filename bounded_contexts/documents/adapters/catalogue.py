"""Every format there is, and how one is found by its name, media type, file name or first bytes."""

from typing import Final

from bounded_contexts.documents.adapters.formats import delimited, json, msgpack, properties, toml, xlsx_read, xml, yaml
from bounded_contexts.documents.adapters.formats.conversion import Format
from bounded_contexts.documents.domain.errors import Unreadable

FORMATS: Final[dict[str, Format]] = {
    each.name: each
    for each in (
        json.JSON,
        json.NDJSON,
        xml.XML,
        delimited.CSV,
        delimited.TSV,
        toml.TOML,
        yaml.YAML,
        msgpack.MSGPACK,
        xlsx_read.XLSX,
        properties.PROPERTIES,
    )
}
BY_MEDIA_TYPE: Final = {
    media_type: each for each in FORMATS.values() for media_type in (each.media_type, *each.other_media_types)
}
BY_EXTENSION: Final = {extension: each for each in FORMATS.values() for extension in each.extensions}


def named(name: str) -> Format:
    """Return the format. Raise `Unreadable` for a name that there is none of."""
    if (found := FORMATS.get(name.lower())) is None:
        raise Unreadable("unknown_format", f"{name[:40]!r} is none of {', '.join(FORMATS)}")
    return found


def of_file(name: str) -> Format:
    """Return the format that the file's name ends with. Raise `Unreadable` for an end that tells nothing."""
    extension = name.rpartition(".")[2].lower()
    if "." not in name or (found := BY_EXTENSION.get(extension)) is None:
        raise Unreadable(
            "unknown_format", f"the end of {name[-40:]!r} names no format: say which of {', '.join(FORMATS)}"
        )
    return found
