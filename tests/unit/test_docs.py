"""Documents that follow from code are fresh, links lead somewhere, and every error code is explained."""

import ast
import re
from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest

from headwater.settings_docs import documents
from infra.problems import BY_STATUS, STATUS

ROOT = Path(__file__).parents[2]
PAGES = sorted([*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md")])
SOURCES = [
    path
    for floor in ("headwater", "infra", "bounded_contexts", "shared_kernel")
    for path in (ROOT / floor).rglob("*.py")
]
STATUSES = {kind.__name__: int(status) for kind, status in STATUS}


@pytest.mark.parametrize("path", sorted(documents()), ids=lambda path: str(path.name))
def test_what_follows_from_the_settings_is_fresh(path: Path) -> None:
    assert path.read_text() == documents()[path]


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_every_link_leads_somewhere(page: Path) -> None:
    links = re.findall(r"\]\(([^)#\s]+)[^)]*\)", page.read_text())

    assert [link for link in links if "://" not in link and not (page.parent / link).exists()] == []


def test_every_page_that_code_names_is_there() -> None:
    named = {name for path in SOURCES for name in re.findall(r"docs/[a-z-]+\.md", path.read_text())}
    decisions = {number for path in SOURCES for number in re.findall(r"docs/adr/(\d{4})", path.read_text())}

    assert named
    assert [name for name in sorted(named) if not (ROOT / name).exists()] == []
    assert [number for number in sorted(decisions) if not list((ROOT / "docs" / "adr").glob(f"{number}-*.md"))] == []


def test_the_error_codes_are_exactly_those_of_the_code() -> None:
    rows = re.findall(r"^\| (`.*?) \| (\d{3}) \|", (ROOT / "docs" / "errors.md").read_text(), re.MULTILINE)
    explained = {(code, int(status)) for codes, status in rows for code in re.findall(r"`([a-z_]+)`", codes)}
    raised = {found for path in SOURCES for found in codes_in(ast.parse(path.read_text()))}

    assert explained == raised | {(code, status) for status, code in BY_STATUS.items()}


def codes_in(module: ast.Module) -> Iterator[tuple[str, int]]:
    """Yield each code with its status. Codes that are handed on are found where they are handed over."""
    words = {name: word for node in module.body for name, word in named_words(node)}
    for call in ast.walk(module):
        if not isinstance(call, ast.Call):
            continue
        name = call.func.attr if isinstance(call.func, ast.Attribute) else getattr(call.func, "id", "")
        given = [word_of(argument, words) for argument in call.args]
        match name, given:
            case str(kind), [str(code), *_] if kind in STATUSES:
                yield code, STATUSES[kind]
            case "checked", [_, _, str(code)]:
                yield code, 422
            case "open", [str(kind), *_] if ast.unparse(call.func).endswith("tokens.open"):
                yield f"invalid_{kind}", 422
            case "problem", [int(status), str(code), *_]:
                yield code, status
            case "_refuse", [_, _, int(status), str(code), *_]:
                yield code, status


def named_words(node: ast.stmt) -> Iterator[tuple[str, object]]:
    if isinstance(node, ast.Assign) and isinstance(node.value, ast.Constant):
        yield from ((target.id, node.value.value) for target in node.targets if isinstance(target, ast.Name))


def word_of(argument: ast.expr, words: Mapping[str, object]) -> object:
    return argument.value if isinstance(argument, ast.Constant) else words.get(getattr(argument, "id", ""))
