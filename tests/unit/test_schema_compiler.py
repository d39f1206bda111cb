"""From Avro types to Python: what is generated runs, and what Avro encodes of it comes back."""

import importlib.util
import io
import json
import sys
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest
from fastavro import schemaless_reader, schemaless_writer

from infra import schema_compiler
from infra.avro import without_logical_types
from infra.schema_compiler import SchemaError

UUID_ = {"type": "string", "logicalType": "uuid"}
MOMENT = {"type": "long", "logicalType": "timestamp-micros"}
ID = UUID(int=7)
NOW = datetime(2026, 1, 2, 3, 4, 5, 678901, UTC)

Generated = Callable[[list[dict[str, Any]]], type[Any]]


def schema(fields: list[dict[str, Any]]) -> dict[str, Any]:
    return {
        "type": "record",
        "name": "ThingHappened",
        "namespace": "headwater.things",
        "doc": "It happened.",
        "topic": "things",
        "key": "thing_id",
        "visibility": "public",
        "fields": [{"name": "thing_id", "type": UUID_}, *fields],
    }


@pytest.fixture
def generated(tmp_path: Path) -> Iterator[Generated]:
    """Return the class that is generated for these fields."""
    names: list[str] = []

    def of(fields: list[dict[str, Any]]) -> type[Any]:
        (tmp_path / "things").mkdir(exist_ok=True)
        (tmp_path / "things" / "thing_happened.1.avsc").write_text(json.dumps(schema(fields)), encoding="utf-8")
        schema_compiler.write(tmp_path)
        names.append(f"generated_{len(names)}")
        spec = importlib.util.spec_from_file_location(names[-1], tmp_path / "things" / "events.py")
        assert spec
        assert spec.loader
        module = importlib.util.module_from_spec(spec)
        sys.modules[names[-1]] = module
        spec.loader.exec_module(module)
        event: type[Any] = module.ThingHappened
        return event

    yield of
    for name in names:
        sys.modules.pop(name, None)


def round_trip(fields: list[dict[str, Any]], event: Any) -> Any:
    """Return the event as it comes back from its Avro bytes."""
    parsed, body = without_logical_types(json.dumps(schema(fields))), io.BytesIO()
    schemaless_writer(body, parsed, event.to_record())
    body.seek(0)
    return type(event).from_record(schemaless_reader(body, parsed, None))


@pytest.mark.parametrize(
    ("kind", "value"),
    [
        ("string", "ü😀"),
        ("int", -3),
        ("long", 2**40),
        ("boolean", True),
        ("double", 1.5),
        ("bytes", b"\0\xff"),
        (UUID_, ID),
        (MOMENT, NOW),
        (["null", "string"], "x"),
        (["null", "string"], None),
        (["null", UUID_], ID),
        (["null", UUID_], None),
        (["null", MOMENT], NOW),
        ({"type": "array", "items": "string"}, ("a", "b")),
        ({"type": "array", "items": UUID_}, (ID,)),
        ({"type": "array", "items": {"type": "array", "items": MOMENT}}, ((NOW,), ())),
        (["null", {"type": "array", "items": UUID_}], (ID,)),
        ({"type": "enum", "name": "Kind", "symbols": ["direct", "group"]}, "group"),
        (["null", {"type": "enum", "name": "Kind", "symbols": ["direct", "group"]}], "direct"),
        ({"type": "map", "values": "int"}, {"a": 1}),
        ({"type": "map", "values": UUID_}, {"a": ID}),
        ({"type": "map", "values": {"type": "array", "items": MOMENT}}, {"a": (NOW,)}),
        (["null", {"type": "map", "values": UUID_}], None),
    ],
    ids=str,
)
def test_a_value_of_every_type_comes_back_equal(generated: Generated, kind: Any, value: Any) -> None:
    fields = [{"name": "value", "type": kind}]

    event = generated(fields)(thing_id=ID, value=value)

    assert round_trip(fields, event) == event


@pytest.mark.parametrize(
    ("kind", "default", "value"),
    [
        ("string", "", ""),
        ("string", "a \"b\" 'c' \\ \n 😀", "a \"b\" 'c' \\ \n 😀"),
        ("int", 3, 3),
        ("boolean", False, False),
        ("double", 0.5, 0.5),
        (["null", "string"], None, None),
        (["null", UUID_], None, None),
        ({"type": "enum", "name": "Kind", "symbols": ["direct", "group"]}, "direct", "direct"),
        ({"type": "array", "items": "string"}, [], ()),
    ],
    ids=str,
)
def test_a_default_is_what_avro_says(generated: Generated, kind: Any, default: Any, value: Any) -> None:
    fields = [{"name": "value", "type": kind, "default": default}]

    event = generated(fields)(thing_id=ID)

    assert event.value == value
    assert round_trip(fields, event) == event


