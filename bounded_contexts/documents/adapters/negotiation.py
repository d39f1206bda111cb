"""Which formats a request means, from what its head says (docs/documents.md). The document itself is not looked at."""

import re
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Final
from urllib.parse import quote

from starlette.requests import Request

from bounded_contexts.documents.adapters.catalogue import BY_EXTENSION, BY_MEDIA_TYPE, FORMATS
from bounded_contexts.documents.adapters.formats.conversion import Format
from bounded_contexts.documents.adapters.header_parameters import extended, parameters_of
from bounded_contexts.documents.application.ports import Packed, Packing, Task
from bounded_contexts.documents.domain.options import options_of
from shared_kernel.errors import Malformed, NotAcceptable, Unsupported

# What programs send that know no type: they say nothing of the format.
UNTOLD: Final = frozenset({
    "", "application/octet-stream", "application/x-www-form-urlencoded", "text/plain", "binary/octet-stream", "*/*",
})  # fmt: skip
SUFFIXES: Final = {"+json": "json", "+xml": "xml", "+yaml": "yaml", "+msgpack": "msgpack"}
PACKINGS: Final[dict[str, Packing]] = {
    "": "identity", "identity": "identity", "gzip": "gzip", "x-gzip": "gzip", "deflate": "deflate", "br": "br", "zstd": "zstd",
}  # fmt: skip
PACKED: Final[tuple[Packed, ...]] = ("zstd", "gzip", "br")  # the quickest first
QUALITY: Final = re.compile(r"(0(\.\d{0,3})?|1(\.0{0,3})?)")
RANGES: Final = 50  # of one Accept; more are not read
NAME: Final = 100  # characters of a file's name
KEPT: Final = 255  # of one that is kept with a job
NEGOTIATED: Final = ("content-type", "content-disposition", "content-encoding", "accept")
UNFIT: Final = re.compile(
    r'[\x00-\x1f\x7f-\x9f"\\/:*?<>|\u202a-\u202e\u2066-\u2069\ud800-\udfff]+'
)  # for names of files anywhere


@dataclass(frozen=True, slots=True)
class Asked:
    """A conversion as a request's head asks for it."""

    task: Task
    write: Format
    filename: str | None
    own: Mapping[str, str | None]  # the parameters that are no options


def asked_of(request: Request, own: Collection[str]) -> Asked:
    """Return what the head asks for, `own` being the parameters that are no options.

    Raise `Malformed`, `Unsupported`, `NotAcceptable`: nothing of the body was read."""
    given = request.query_params.multi_items()
    asked = dict(given)
    if len(asked) < len(given):
        raise Malformed("bad_option", "each parameter is said once")
    ours = {name: asked.pop(name, None) for name in own}
    headers = {name: ", ".join(request.headers.getlist(name)) for name in NEGOTIATED}
    filename = filename_of(ours["filename"], headers["content-disposition"])
    read = read_format(ours["from"], headers["content-type"], filename)
    write = write_format(ours["to"], headers["accept"])
    options = {**told_by_type(headers["content-type"], read), **asked}
    options_of(options)
    task = Task(read.name if read else None, write.name, options, packing_of(headers["content-encoding"]))
    return Asked(task, write, filename, ours)


def named(name: str, parameter: str) -> Format:
    """Return the format of this name. Raise `Malformed` if there is none."""
    if (found := FORMATS.get(name.lower())) is None:
        raise Malformed("unknown_format", f"{parameter}={name[:40]!r} is none of {', '.join(FORMATS)}")
    return found


def read_format(asked: str | None, content_type: str, filename: str | None) -> Format | None:
    """Return what the body is: as the query says, else its type, else its file's name; None where it has to be looked at.

    Raise `Malformed` for no name of a format, `Unsupported` for a type that is none of ours."""
    if asked is not None:
        return named(asked, "from")
    media_type = content_type.partition(";")[0].strip().lower()
    if media_type not in UNTOLD:
        if (found := of_media_type(media_type)) and found.is_read:
            return found
        read = (name for name, each in BY_MEDIA_TYPE.items() if each.is_read)
        raise Unsupported("unsupported_media_type", f"read are {', '.join(sorted(read))}")
    found = BY_EXTENSION.get(_extension(filename)) if filename else None
    return found if found and found.is_read else None


def write_format(asked: str | None, accept: str) -> Format:
    """Return what is to be written: as the query says, else what the client likes best, in its order.

    Raise `Malformed` where it says nothing, `NotAcceptable` where it takes nothing of ours."""
    if asked is not None:
        return named(asked, "to")
    ranges = _ranges(accept)
    if all(range_ == "*/*" for range_, _ in ranges):
        raise Malformed("format_missing", f"say `to=` one of {', '.join(FORMATS)}, or `Accept`")
    best = max(FORMATS.values(), key=lambda each: _liking(each, ranges))
    if _liking(best, ranges)[0] == 0:
        raise NotAcceptable("not_acceptable", f"written are {', '.join(each.media_type for each in FORMATS.values())}")
    return best


