"""Events to bytes and back, over versions, without a registry server."""

import contextlib
import io
import json
from collections.abc import Iterable, Sequence
from dataclasses import MISSING, dataclass, fields, is_dataclass
from datetime import UTC, datetime
from types import NoneType, UnionType
from typing import Any, ClassVar, Literal, Self, Union, get_args, get_origin, get_type_hints
from uuid import UUID

import pytest
from fastavro import parse_schema, schemaless_reader
from hypothesis import given
from hypothesis import strategies as st

from infra import avro
from infra.avro import EVENT_LIMIT, HEADER, Codec, Undecodable, schema_text
from infra.schema_registry import SchemaRegistry
from schemas.catalogue import EVENTS
from schemas.messaging.events import ConversationRenamed, MessageSent
from shared_kernel.events import Event, event_id, event_key


class MemoryRegistry(SchemaRegistry):
    """Subjects and ids as a registry gives them, kept in this process."""

    def __init__(self) -> None:
        self.texts: list[str] = []
        self.asked: list[int] = []

    async def register(self, subject: str, schema: str) -> int:
        if schema not in self.texts:
            self.texts.append(schema)
        return self.texts.index(schema) + 1

    async def schema(self, schema_id: int) -> str:
        self.asked.append(schema_id)
        if not 0 < schema_id <= len(self.texts):
            raise LookupError(schema_id)
        return self.texts[schema_id - 1]


async def started(registry: MemoryRegistry, events: Iterable[type[Event]] = EVENTS, **more: Any) -> Codec:
    codec = Codec(registry, events, **more)
    await codec.start()
    return codec


def values(hint: Any) -> st.SearchStrategy[Any]:
    """Return a strategy for values of a field's type."""
    origin, inner = get_origin(hint), get_args(hint)
    if origin in (Union, UnionType):
        return st.one_of(*(values(each) for each in inner))
    if origin is tuple:
        return st.lists(values(inner[0]), max_size=3).map(tuple)
    if origin is dict:
        return st.dictionaries(st.text(max_size=5), values(inner[1]), max_size=3)
    if origin is Literal:
        return st.sampled_from(inner)
    if isinstance(hint, type) and is_dataclass(hint):
        kinds = get_type_hints(hint)
        return st.builds(hint, **{each.name: values(kinds[each.name]) for each in fields(hint)})
    simple: dict[Any, st.SearchStrategy[Any]] = {
        NoneType: st.none(),
        UUID: st.uuids(),
        str: st.text(max_size=30),
        int: st.integers(-(2**31), 2**31 - 1),
        bool: st.booleans(),
        float: st.floats(allow_nan=False),
        bytes: st.binary(max_size=10),
        datetime: st.datetimes(timezones=st.just(UTC)),
    }
    return simple[hint]


def events_of(event: type[Event]) -> st.SearchStrategy[Event]:
    """Return a strategy for events of one type, from its dataclass fields; what has a default is sometimes left out."""
    assert is_dataclass(event)
    hints = get_type_hints(event)
    required = {each.name: values(hints[each.name]) for each in fields(event) if each.default is MISSING}
    optional = {each.name: values(hints[each.name]) for each in fields(event) if each.default is not MISSING}
    if hints[event.KEY] is str:
        required[event.KEY] = st.text(min_size=1, max_size=30)
    given_fields = st.fixed_dictionaries(required, optional=optional)
    return given_fields.map(lambda chosen: event(**chosen))


@pytest.mark.parametrize("event", EVENTS, ids=lambda event: event.__name__)
async def test_every_event_comes_back_equal(event: type[Event]) -> None:
    codec = await started(MemoryRegistry())

    @given(events_of(event))
    def comes_back(original: Event) -> None:
        assert codec.decode(codec.encode(original)) == original

    comes_back()


@pytest.mark.parametrize("event", EVENTS, ids=lambda event: event.__name__)
def test_every_event_has_a_key_and_a_uuid_that_a_repeat_shares(event: type[Event]) -> None:
    @given(events_of(event))
    def holds(one: Event) -> None:
        assert event_key(one)
        assert isinstance(event_id(one), UUID)
        assert (event_id(one) == event_id(one)) == (event.ID is not None)

    holds()


async def test_a_value_begins_with_0_and_the_registrys_id() -> None:
    registry = MemoryRegistry()
    codec = await started(registry)

    magic, schema_id = HEADER.unpack_from(codec.encode(RENAMED))

    assert magic == 0
    assert json.loads(registry.texts[schema_id - 1])["name"] == "ConversationRenamed"