@pytest.mark.parametrize(
    ("kind", "default"),
    [
        ({"type": "map", "values": "int"}, {}),
        ({"type": "array", "items": "int"}, [1]),
        (UUID_, str(ID)),
        (MOMENT, 0),
        ("bytes", "\u00ff"),
    ],
    ids=str,
)
def test_a_default_that_python_cannot_share_is_refused(generated: Generated, kind: Any, default: Any) -> None:
    with pytest.raises(SchemaError, match="default"):
        generated([{"name": "value", "type": kind, "default": default}])


def test_fields_with_a_default_may_stand_before_those_without(generated: Generated) -> None:
    fields: list[dict[str, Any]] = [
        {"name": "size", "type": "int", "default": 3},
        {"name": "note", "type": "string"},
    ]

    assert generated(fields)(thing_id=ID, note="n").size == 3


def test_the_class_says_about_itself_what_the_file_says(generated: Generated) -> None:
    event = generated([{"name": "size", "type": "int", "doc": "Metres."}])

    assert (event.NAME, event.VERSION, event.TOPIC) == ("headwater.things.ThingHappened", 1, "things")
    assert (event.KEY, event.ID, event.VISIBILITY) == ("thing_id", None, "public")
    assert (event.SCHEMA, event.__doc__) == ("things/thing_happened.1.avsc", "It happened.")


def test_events_are_frozen_and_take_no_other_fields(generated: Generated) -> None:
    event = generated([{"name": "size", "type": "int"}])

    with pytest.raises(TypeError):
        event(thing_id=ID, size=1, more=2)
    with pytest.raises(AttributeError):
        event(thing_id=ID, size=1).size = 2


LINE = {
    "type": "record",
    "name": "Line",
    "doc": "A part of a thing.",
    "fields": [{"name": "part_id", "type": UUID_}, {"name": "made_at", "type": ["null", MOMENT], "default": None}],
}


@pytest.mark.parametrize(
    "kind", [LINE, ["null", LINE], {"type": "array", "items": LINE}, {"type": "map", "values": LINE}]
)
def test_a_record_within_an_event_is_a_class_of_its_own(generated: Generated, kind: Any) -> None:
    fields = [{"name": "value", "type": kind}]
    event = generated(fields)
    line = sys.modules[event.__module__].Line(part_id=ID, made_at=NOW)
    value = {"array": (line, line), "map": {"a": line}}.get(kind["type"] if isinstance(kind, dict) else "", line)

    made = event(thing_id=ID, value=value)

    assert round_trip(fields, made) == made


def test_one_name_means_one_record_in_a_context(generated: Generated, tmp_path: Path) -> None:
    generated([{"name": "value", "type": LINE}])
    other = LINE | {"fields": [{"name": "size", "type": "int"}]}
    text = json.dumps(schema([{"name": "value", "type": other}]) | {"name": "ThingEnded"})
    (tmp_path / "things" / "thing_ended.1.avsc").write_text(text)

    with pytest.raises(SchemaError, match="Line is another record elsewhere"):
        schema_compiler.generate(tmp_path)


@pytest.mark.parametrize(
    "kind",
    [
        "float",
        ["null", "string", "int"],
        ["string", "null"],
        ["string"],
        {"type": "fixed", "name": "F", "size": 4},
        {"type": "record", "name": "R", "doc": "Of nothing.", "fields": []},
        {"type": "record", "name": "R", "fields": [{"name": "size", "type": "int"}]},
        {"type": "array", "items": "R"},
    ],
    ids=str,
)
def test_a_type_the_generator_does_not_know_is_named(generated: Generated, kind: Any) -> None:
    with pytest.raises(SchemaError):
        generated([{"name": "value", "type": kind}])


@pytest.mark.parametrize("missing", ["topic", "key", "visibility", "doc"])
def test_an_attribute_every_event_needs_is_named_when_missing(tmp_path: Path, missing: str) -> None:
    (tmp_path / "things").mkdir()
    text = json.dumps({name: value for name, value in schema([]).items() if name != missing})
    (tmp_path / "things" / "thing_happened.1.avsc").write_text(text)

    with pytest.raises(SchemaError, match=f"attribute {missing} is missing"):
        schema_compiler.read_schemas(tmp_path)


def test_writing_again_changes_nothing(generated: Generated, tmp_path: Path) -> None:
    generated([{"name": "size", "type": "int"}])

    assert schema_compiler.write(tmp_path) == []
    assert schema_compiler.check(tmp_path) == []
