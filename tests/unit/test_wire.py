"""UUIDs as events carry them."""

import copy
import pickle
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from schemas.wire import uuid_of


@given(st.uuids())
def test_a_uuid_that_was_written_is_read_as_the_same(written: UUID) -> None:
    read = uuid_of(str(written))

    assert (read, hash(read), str(read), repr(read)) == (written, hash(written), str(written), repr(written))
    assert pickle.loads(pickle.dumps(read)) == copy.copy(read) == written  # noqa: S301 – our own bytes
    assert read.is_safe is written.is_safe


@pytest.mark.parametrize("text", ["", "ann", "0" * 31, "0" * 33, "g" * 32, "{00000000-0000-0000-0000-00000000000}"])
def test_what_is_no_uuid_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"hexadecimal|invalid literal"):
        uuid_of(text)