def of_media_type(media_type: str) -> Format | None:
    """Return the format of the type, or of what the type is said to be built on."""
    if found := BY_MEDIA_TYPE.get(media_type):
        return found
    suffix = next((name for end, name in SUFFIXES.items() if media_type.endswith(end)), None)
    return FORMATS[suffix] if suffix else None


def _ranges(accept: str) -> list[tuple[str, float]]:
    ranges = []
    for each in (accept or "*/*").split(",")[:RANGES]:
        range_, *parameters = (part.strip().lower() for part in each.split(";"))
        given = next((part[2:] for part in parameters if part.startswith("q=")), "1")
        if range_:
            ranges.append((range_, float(given) if QUALITY.fullmatch(given) else 0.0))
    return ranges or [("*/*", 1.0)]


def _liking(format_: Format, ranges: Sequence[tuple[str, float]]) -> tuple[float, int, int]:
    """Return how much the client likes the format: by the range that says most of it, then that range's place."""
    found = (0, 0.0, 0)
    for place, (range_, quality) in enumerate(ranges):
        found = max(found, (_precision(range_, format_), quality, -place))
    precision, quality, place = found
    return (quality, place, precision) if precision else (0.0, 0, 0)


def _precision(range_: str, format_: Format) -> int:
    if of_media_type(range_) is format_:
        return 3
    if range_ == "*/*":
        return 1
    return 2 if range_.endswith("/*") and format_.media_type.startswith(range_[:-1]) else 0


def packing_of(content_encoding: str) -> Packing:
    """Return how the body is packed. Raise `Unsupported`."""
    if (found := PACKINGS.get(content_encoding.strip().lower())) is None:
        raise Unsupported("unsupported_content_encoding", "unpacked are gzip, deflate, br and zstd, one of them")
    return found


def packing_for(accept_encoding: str) -> Packed:
    """Return how the client has the result packed: of what it takes as gladly, the quickest to pack; not at all where it says
    nothing, or likes that best."""
    liked = dict(reversed(_ranges(accept_encoding))) if accept_encoding else {}
    best = max(PACKED, key=lambda each: liked.get(each, 0.0))
    return best if liked.get(best, 0.0) > 0 and liked.get(best, 0.0) >= liked.get("identity", 0.0) else "identity"


def told_by_type(content_type: str, read: Format | None) -> dict[str, str]:
    """Return the options that the body's type says: its charset, and for CSV whether there is a header (RFC 4180)."""
    told = parameters_of(content_type)
    options = {}
    if (charset := told.get("charset")) and (read is None or read.is_text):
        options["charset"] = charset.lower()
    if read is FORMATS["csv"] and told.get("header", "").lower() == "absent":
        options["header"] = "no"
    return options


def filename_of(asked: str | None, content_disposition: str) -> str | None:
    """Return the name of the file that the body was."""
    if asked:
        return asked
    told = parameters_of(content_disposition)
    return extended(told.get("filename*", "")) or told.get("filename") or None


def kept_name(filename: str | None) -> str | None:
    """Return the file's name as it may be kept and shown: without directories and signs that do harm there."""
    name = UNFIT.sub("_", (filename or "").replace("\\", "/").rpartition("/")[2])
    return name[-KEPT:] or None


def content_type_of(write: Format, options: Mapping[str, str]) -> str:
    """Return the result's type. Raise `Malformed` for a charset that no header can name."""
    if not write.is_text or write.media_type == "application/json" or write.name == "ndjson":
        return write.media_type  # JSON is UTF-8 and has no such parameter (RFC 8259)
    charset = options.get("output_charset", "utf-8")
    if not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9._-]{0,39}", charset):
        raise Malformed("bad_option", "output_charset is the name of a charset")
    return f"{write.media_type}; charset={charset}"


def disposition_of(filename: str | None, write: Format) -> str:
    """Return what the result's file is called (RFC 6266): as the one that came, with its own extension."""
    stem = UNFIT.sub("_", (filename or "").replace("\\", "/").rpartition("/")[2])
    stem = stem.rpartition(".")[0] if _extension(stem) in BY_EXTENSION else stem
    return attachment(f"{stem.strip('. ')[:NAME] or 'converted'}.{write.extensions[0]}")


def attachment(name: str) -> str:
    """Return the field that has a file of this name, which is fit for it, saved and not shown (RFC 6266)."""
    plain = name.encode("ascii", errors="replace").decode().replace("?", "_")
    more = f"; filename*=UTF-8''{quote(name, safe='')}" if plain != name else ""
    return f'attachment; filename="{plain}"{more}'


def _extension(filename: str) -> str:
    return filename.rpartition(".")[2].lower() if "." in filename else ""
