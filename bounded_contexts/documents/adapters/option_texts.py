"""What the options of a conversion mean, for programs that read the OpenAPI document and `GET /documents/formats`."""

from collections.abc import Mapping
from typing import Any, Final, Literal, get_args, get_origin, get_type_hints

from bounded_contexts.documents.domain.options import TYPES, Options

FLAT = ("csv", "tsv", "xlsx", "properties")
DELIMITED = ("csv", "tsv")
TEXTS = ("xml", *FLAT)  # formats whose values are texts
# Name → what it means, and the formats that heed it; no formats: all.
OPTIONS: Final[Mapping[str, tuple[str, tuple[str, ...]]]] = {
    "lossless": ("Write kinds that the format lacks so that `restored` reads them back.", ()),
    "restored": ("The document was written with `lossless`.", ()),
    "nested": ("Names like `a.b[0]` stand for values in each other.", FLAT),
    "charset": ("Charset of the document; unset: by its byte order mark or `Content-Type`, else UTF-8.", ()),
    "path": ("JSON Pointer of the value that is converted; unset: all.", ()),
    "offset": ("Records that are left out.", ()),
    "limit": ("Records that are converted behind them; 0: all.", ()),
    "duplicates": ("What a second key of one name does.", ()),
    "inference": ("Whether texts become numbers, truth values, null and times.", TEXTS),
    "types": (f"`column:kind,…` that are known better than inference knows; kinds are {', '.join(TYPES)}.", TEXTS),
    "pretty": ("Write with line breaks and indentation.", ()),
    "sort_keys": ("Write keys in order.", ()),
    "framing": ("Whether records are written as one list, or one behind the other.", ("yaml", "msgpack")),
    "output_charset": ("Charset of the result, where it is text.", ()),
    "columns": (
        "Comma-separated names that are written; unset: all there are.",
        (*DELIMITED, "xlsx", "markdown", "html"),
    ),
    "dialect": ("Whether delimiter, quote and escape are guessed where they are read.", DELIMITED),
    "delimiter": ("Character between cells; `tab` is one.", DELIMITED),
    "quote": ("Character round cells.", DELIMITED),
    "escape": ("Character before a quote that is none.", DELIMITED),
    "header": ("Whether the first row names the columns.", (*DELIMITED, "xlsx")),
    "skip_rows": ("Rows before the first that is read.", (*DELIMITED, "xlsx")),
    "comment": ("Character that begins rows which are not read.", DELIMITED),
    "trim": ("Take spaces off both ends of cells.", DELIMITED),
    "ragged": ("What rows do that are shorter or longer than the header.", (*DELIMITED, "xlsx")),
    "null_text": ("A cell that stands for null.", FLAT),
    "true_text": ("A cell that stands for true.", FLAT),
    "false_text": ("A cell that stands for false.", FLAT),
    "decimal_mark": ("Character before the digits behind the point, in cells.", FLAT),
    "thousands_mark": ("Character between groups of digits in cells.", FLAT),
    "newline": ("How written rows end.", DELIMITED),
    "quoting": ("Which texts are written in quotes.", (*DELIMITED, "yaml")),
    "mark": ("Begin the result with a byte order mark.", ()),
    "formula": ("What becomes of written texts that spreadsheet programs would run.", DELIMITED),
    "profile": (
        "Whom the result is meant for: `excel` is `formula=escape` and `mark=true`, unless these are said.",
        DELIMITED,
    ),
    "root": ("Name of the written root element.", ("xml",)),
    "row": ("Name of written records.", ("xml",)),
    "attributes": ("What keys begin with that are attributes.", ("xml",)),
    "text": ("Key of an element's text beside its attributes.", ("xml",)),
    "namespaces": ("What becomes of namespaces.", ("xml",)),
    "lists": ("Comma-separated names of elements that are lists, even of one.", ("xml",)),
    "comments": ("Read and write comments as `#comment`.", ("xml",)),
    "toml": ("Version of TOML.", ("toml",)),
    "nulls": ("What becomes of null where the format has none.", ("toml",)),
    "arrays": ("Whether lists of maps are written as tables or as values.", ("toml",)),
    "yaml": ("By whose rules plain scalars are read.", ("yaml",)),
    "style": ("How lists and maps are written.", ("yaml",)),
    "tags": ("What becomes of YAML's tags that are not its own.", ("yaml",)),
    "codec": ("How blocks of a written container are compressed.", ("avro",)),
    "sheet": (
        "Sheet by its name, or number from 0; `all`: a map of them. Unset: the first, and `Sheet1` where one is written.",
        ("xlsx",),
    ),
    "range": ("Cells that are read: `B2:D9`, `B:D`, `2:9`.", ("xlsx",)),
    "merged": ("Which of merged cells have the value.", ("xlsx",)),
    "hidden": ("What becomes of hidden rows, columns and sheets.", ("xlsx",)),
    "formulas": ("Whether cells with formulas read as their values or their texts.", ("xlsx",)),
    "numbers": ("Whether numbers read as values, or as texts as they are shown.", ("xlsx",)),
    "hyperlinks": ("Cells that lead elsewhere read as maps of `text` and `href`.", ("xlsx",)),
}


NAMES: Final = tuple(name for name in get_type_hints(Options) if name in OPTIONS)


def heeded_by(format_: str) -> list[str]:
    """Return the names of the options that mean something to the format."""
    return [name for name in NAMES if not (formats := OPTIONS[name][1]) or format_ in formats]


def schema_of(name: str) -> dict[str, Any]:
    """Return the JSON Schema of the option as a query parameter."""
    kind, default = get_type_hints(Options)[name], Options.__dataclass_fields__[name].default
    schema: dict[str, Any] = {"type": "string", "maxLength": 4096}
    if kind is bool:
        schema = {"type": "boolean"}
    elif kind is int:
        schema = {"type": "integer", "minimum": 0, "maximum": 999_999_999}
    elif get_origin(kind) is Literal:
        schema = {"type": "string", "enum": list(get_args(kind))}
    return schema if default in (None, ()) else {**schema, "default": default}
