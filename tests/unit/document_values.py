"""One document of bytes as the value that it is read as, and its refusals: for tests of readers."""

import io

import pytest

from bounded_contexts.documents.adapters.catalogue import FORMATS
from bounded_contexts.documents.adapters.converting import convert
from bounded_contexts.documents.adapters.formats.conversion import Conversion
from bounded_contexts.documents.domain.errors import TooLarge, Unreadable
from bounded_contexts.documents.domain.limits import Limits
from bounded_contexts.documents.domain.options import options_of
from bounded_contexts.documents.domain.values import Single, Value
from shared_kernel.errors import HeadwaterError


def conversion_of(limits: Limits | None = None, **options: str) -> Conversion:
    """Return a conversion with the options as users write them."""
    return Conversion(options_of(options), limits or Limits())


def value_of(data: bytes, format_: str, limits: Limits | None = None, **options: str) -> Value:
    """Return what the document stands for, records as a list."""
    document = FORMATS[format_].read(io.BytesIO(data), conversion_of(limits, **options))
    if isinstance(document, Single):
        return document.value
    return [value for batch in document.batches for value in batch]


def refused(data: bytes, format_: str, limits: Limits | None = None, **options: str) -> Unreadable | TooLarge:
    """Return the error of a document that is not read. No other error may come out."""
    with pytest.raises(HeadwaterError) as caught:
        value_of(data, format_, limits, **options)
    assert isinstance(caught.value, Unreadable | TooLarge)
    return caught.value


def converted(data: bytes, read: str, write: str, limits: Limits | None = None, **options: str) -> bytes:
    """Return the document in the other format."""
    return b"".join(convert(io.BytesIO(data), FORMATS[read], FORMATS[write], conversion_of(limits, **options)))
