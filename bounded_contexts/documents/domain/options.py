"""What can be asked of a conversion. One name means one thing in every format; docs/documents.md has the table."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final, Literal, get_args, get_origin, get_type_hints

from shared_kernel.errors import Malformed

TYPES: Final = ("integer", "decimal", "boolean", "datetime", "date", "time", "string")
Duplicates = Literal["error", "first", "last", "list"]
Inference = Literal["off", "safe", "full"]
Nulls = Literal["drop", "error", "text"]
# Excel runs cells that begin as formulas do, and takes UTF-8 for another charset where nothing marks it.
PROFILES: Final[Mapping[str, Mapping[str, str]]] = {"none": {}, "excel": {"formula": "escape", "mark": "true"}}


@dataclass(frozen=True, slots=True, kw_only=True)
class Options:
    """The defaults refuse what would lose something in silence, and guess nothing."""

    # of both sides
    lossless: bool = (
        False  # write kinds that a format lacks as {"$kind": text}, and cells so that they read back exactly
    )
    restored: bool = False  # the input was written so
    nested: bool = False  # flat names like `a.b[0]` stand for values in each other, where a flat format is read
    charset: str | None = None  # of the input, where it is text; None: by byte order mark, else UTF-8
    # reading
    path: str = ""  # JSON Pointer of the value that is converted; "": all
    offset: int = 0  # records that are left out
    limit: int = 0  # records that follow; 0: all
    duplicates: Duplicates = "error"  # what a second key of the same name does
    inference: Inference = "off"  # whether texts of untyped formats become numbers, booleans, nulls and times
    types: tuple[tuple[str, str], ...] = ()  # (column, kind) that are known better than inference knows
    # writing
    pretty: bool = False
    sort_keys: bool = False
    framing: Literal["list", "stream"] = "list"  # records as one list, or YAML documents and MsgPack values in a row
    output_charset: str = "utf-8"
    columns: tuple[str, ...] = ()  # of flat formats; others are left out and reported. Empty: all there are
    # CSV, TSV
    dialect: Literal["given", "auto"] = "given"  # auto: delimiter, quote and escape are guessed when reading
    delimiter: str | None = None
    quote: str = '"'
    escape: str | None = None
    header: Literal["yes", "no"] = "yes"
    skip_rows: int = 0
    comment: str | None = None
    trim: bool = False
    ragged: Literal["error", "pad", "truncate", "skip"] = "error"  # rows that are shorter or longer than the header
    # Cells that stand for null and truth values, read and written; None: none do
    null_text: str | None = None
    true_text: str | None = None
    false_text: str | None = None
    # In numbers, with `inference` and `types`, and of written ones
    decimal_mark: str = "."
    thousands_mark: str | None = None
    newline: Literal["lf", "crlf"] = "crlf"
    quoting: Literal["minimal", "all"] = "minimal"  # of YAML's texts, too
    mark: bool = False  # begin with a byte order mark
    formula: Literal["keep", "escape", "reject"] = (
        "keep"  # texts that spreadsheet programs would run: = + - @ tab return
    )
    profile: Literal["none", "excel"] = "none"  # what other defaults there are, for whom the result is meant
    # XML
    root: str = "root"
    row: str = "row"
    attributes: str = "@"  # prefix of keys that are attributes
    text: str = "#text"
    namespaces: Literal["keep", "expand", "strip"] = "keep"
    comments: bool = False  # are `#comment`, and are written; else they are left out
    lists: tuple[str, ...] = ()  # element names that are lists even where there is one
    # TOML
    toml: Literal["1.0", "1.1"] = "1.0"
    nulls: Nulls = (
        "drop"  # in maps, of a format without null; in lists they become empty texts, unless they are an error
    )
    arrays: Literal["tables", "inline"] = "tables"  # how lists of maps are written
    # YAML
    yaml: Literal["1.2", "1.1"] = "1.2"  # by whose rules plain scalars are read
    style: Literal["block", "flow"] = "block"
    tags: Literal["refuse", "keep"] = "refuse"  # of types that YAML itself has none of
    # Avro
    codec: Literal["deflate", "null", "bzip2", "xz", "zstandard"] = "deflate"  # of the blocks that are written
    # XLSX
    sheet: str | None = None  # name, or index from 0; None: the first when reading, "Sheet1" when writing; or "all"
    range: str | None = None  # cells that are read: "B2:D9", "B:D", "2:9"
    merged: Literal["first", "fill"] = "first"  # which of merged cells have the value
    hidden: Literal["keep", "skip"] = "keep"  # hidden rows and columns; sheets, where none is asked for by name
    formulas: Literal["value", "text"] = "value"
    numbers: Literal["value", "shown"] = "value"  # shown: texts, where formats show percent, currencies, thousands
    hyperlinks: bool = False  # cells that lead elsewhere are maps of `text` and `href`


def options_of(given: Mapping[str, str]) -> Options:
    """Return the options as texts say them. Raise `Malformed` for names and values that there are none of."""
    kinds = get_type_hints(Options)
    found: dict[str, Any] = {}
    for name, text in {**PROFILES.get(given.get("profile", "none"), {}), **given}.items():
        if name not in kinds:
            raise Malformed("unknown_option", f"{name[:40]!r} is none of {', '.join(kinds)}")
        found[name] = _meant(name, kinds[name], text)
    for name in ("delimiter", "quote", "escape", "comment", "decimal_mark", "thousands_mark"):
        if found.get(name) is not None and len(found[name]) != 1:
            raise Malformed("bad_option", f"{name} is one character")
        if found.get(name) in ("\r", "\n", "\0"):
            raise Malformed("bad_option", f"{name} is no end of a line and no NUL")
    delimiters = {found["delimiter"]} if found.get("delimiter") else {",", "\t"}
    if delimiters & {found.get("quote", '"'), found.get("escape")}:
        raise Malformed("bad_option", "quote and escape are other characters than the delimiter")
    return Options(**found)


def _meant(name: str, kind: Any, text: str) -> Any:
    if name == "types":
        pairs = tuple(tuple(each.rsplit(":", 1)) for each in text.split(","))
        if not all(len(pair) == 2 and pair[1] in TYPES for pair in pairs):
            raise Malformed("bad_option", f"types is column:kind, comma-separated; kinds are {', '.join(TYPES)}")
        return pairs
    if kind is bool:
        if text not in ("true", "false"):
            raise Malformed("bad_option", f"{name} is true or false")
        return text == "true"
    if kind is int:
        if not text.isdecimal() or len(text) > 9:
            raise Malformed("bad_option", f"{name} is a number, 0 or more")
        return int(text)
    if get_origin(kind) is Literal:
        if text not in get_args(kind):
            raise Malformed("bad_option", f"{name} is one of {', '.join(get_args(kind))}")
        return text
    if get_origin(kind) is tuple:
        return tuple(text.split(","))
    return {"\\t": "\t", "tab": "\t"}.get(text, text)
