"""The command `render`."""

import gc
import signal
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Annotated, BinaryIO

import typer

from headwater.console import Json, err, plain, print_json, show, told
from headwater.convert_cli import complete, opened, report
from infra.local.errors import StackError

if TYPE_CHECKING:
    from bounded_contexts.documents.adapters.engines.rendering import Rendering
    from bounded_contexts.documents.domain.rendering.fidelity import Target
    from bounded_contexts.documents.domain.rendering.problems import Problem


def render(
    source: Annotated[
        str,
        typer.Argument(
            metavar="IN", help="The document (JSON), or with its rows behind it (.ndjson); - is standard input."
        ),
    ],
    target: Annotated[
        str | None, typer.Argument(metavar="OUT", help="The file to write; - is standard output.", show_default=False)
    ] = None,
    write: Annotated[str | None, typer.Option("--to", help="pdf, docx or xlsx; default: what OUT ends with.")] = None,
    lines: Annotated[
        bool, typer.Option("--ndjson", help="IN is a document in one line and its rows in the following ones.")
    ] = False,
    check: Annotated[bool, typer.Option("--check", help="Only tell all that is wrong with the document.")] = False,
    template: Annotated[
        str | None, typer.Option(help="A document without data, DOCX or XLSX to fill in; IN is its data then.")
    ] = None,
    locale: Annotated[str | None, typer.Option(help="How the template's numbers and dates are written.")] = None,
    time_zone: Annotated[str | None, typer.Option(help="Where the template's times are told.")] = None,
    seconds: Annotated[int, typer.Option(min=1, max=86_400, help="Processor time that it may take.")] = 300,
    asset: Annotated[
        list[str] | None,
        typer.Option(
            metavar="NAME=FILE", help="What a document calls a stored asset: `logo=logo.png`, `logo@3=old.png`."
        ),
    ] = None,
    as_json: Json = False,
) -> None:
    """Make a PDF, DOCX or XLSX of a document (docs/rendering.md) or a template (docs/templates.md), without any server, and
    tell what became other than asked.

    OUT appears when it is complete: after an error there is none, and a former one is as it was."""
    from bounded_contexts.documents.adapters.converting import GARBAGE
    from bounded_contexts.documents.adapters.engines import rendering
    from bounded_contexts.documents.domain.rendering.problems import Invalid

    gc.set_threshold(*GARBAGE)
    with told(), _within(seconds):
        if check == (target is not None) or (check and template):
            raise StackError("write either OUT or --check; a template has OUT")
        wanted = rendering.target_of(write or target) if target else None
        is_lines = lines or source.lower().endswith((".ndjson", ".jsonl"))
        if is_lines and template:
            raise StackError("rows follow a document; those of a template stand in its data")
        made = rendering.Rendering()
        made.assets = dict(_asset(each, made.limits.asset_bytes) for each in asset or ())
        try:
            with opened(source) as (stream, _):
                if target is None or wanted is None:
                    _check(stream, made, is_lines=is_lines)
                    _tell([], as_json)
                    return
                pieces = (
                    _filled(template, stream, wanted, made, locale, time_zone)
                    if template
                    else _rendered(stream, wanted, made, is_lines=is_lines)
                )
                with complete(target) as out:
                    for piece in pieces:
                        out.write(piece)
        except Invalid as error:
            _tell(error.problems, as_json)
            raise typer.Exit(1) from None
        report(made.losses, as_json)


@contextmanager
def _within(seconds: int) -> Iterator[None]:
    """Raise `TooLarge` after so much processor time, as the service does; code of others is left to return first."""
    from bounded_contexts.documents.domain.errors import TooLarge

    def end(_: int, __: object) -> None:
        raise TooLarge("cpu_seconds", seconds)

    before = signal.signal(signal.SIGPROF, end)
    signal.setitimer(signal.ITIMER_PROF, seconds)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_PROF, 0)
        signal.signal(signal.SIGPROF, before)


def _check(stream: BinaryIO, made: "Rendering", *, is_lines: bool) -> None:
    from bounded_contexts.documents.adapters.engines import rendering

    if is_lines:
        rendering.check_lines(stream, made)
    else:
        rendering.check(stream.read(made.limits.input_bytes + 1), made.limits, made.assets)


def _rendered(stream: BinaryIO, wanted: "Target", made: "Rendering", *, is_lines: bool) -> Iterator[bytes]:
    from bounded_contexts.documents.adapters.engines import rendering

    if is_lines:
        return rendering.render_lines(stream, wanted, made)
    return rendering.render(stream.read(made.limits.input_bytes + 1), wanted, made)


def _asset(given: str, limit: int) -> tuple[str, bytes]:
    name, _, file = given.partition("=")
    if not name or not file:
        raise StackError(f"--asset is NAME=FILE, not {given[:60]}")
    with opened(file) as (stream, _):
        return name, stream.read(limit + 1)


def _filled(
    template: str, data: BinaryIO, wanted: "Target", made: "Rendering", locale: str | None, time_zone: str | None
) -> Iterator[bytes]:
    from bounded_contexts.documents.adapters.templates.filling import Manner, fill

    with opened(template) as (stream, _):
        given = stream.read(made.limits.input_bytes + 1)
    values = data.read(made.limits.input_bytes + 1)
    return fill(given, values, wanted, made, Manner(locale, time_zone))


def template_variables(
    source: Annotated[
        str, typer.Argument(metavar="FILE", help="A document, DOCX or XLSX; of a document data is not looked at.")
    ],
    as_json: Json = False,
) -> None:
    """List what a template needs of its data (docs/templates.md). A file that is no template is refused."""
    from bounded_contexts.documents.adapters.templates.filling import inspected
    from bounded_contexts.documents.domain.rendering.limits import RenderLimits
    from bounded_contexts.documents.domain.rendering.problems import Invalid

    with told():
        with opened(source) as (stream, _):
            data = stream.read(RenderLimits().input_bytes + 1)
        try:
            _, found = inspected(data, RenderLimits(), may_have_data=True)
        except Invalid as error:
            _tell(error.problems, as_json)
            raise typer.Exit(1) from None
        rows = [
            {
                "path": each.path,
                "type": each.type,
                "loops": list(each.loops) if as_json else ", ".join(each.loops),
                "required": each.is_required,
            }
            for each in found
        ]
        show(rows, as_json)


def _tell(problems: "Sequence[Problem]", as_json: bool) -> None:
    if as_json:
        print_json(
            {"problems": [{"pointer": each.pointer, "code": each.code, "detail": each.detail} for each in problems]}
        )
        return
    for each in problems:
        err.print(plain(f"{each.pointer or '/'}: {each.code}: {each.detail}"), style="red", markup=False)


def document_schema() -> None:
    """Print the JSON Schema of documents; docs/schemas/document-1.0.json is this."""
    from bounded_contexts.documents.domain.rendering.schema import DOCUMENT

    print_json(DOCUMENT)