async def test_the_avro_library_reads_it_with_logical_types() -> None:
    codec = await started(MemoryRegistry())

    body = io.BytesIO(codec.encode(RENAMED)[HEADER.size :])
    record: Any = schemaless_reader(body, parse_schema(json.loads(schema_text(ConversationRenamed))), None)

    assert record["conversation_id"] == RENAMED.conversation_id
    assert record["renamed_at"] == RENAMED.renamed_at


RENAMED = ConversationRenamed(
    conversation_id=UUID(int=1),
    title="Night shift",
    renamed_by=UUID(int=2),
    renamed_at=datetime(2026, 1, 2, tzinfo=UTC),
)


def message(body: str) -> MessageSent:
    return MessageSent(
        message_id=UUID(int=1),
        conversation_id=UUID(int=2),
        sender_id=UUID(int=3),
        recipient_ids=(),
        client_id="c",
        body=body,
        sent_at=datetime(2026, 1, 2, tzinfo=UTC),
    )


async def test_an_event_over_the_limit_is_not_encoded() -> None:
    codec = await started(MemoryRegistry())
    room = EVENT_LIMIT - len(codec.encode(message(""))) - 2  # the body's length takes up to 3 bytes instead of 1

    assert len(codec.encode(message("x" * room))) == EVENT_LIMIT
    with pytest.raises(ValueError, match=f"{MessageSent.NAME} of {EVENT_LIMIT + 1} bytes; the limit is {EVENT_LIMIT}"):
        codec.encode(message("x" * (room + 1)))


class TestUndecodable:
    @pytest.fixture
    async def codec(self) -> Codec:
        return await started(MemoryRegistry())

    @pytest.mark.parametrize(
        "value",
        [None, b"", b"\0", b"\0\0\0\0", b"garbage", b"\1\0\0\0\1rest", b"\0\xff\xff\xff\xffrest", b"\0\0\0\0\0"],
        ids=str,
    )
    async def test_what_is_no_wire_format_of_a_known_schema(self, codec: Codec, value: bytes | None) -> None:
        await codec.learn([value])

        with pytest.raises(Undecodable):
            codec.decode(value)

    async def test_a_body_that_is_cut_off(self, codec: Codec) -> None:
        value = codec.encode(RENAMED)

        for length in range(HEADER.size, len(value)):
            with pytest.raises(Undecodable):
                codec.decode(value[:length])

    async def test_a_body_whose_uuid_is_none(self, codec: Codec) -> None:
        value = codec.encode(RENAMED).replace(str(UUID(int=1)).encode(), b"x" * 36)

        with pytest.raises(Undecodable, match="ValueError"):
            codec.decode(value)

    async def test_any_bytes_are_undecodable_or_an_event_and_nothing_else_happens(self, codec: Codec) -> None:
        @given(st.integers(0, 10), st.binary(max_size=200))
        def holds(schema_id: int, body: bytes) -> None:
            with contextlib.suppress(Undecodable):
                assert codec.decode(HEADER.pack(0, schema_id) + body) is not None

        holds()


@dataclass(frozen=True, slots=True, kw_only=True)
class Thing1:
    """Version 1 of an event, as a process of last month knows it."""

    NAME: ClassVar[str] = "headwater.things.ThingHappened"
    VERSION: ClassVar[int] = 1
    TOPIC: ClassVar[str] = "things"
    KEY: ClassVar[str] = "thing_id"
    ID: ClassVar[str | None] = None
    VISIBILITY: ClassVar[str] = "public"
    SCHEMA: ClassVar[str] = "things/thing_happened.1.avsc"

    thing_id: str

    def to_record(self) -> dict[str, Any]:
        return {"thing_id": self.thing_id}

    @classmethod
    def from_record(cls, record: dict[str, Any]) -> Self:
        return cls(**record)


@dataclass(frozen=True, slots=True, kw_only=True)
class Thing2:
    """Version 2, with a new field that has a default."""

    NAME: ClassVar[str] = Thing1.NAME
    VERSION: ClassVar[int] = 2
    TOPIC: ClassVar[str] = "things"
    KEY: ClassVar[str] = "thing_id"
    ID: ClassVar[str | None] = None
    VISIBILITY: ClassVar[str] = "public"
    SCHEMA: ClassVar[str] = "things/thing_happened.2.avsc"

    thing_id: str
    size: int = 3
    note: str | None = None

    def to_record(self) -> dict[str, Any]:
        return {"thing_id": self.thing_id, "size": self.size, "note": self.note}

    @classmethod
    def from_record(cls, record: dict[str, Any]) -> Self:
        return cls(**record)


