"""docs/rendering.md and the published schema say of documents what the code says."""

import json
import re
from pathlib import Path

import jsonschema_rs

from bounded_contexts.documents.adapters.engines.rendering import check
from bounded_contexts.documents.adapters.engines.validating import CODES, OTHER
from bounded_contexts.documents.domain.rendering.fidelity import table
from bounded_contexts.documents.domain.rendering.functions import FUNCTIONS
from bounded_contexts.documents.domain.rendering.schema import BLOCKS, DOCUMENT

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "rendering.md").read_text()


def between(name: str) -> list[str]:
    return PAGE.split(f"<!-- {name}: tests/unit/test_rendering_page.py -->\n")[1].split("<!--")[0].strip().splitlines()


def test_the_table_of_targets_is_the_codes() -> None:
    assert between("targets") == table()


def test_the_table_of_functions_is_the_codes() -> None:
    assert between("functions") == [
        "| Function | Values | |",
        "|---|---|---|",
        *(
            f"| `{name}` | {each.least if each.least == each.most else f'{each.least} to {each.most}'} | {each.says} |"
            for name, each in FUNCTIONS.items()
        ),
        "| `default` | 2 | the second where the first is null or empty |",
    ]


def test_the_published_schema_is_the_codes_and_a_schema() -> None:
    published = json.loads((ROOT / "docs" / "schemas" / "document-1.0.json").read_text())

    assert published == DOCUMENT
    assert jsonschema_rs.meta.is_valid(published)


def test_every_block_and_code_is_named() -> None:
    assert [name for name in (*BLOCKS, *CODES.values(), OTHER) if not re.search(rf"\b{name}\b", PAGE)] == []


def test_the_example_is_a_document() -> None:
    check(PAGE.split("```json\n")[1].split("```")[0].encode())
