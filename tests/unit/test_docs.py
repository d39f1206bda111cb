"""Documents that follow from code are fresh, links lead somewhere, and every error code is explained."""

import re
from pathlib import Path

import pytest

from headwater.settings_docs import documents
from infra.problems import BY_STATUS

ROOT = Path(__file__).parents[2]
PAGES = sorted([*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md")])
SOURCES = [
    path
    for floor in ("headwater", "infra", "bounded_contexts", "shared_kernel")
    for path in (ROOT / floor).rglob("*.py")
]
RAISED = re.compile(
    r"(?:Refused|Forbidden|NotFound|Conflict|Unavailable|Unauthenticated)\(\s*\"([a-z_]+)\"|problem\(\s*\d+, \"([a-z_]+)\""
)


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


def test_every_error_code_is_explained() -> None:
    raised = {code for path in SOURCES for pair in RAISED.findall(path.read_text()) for code in pair if code}
    explained = set(
        re.findall(
            r"`([a-z_]+)`",
            "".join(re.findall(r"^\| (`.*?) \|", (ROOT / "docs" / "errors.md").read_text(), re.MULTILINE)),
        )
    )

    assert raised | set(BY_STATUS.values()) <= explained
