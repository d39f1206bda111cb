"""The command `render`."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated

import typer

from headwater.console import Json, err, plain, print_json, told
from headwater.convert_cli import complete, opened, report
from infra.local.errors import StackError

if TYPE_CHECKING:
    from bounded_contexts.documents.domain.rendering.problems import Problem


def render(
    source: Annotated[str, typer.Argument(metavar="IN", help="The document (JSON); - is standard input.")],
    target: Annotated[
        str | None, typer.Argument(metavar="OUT", help="The file to write; - is standard output.", show_default=False)
    ] = None,
    write: Annotated[str | None, typer.Option("--to", help="pdf, docx or xlsx; default: what OUT ends with.")] = None,
    check: Annotated[bool, typer.Option("--check", help="Only tell all that is wrong with the document.")] = False,
    as_json: Json = False,
) -> None:
    """Make a PDF, DOCX or XLSX of a document (docs/rendering.md), without any server, and tell what became other than asked.

    OUT appears when it is complete: after an error there is none, and a former one is as it was."""
    from bounded_contexts.documents.adapters.engines import rendering
    from bounded_contexts.documents.domain.rendering.problems import Invalid

    with told():
        if check == (target is not None):
            raise StackError("write either OUT or --check")
        wanted = rendering.target_of(write or target) if target else None
        made = rendering.Rendering()
        with opened(source) as (stream, _):
            data = stream.read(made.limits.input_bytes + 1)
        try:
            if target is None or wanted is None:
                rendering.check(data, made.limits)
                _tell([], as_json)
                return
            with complete(target) as out:
                for piece in rendering.render(data, wanted, made):
                    out.write(piece)
        except Invalid as error:
            _tell(error.problems, as_json)
            raise typer.Exit(1) from None
        report(made.losses, as_json)


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
