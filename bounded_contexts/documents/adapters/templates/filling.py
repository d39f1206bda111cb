"""A template and data into one file. It needs no server and keeps nothing, so it may run in a worker. docs/templates.md"""

import io
import zipfile
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Final, Protocol
from zoneinfo import ZoneInfo

from bounded_contexts.documents.adapters.engines.locales import BabelFormats
from bounded_contexts.documents.adapters.engines.rendering import Rendering, render_document
from bounded_contexts.documents.adapters.engines.validating import checked, parsed
from bounded_contexts.documents.adapters.packed import Sink, entry
from bounded_contexts.documents.adapters.templates.package import Package
from bounded_contexts.documents.adapters.templates.program import Filling
from bounded_contexts.documents.adapters.templates.word import WordTemplate
from bounded_contexts.documents.adapters.templates.workbook import WorkbookTemplate
from bounded_contexts.documents.domain.errors import TooLarge, Unreadable, Unwritable
from bounded_contexts.documents.domain.fitting import restored
from bounded_contexts.documents.domain.rendering.fidelity import Target
from bounded_contexts.documents.domain.rendering.functions import Context
from bounded_contexts.documents.domain.rendering.limits import RenderLimits
from bounded_contexts.documents.domain.rendering.telling import Strictness, Telling
from bounded_contexts.documents.domain.rendering.variables import Variable, Variables
from bounded_contexts.documents.domain.template import Kind
from bounded_contexts.documents.domain.values import Value

CHUNK: Final = 64 * 1024
_ZIP: Final = b"PK\x03\x04"
_OLE: Final = b"\xd0\xcf\x11\xe0"


@dataclass(frozen=True, slots=True)
class Manner:
    """How data is written; nothing of it means as the JSON template says, or English, UTC and `warn`."""

    locale: str | None = None
    time_zone: str | None = None
    strictness: Strictness | None = None


_PLAIN: Final = Manner()


class _Template(Protocol):
    def gather(self, variables: Variables) -> None: ...

    def parts(self, filling: Filling) -> Iterator[tuple[str, Iterator[bytes]]]: ...


def inspected(template: bytes, limits: RenderLimits, *, may_have_data: bool = False) -> tuple[Kind, list[Variable]]:
    """Return the kind of a template that is fit to be one, and what it needs, in the order in which it is met. `may_have_data`
    takes a document with its data, too, which is not looked at. Raise `Unreadable`, `Invalid`, `TooLarge`."""
    kind, compiled = _compiled(template, limits, may_have_data=may_have_data)
    variables = Variables()
    if isinstance(compiled, dict):
        variables.document(compiled)
    else:
        compiled.gather(variables)
    return kind, variables.found


def fill(
    template: bytes, data: bytes, target: Target, rendering: Rendering, manner: Manner = _PLAIN
) -> Iterator[bytes]:
    """Yield the file of a template and its data (a JSON object), piece by piece; the same of both give the same bytes.

    Raise `Unreadable`, `Invalid`, `Unwritable` or `TooLarge`, also between two pieces: what was yielded is no file then."""
    limits = rendering.limits
    kind, compiled = _compiled(template, limits)
    values = parsed(data, limits)
    if not isinstance(values, dict):
        raise Unreadable("bad_data", "the data of a template is one JSON object")
    if isinstance(compiled, dict):
        yield from render_document(
            checked(_with(compiled, values, manner), limits, rendering.assets), target, rendering
        )
        return
    if kind != target:
        raise Unwritable("wrong_target", f"a template that is {kind.upper()} makes {kind.upper()}")
    rendering.losses.notes["engine"] = "headwater"
    telling = Telling(target, manner.strictness or "warn", rendering.losses)
    try:
        formats = BabelFormats(manner.locale or "en", manner.time_zone or "UTC")
    except LookupError as error:
        raise Unreadable("bad_option", str(error.args[0])) from None
    context = Context(restored(values, "/data"), formats, telling.warn, limits)
    total = 0
    filling = Filling(context, telling, ZoneInfo(manner.time_zone or "UTC"))
    for piece in _packed(compiled.parts(filling)):
        total += len(piece)
        if total > limits.output_bytes:
            raise TooLarge("output_bytes", limits.output_bytes)
        yield piece


def _compiled(
    template: bytes, limits: RenderLimits, *, may_have_data: bool = False
) -> tuple[Kind, "dict[str, Any] | _Template"]:
    if len(template) > limits.input_bytes:
        raise TooLarge("input_bytes", limits.input_bytes)
    if not template.startswith((_ZIP, _OLE)):
        value = parsed(template, limits)
        if isinstance(value, dict) and may_have_data:
            value = value.get("template", {name: each for name, each in value.items() if name != "data"})
        if isinstance(value, dict) and "data" in value:
            raise Unreadable("bad_template", "a template is a document without data")
        checked(value, limits, None)
        return "json", value
    package = Package(template)
    if package.target == "docx":
        return "docx", WordTemplate(package)
    return "xlsx", WorkbookTemplate(package, template)


def _with(template: dict[str, Any], data: Value, manner: Manner) -> dict[str, Any]:
    given = {"locale": manner.locale, "timeZone": manner.time_zone, "strictness": manner.strictness}
    return {**template, **{name: each for name, each in given.items() if each is not None}, "data": data}


def _packed(parts: Iterator[tuple[str, Iterator[bytes]]]) -> Iterator[bytes]:
    sink = Sink()
    with zipfile.ZipFile(sink, "w", zipfile.ZIP_DEFLATED) as package:  # type: ignore[call-overload]
        for name, pieces in parts:
            with package.open(entry(name), "w", force_zip64=True) as part:
                waiting = io.BytesIO()
                for piece in pieces:
                    waiting.write(piece)
                    if waiting.tell() > CHUNK:
                        part.write(waiting.getvalue())
                        waiting = io.BytesIO()
                        yield sink.taken()
                part.write(waiting.getvalue())
            yield sink.taken()
    yield sink.taken()
