"""What every pair of formats owes: with `lossless` nothing changes; without it, each leaf that does is reported."""

import io
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bounded_contexts.documents.adapters.catalogue import FORMATS
from bounded_contexts.documents.adapters.converting import convert
from bounded_contexts.documents.adapters.formats.conversion import Conversion
from bounded_contexts.documents.domain.options import Options
from bounded_contexts.documents.domain.values import Records, Single, Value

TEXTS = st.text(st.characters(exclude_categories=["Cs"]), max_size=12)
NUMBERS = st.integers() | st.integers(-(10**30), 10**30) | st.decimals(allow_nan=False, allow_infinity=False)
LEAVES = st.none() | st.booleans() | NUMBERS | TEXTS
VALUES = st.recursive(
    LEAVES, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXTS, inner, max_size=3), max_leaves=8
)
RECORDS = st.lists(st.dictionaries(TEXTS, VALUES, max_size=4), max_size=4)


def converted(data: bytes, read: str, write: str, **options: Any) -> bytes:
    conversion = Conversion(Options(**options))
    return b"".join(convert(io.BytesIO(data), FORMATS[read], FORMATS[write], conversion))


def written(value: Value, format_: str, **options: Any) -> bytes:
    conversion = Conversion(Options(**options))
    document = Records(iter([value])) if isinstance(value, list) else Single(value)
    return b"".join(convert_document(document, format_, conversion))


def convert_document(document: Any, format_: str, conversion: Conversion) -> Any:
    return FORMATS[format_].write(document, conversion)


def value_of(data: bytes, format_: str, **options: Any) -> Value:
    document = FORMATS[format_].read(io.BytesIO(data), Conversion(Options(**options)))
    if isinstance(document, Single):
        return document.value
    return [value for batch in document.batches for value in batch]


def as_json(value: Value) -> bytes:
    return written(value, "json")


@pytest.mark.parametrize("format_", [name for name, each in FORMATS.items() if each.is_read])
def test_records_come_back_equal_with_lossless(format_: str) -> None:
    @settings(max_examples=60, deadline=None)
    @given(RECORDS)
    def comes_back(records: list[Value]) -> None:
        there = converted(as_json(records), "json", format_, lossless=True)
        assert value_of(converted(there, format_, "json", restored=True), "json") == records

    comes_back()
