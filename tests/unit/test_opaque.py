"""Opaque tokens: what was sealed comes back, nothing else gets in."""

import base64
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from infra.feed_positions import open_feed, seal_feed
from infra.opaque import TOKEN_LIMIT, OpaqueTokens
from shared_kernel.errors import Refused

TOKENS = OpaqueTokens("a" * 32)
SCALARS = st.none() | st.booleans() | st.integers(-(2**63), 2**63 - 1) | st.text(max_size=20)
VALUES = st.recursive(
    SCALARS,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner, max_size=4),
    max_leaves=8,
)


def refused(kind: str, token: str, tokens: OpaqueTokens = TOKENS) -> str:
    with pytest.raises(Refused) as error:
        tokens.open(kind, token)
    return error.value.code


@given(VALUES)
def test_what_was_sealed_comes_back(value: Any) -> None:
    assert TOKENS.open("cursor", TOKENS.seal("cursor", value)) == value


@given(VALUES)
def test_a_token_is_safe_in_urls_and_headers(value: Any) -> None:
    token = TOKENS.seal("cursor", value)

    assert token.replace("-", "").replace("_", "").isalnum()
    assert token.isascii()


def test_every_process_with_the_same_secret_opens_it() -> None:
    assert OpaqueTokens("a" * 32).open("cursor", TOKENS.seal("cursor", [1, "x"])) == [1, "x"]


def test_another_secret_does_not() -> None:
    assert refused("cursor", TOKENS.seal("cursor", [1]), OpaqueTokens("b" * 32)) == "invalid_cursor"


@pytest.mark.parametrize("other", ["position", "curso", "cursors", ""])
def test_a_token_of_another_kind_is_refused(other: str) -> None:
    assert refused(other, TOKENS.seal("cursor", [1])) == f"invalid_{other}"


def test_no_bit_can_be_changed() -> None:
    sealed = TOKENS.seal("cursor", ["x", 7])
    raw = base64.urlsafe_b64decode(sealed + "=" * (-len(sealed) % 4))

    for bit in range(len(raw) * 8):
        changed = bytearray(raw)
        changed[bit // 8] ^= 1 << bit % 8
        assert refused("cursor", base64.urlsafe_b64encode(changed).decode().rstrip("=")) == "invalid_cursor"


def test_nothing_can_be_cut_off_or_added() -> None:
    sealed = TOKENS.seal("cursor", ["x", 7])

    for length in range(len(sealed)):
        assert refused("cursor", sealed[:length]) == "invalid_cursor"
    assert refused("cursor", sealed + "AAAA") == "invalid_cursor"


@pytest.mark.parametrize("added", ["=", "==", "!", " ", "\n", "-_%"])
def test_a_token_is_written_in_one_way(added: str) -> None:
    sealed = TOKENS.seal("link", ["x", 7])

    assert refused("link", sealed + added) == "invalid_link"
    assert refused("link", added + sealed) == "invalid_link"


@given(st.text(max_size=60))
def test_garbage_is_refused(token: str) -> None:
    assert refused("cursor", token) == "invalid_cursor"


@given(st.binary(max_size=60))
def test_made_up_bytes_are_refused(raw: bytes) -> None:
    assert refused("cursor", base64.urlsafe_b64encode(raw).decode()) == "invalid_cursor"


def test_an_endless_token_is_refused() -> None:
    assert refused("cursor", "A" * (TOKEN_LIMIT * 100)) == "invalid_cursor"


def test_a_feed_position_comes_back_with_numbers_for_partitions() -> None:
    position = {"messages": {0: 5, 11: 2**40}, "conversations": {}}

    assert open_feed(TOKENS, seal_feed(TOKENS, position)) == position


def test_a_feed_position_that_is_none_is_refused_as_one() -> None:
    with pytest.raises(Refused, match="invalid_stream_position"):
        open_feed(TOKENS, TOKENS.seal("position", ["messages", 0, 5]))
