"""docs/documents.md says of formats, options and codes what the code says."""

import ast
import re
from dataclasses import fields
from pathlib import Path

from bounded_contexts.documents.adapters.catalogue import FORMATS
from bounded_contexts.documents.adapters.option_texts import OPTIONS
from bounded_contexts.documents.domain.options import Options

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "documents.md").read_text()
SOURCES = sorted((ROOT / "bounded_contexts" / "documents").rglob("*.py"))


def test_the_table_of_formats_is_the_codes() -> None:
    table = PAGE.split("test_documents_page.py -->\n")[1].split("<!--")[0].splitlines()[2:]
    rows = [
        f"| {each.title} | `{each.name}` | `{each.media_type}` | {', '.join(f'`.{end}`' for end in each.extensions)} "
        f"| {'yes' if each.streams_in else 'no' if each.is_read else '–'} | {'yes' if each.streams_out else 'no'} |"
        for each in FORMATS.values()
    ]

    assert table == rows


def test_the_table_of_pairs_is_the_codes() -> None:
    table = PAGE.split("<!-- pairs:")[1].split("-->\n")[1].split("<!--")[0].splitlines()

    assert table == pairs()


def pairs() -> list[str]:
    """Return which pairs stream, as the page has it."""
    written = list(FORMATS.values())
    head = ["| From, to |", *(f" `{each.name}` |" for each in written)]
    rows = [
        "".join(
            [
                f"| `{read.name}` |",
                *(f" {'yes' if read.streams_in and each.streams_out else '–'} |" for each in written),
            ]
        )
        for read in written
        if read.is_read
    ]
    return ["".join(head), "|---" * (len(written) + 1) + "|", *rows]


def test_every_option_is_explained_to_programs() -> None:
    assert sorted(OPTIONS) == sorted(each.name for each in fields(Options))


def test_every_option_is_in_its_table() -> None:
    table = PAGE.split("## Options")[1].split("## Refusals")[0]
    named = [
        name for row in table.splitlines()[4:] for name in re.findall(r"`([a-z_]+)`", row.split("|")[1] if row else "")
    ]

    assert sorted(named) == sorted(each.name for each in fields(Options))


def test_every_code_is_named() -> None:
    calls = [call for path in SOURCES for call in ast.walk(ast.parse(path.read_text())) if isinstance(call, ast.Call)]
    codes = {
        call.args[0].value
        for call in calls
        if getattr(call.func, "id", getattr(call.func, "attr", "")) in ("Unreadable", "Unwritable", "add", "lose")
        and call.args
        and isinstance(call.args[0], ast.Constant)
    }

    assert codes
    pages = PAGE + "".join(
        [(ROOT / "docs" / f"{name}.md").read_text() for name in ("rendering", "templates", "assets")]
    )
    assert [code for code in sorted(map(str, codes)) if f"`{code}`" not in pages] == []