@dataclass(frozen=True, slots=True, kw_only=True)
class Successor(Thing1):
    """What followed `ThingHappened` under another name."""

    NAME: ClassVar[str] = "headwater.things.ThingOccurred"
    SCHEMA: ClassVar[str] = "things/thing_occurred.1.avsc"


RECORD = {"type": "record", "name": "ThingHappened", "namespace": "headwater.things", "doc": "It happened."}
FIELDS: Sequence[dict[str, Any]] = [{"name": "thing_id", "type": "string"}]
MORE: Sequence[dict[str, Any]] = [
    *FIELDS,
    {"name": "size", "type": "int", "default": 3},
    {"name": "note", "type": ["null", "string"], "default": None},
]


class TestVersions:
    @pytest.fixture
    def registry(self, tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> MemoryRegistry:
        root = tmp_path_factory.mktemp("schemas")
        (root / "things").mkdir()
        for name, record in {
            "thing_happened.1": RECORD | {"fields": FIELDS},
            "thing_happened.2": RECORD | {"fields": MORE},
            "thing_occurred.1": RECORD | {"name": "ThingOccurred", "fields": FIELDS},
        }.items():
            (root / "things" / f"{name}.avsc").write_text(json.dumps(record))
        monkeypatch.setattr(avro, "SCHEMAS", root)
        return MemoryRegistry()

    async def test_what_version_1_wrote_is_read_with_the_defaults_of_version_2(self, registry: MemoryRegistry) -> None:
        old, new = await started(registry, [Thing1]), await started(registry, [Thing2])
        value = old.encode(Thing1(thing_id="a"))

        await new.learn([value])

        assert new.decode(value) == Thing2(thing_id="a", size=3, note=None)

    async def test_what_version_2_wrote_is_read_by_version_1(self, registry: MemoryRegistry) -> None:
        old, new = await started(registry, [Thing1]), await started(registry, [Thing2])
        value = new.encode(Thing2(thing_id="a", size=9, note="n"))

        await old.learn([value])

        assert old.decode(value) == Thing1(thing_id="a")

    async def test_a_schema_is_asked_for_once(self, registry: MemoryRegistry) -> None:
        old, new = await started(registry, [Thing1]), await started(registry, [Thing2])
        value = old.encode(Thing1(thing_id="a"))

        for _ in range(3):
            await new.learn([value, None, b"garbage", value])

        assert len(registry.asked) == 1

    async def test_a_version_is_undecodable_before_it_was_learned(self, registry: MemoryRegistry) -> None:
        old, new = await started(registry, [Thing1]), await started(registry, [Thing2])

        with pytest.raises(Undecodable):
            new.decode(old.encode(Thing1(thing_id="a")))

    async def test_a_retired_event_is_read_as_its_successor(self, registry: MemoryRegistry) -> None:
        def upcast(record: dict[str, Any]) -> Successor:
            return Successor(thing_id=record["thing_id"].upper())

        retired = await started(registry, [Thing1])
        today = await started(registry, [Successor], upcasts={Thing1.NAME: upcast})
        value = retired.encode(Thing1(thing_id="a"))

        await today.learn([value])

        assert today.decode(value) == Successor(thing_id="A")

    async def test_an_upcast_that_fails_makes_the_record_undecodable(self, registry: MemoryRegistry) -> None:
        def upcast(record: dict[str, Any]) -> Successor:
            raise KeyError("gone")

        retired = await started(registry, [Thing1])
        today = await started(registry, [Successor], upcasts={Thing1.NAME: upcast})
        value = retired.encode(Thing1(thing_id="a"))
        await today.learn([value])

        with pytest.raises(Undecodable, match="KeyError"):
            today.decode(value)

    async def test_an_event_of_somebody_else_is_none(self, registry: MemoryRegistry) -> None:
        theirs, ours = await started(registry, [Successor]), await started(registry, [Thing1])
        value = theirs.encode(Successor(thing_id="a"))

        await ours.learn([value])

        assert ours.decode(value) is None

    @pytest.mark.parametrize("text", ['"string"', '["null", "string"]', '{"type": "fixed", "name": "F", "size": 4}'])
    async def test_a_schema_that_is_no_event_is_somebody_elses(self, registry: MemoryRegistry, text: str) -> None:
        ours = await started(registry, [Thing1])
        value = HEADER.pack(0, await registry.register("theirs", text)) + b"body"

        await ours.learn([value])

        assert ours.decode(value) is None
