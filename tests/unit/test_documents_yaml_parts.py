"""YAML that is read part by part means what it means as a whole."""

from typing import Any

import pytest

from bounded_contexts.documents.adapters.formats import yaml_parts
from bounded_contexts.documents.domain.errors import TooLarge, Unreadable
from bounded_contexts.documents.domain.limits import Limits
from tests.unit.document_values import refused, value_of

ITEMS = (
    "- a: 1\n  b: [1, 2]\n",
    "- plain\n",
    "- 'quoted\n\n  and more'\n",
    "- |\n  block\n   text\n\n\n",
    "- >+\n  folded\n  text\n\n\n",
    "- - 1\n  - 2\n",
    "# a comment\n\n- {a: 1,\n   b: ~}\n",
    "- ? complex\n  : value\n",
    "- 0o17\n- .inf\n- -0\n- 1e400\n- 0x1F\n",
    "- &x {k: 1}\n- *x\n- <<: *x\n  l: 2\n",
    "-\n",
    '- "a\\n- b"\n',
    "- a: 'x\n\n  - y\n'\n",
    '- "x\n- y"\n',
    "- [1,\n- 2]\n",
    "- é: ü\r\n",
    "- !!str 1\n",
)
DOCUMENTS = ("a: 1\n", "- 1\n- 2\n", "text\n", "|\n text\n\n", "", "{a: [1]}\n", "&x 1\n", "# nothing\n", "'a\n b'\n")


def outcome(text: str, part: int, **options: Any) -> Any:
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(yaml_parts, "PART", part)
        try:
            return repr(value_of(text.encode(), "yaml", **options))
        except Unreadable as error:
            return error.code, error.detail, dict(error.more)


@pytest.mark.parametrize("item", ITEMS)
@pytest.mark.parametrize("head", ["", "---\n", "# first\n\n--- # list\n# second\n", "%YAML 1.2\n---\n"])
@pytest.mark.parametrize("yaml", ["1.2", "1.1"])
def test_list_is_the_same_item_by_item(item: str, head: str, yaml: str) -> None:
    text = head + "".join(item if number % 3 else "- x: y\n  z: 0\n" for number in range(40))

    assert outcome(text, 64, yaml=yaml) == outcome(text, 1 << 30, yaml=yaml)


@pytest.mark.parametrize("first", DOCUMENTS)
@pytest.mark.parametrize("second", DOCUMENTS)
def test_documents_are_the_same_one_by_one(first: str, second: str) -> None:
    for head in ("", "---\n"):
        text = head + "---\n".join([first, second] * 10)
        assert outcome(text, 64) == outcome(text, 1 << 30)


@pytest.mark.parametrize(
    "wrong", ["- a: b: c\n", "- [1\n", "- 'x\n", "-\ta\n", "b: 1\n", "- *nobody\n", "- a: 1\n  a: 2\n", "- @\n"]
)
def test_error_has_the_line_of_the_whole(wrong: str) -> None:
    text = "- x: y\n  z: [1,\n   2]\n" * 30 + wrong + "- x: y\n" * 30

    in_parts, as_a_whole = outcome(text, 64), outcome(text, 1 << 30)

    assert in_parts[0] == as_a_whole[0]
    assert in_parts[2] == as_a_whole[2]


def test_item_that_never_ends_is_refused_within_its_limit() -> None:
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(yaml_parts, "PART", 64)
        assert refused(b"- |\n" + b" x\n" * 5_000, "yaml", Limits(item_bytes=1_000)).more["limit"] == "item_bytes"


@pytest.mark.parametrize("text", ["[1,", "- - - - ", "{a: {b: ", "x:\n- 1\n"])
def test_tree_of_tiny_nodes_is_refused_before_it_is_made(text: str) -> None:
    error = refused((text * 1_000).encode(), "yaml", Limits(nodes=900))

    assert isinstance(error, TooLarge)
    assert error.more["limit"] == "nodes"
