"""Published schemas never change, and every version can read every other one."""

import itertools
import json
from pathlib import Path

import pytest
from avro.compatibility import ReaderWriterCompatibilityChecker, SchemaCompatibilityType
from avro.schema import parse

from infra import schema_compiler
from infra.schema_compiler import SchemaError, SchemaFile, read_schemas

FIRST = {
    "type": "record",
    "name": "ThingHappened",
    "namespace": "headwater.things",
    "doc": "It happened.",
    "topic": "things",
    "key": "thing_id",
    "visibility": "public",
    "fields": [{"name": "thing_id", "type": {"type": "string", "logicalType": "uuid"}}],
}


def by_subject() -> dict[str, list[SchemaFile]]:
    return {subject: list(files) for subject, files in itertools.groupby(read_schemas(), lambda file: file.subject)}


@pytest.mark.parametrize("subject", sorted(by_subject()))
def test_all_versions_are_compatible_both_ways(subject: str) -> None:
    for one, other in itertools.product(by_subject()[subject], repeat=2):
        reader, writer = parse(json.dumps(one.schema)), parse(json.dumps(other.schema))
        checker = ReaderWriterCompatibilityChecker()  # type: ignore[no-untyped-call]
        result = checker.get_compatibility(reader, writer)
        assert result.compatibility is SchemaCompatibilityType.compatible, result.messages


def test_generated_files_are_fresh_and_the_lock_holds() -> None:
    assert schema_compiler.check() == []


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """A tree with one published event."""
    (tmp_path / "things").mkdir()
    (tmp_path / "things" / "thing_happened.1.avsc").write_text(json.dumps(FIRST))
    schema_compiler.write(tmp_path)
    return tmp_path


def test_a_published_version_must_not_change(root: Path) -> None:
    changed = FIRST | {"doc": "It happened differently."}
    (root / "things" / "thing_happened.1.avsc").write_text(json.dumps(changed))
    schema_compiler.write(root)

    assert any("must not change" in problem for problem in schema_compiler.check(root))


def test_a_next_version_is_added_behind_the_others(root: Path) -> None:
    fields = [*FIRST["fields"], {"name": "size", "type": "int", "default": 3}]
    (root / "things" / "thing_happened.2.avsc").write_text(json.dumps(FIRST | {"fields": fields}))

    assert any("stale" in problem for problem in schema_compiler.check(root))
    schema_compiler.write(root)

    assert schema_compiler.check(root) == []
    lock = (root / "schemas.lock").read_text().splitlines()
    assert [line.split()[:2] for line in lock[1:]] == [
        ["headwater.things.ThingHappened", "1"],
        ["headwater.things.ThingHappened", "2"],
    ]
    assert "size: int = 3" in (root / "things" / "events.py").read_text()


@pytest.mark.parametrize(
    ("name", "change", "says"),
    [
        ("thing_happened.3.avsc", {}, "version 2 comes next"),
        ("thing-happened.2.avsc", {}, "name it"),
        ("other.1.avsc", {}, "do not agree"),
        ("thing_happened.2.avsc", {"key": "nothing"}, "key names no field"),
        ("thing_happened.2.avsc", {"namespace": "elsewhere"}, "do not agree"),
    ],
)
def test_a_file_that_breaks_a_rule_is_named(root: Path, name: str, change: dict[str, str], says: str) -> None:
    (root / "things" / name).write_text(json.dumps(FIRST | change))

    with pytest.raises(SchemaError, match=says):
        read_schemas(root)
