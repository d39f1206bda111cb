"""Memory of conversions that stream does not grow with the records."""

import io
import tracemalloc
from datetime import date
from itertools import islice

import pytest

from bounded_contexts.documents.adapters.catalogue import FORMATS
from bounded_contexts.documents.adapters.converting import convert
from bounded_contexts.documents.adapters.formats import (
    avro,
    conversion,
    delimited,
    json,
    msgpack,
    tables,
    xlsx_read,
    xml,
    yaml_parts,
)
from bounded_contexts.documents.adapters.formats.conversion import Conversion
from bounded_contexts.documents.domain.errors import Unreadable
from bounded_contexts.documents.domain.fitting import restored
from bounded_contexts.documents.domain.options import Options
from bounded_contexts.documents.domain.values import Records
from tests.load.converting import records

FEW = 400
MORE = 5  # times as many records
SMALL = {
    "SPOOLED": 1 << 12,
    "BATCH": 20,
    "CHUNK": 1 << 12,
    "PART": 1 << 12,
}  # so that few records are many pieces and batches
EQUAL = 1.25  # what a buffer that is cut anew has more by chance
FREE = 300_000  # bytes of tuples that the interpreter keeps to use them again: 2,000 of each length
READING = ("json", "ndjson", "xml", "csv", "msgpack", "yaml", "xlsx")
WRITING = ("json", "ndjson", "xml", "csv", "yaml", "msgpack", "xlsx")


@pytest.fixture(autouse=True)
def _takes_little_at_a_time(monkeypatch: pytest.MonkeyPatch) -> None:
    for module in (avro, conversion, delimited, json, msgpack, tables, xlsx_read, xml, yaml_parts):
        for name in SMALL.keys() & vars(module).keys():
            monkeypatch.setattr(module, name, SMALL[name])


def written(format_: str, count: int) -> bytes:
    document = Records(iter([list(islice(records(), count))]))
    return b"".join(FORMATS[format_].write(document, Conversion()))


def peak_of(read: str, write: str, count: int) -> int:
    source = io.BytesIO(written(read, count))
    tracemalloc.start()
    try:
        for _ in convert(source, FORMATS[read], FORMATS[write], Conversion(Options())):
            pass
        return tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()


def grows(read: str, write: str) -> bool:
    """Return whether more records take more memory."""
    return peak_of(read, write, MORE * FEW) > peak_of(read, write, FEW) * EQUAL + FREE


@pytest.mark.parametrize("write", WRITING)
def test_more_records_take_no_more_memory_to_write(write: str) -> None:
    assert not grows("ndjson", write)


@pytest.mark.parametrize("read", READING)
def test_more_records_take_no_more_memory_to_read(read: str) -> None:
    assert not grows(read, "ndjson")


def test_values_without_marks_are_not_copied_when_kinds_are_restored() -> None:
    plain = [{"a": [1, None, 2.5], "b": {"c": "x"}}, "text", [], {}]
    marked = [*plain, {"a": [{"$date": "2026-11-22"}], "$$own": 1}]

    found = restored(marked)

    assert restored(plain) is plain
    assert found == [*plain, {"a": [date(2026, 11, 22)], "$own": 1}]
    assert [each is other for each, other in zip(found, marked, strict=True)] == [True] * 4 + [False]
    with pytest.raises(Unreadable) as caught:
        restored([{"a/b": [0, {"$date": 1}]}])
    assert caught.value.more == {"pointer": "/0/a~1b/1"}
