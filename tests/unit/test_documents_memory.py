"""Memory of conversions that stream does not grow with the records."""

import io
import tracemalloc
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
)
from bounded_contexts.documents.adapters.formats.conversion import Conversion
from bounded_contexts.documents.domain.options import Options
from bounded_contexts.documents.domain.values import Records
from tests.load.converting import records

FEW = 400
SMALL = {"SPOOLED": 1 << 12, "BATCH": 20, "CHUNK": 1 << 12}  # so that few records are many pieces and batches
KEPT = 0.25  # values that are kept take several times their text
READING = ("json", "ndjson", "xml", "csv", "msgpack")
WRITING = ("json", "ndjson", "xml", "csv", "yaml", "msgpack", "xlsx")


@pytest.fixture(autouse=True)
def _takes_little_at_a_time(monkeypatch: pytest.MonkeyPatch) -> None:
    for module in (avro, conversion, delimited, json, msgpack, tables, xlsx_read, xml):
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


def grows(read: str, write: str) -> float:
    """Return how much more memory ten times the records take, as a share of what they are longer."""
    longer = len(written(read, 10 * FEW)) - len(written(read, FEW))
    return (peak_of(read, write, 10 * FEW) - peak_of(read, write, FEW)) / longer


@pytest.mark.parametrize("write", WRITING)
def test_records_are_not_kept_while_they_are_written(write: str) -> None:
    assert grows("ndjson", write) < KEPT


@pytest.mark.parametrize("read", READING)
def test_records_are_not_kept_while_they_are_read(read: str) -> None:
    assert grows(read, "ndjson") < KEPT
