"""MessagePack by its specification: every form of every kind, and what is none."""

import struct
from datetime import UTC, datetime
from typing import Any

import msgpack
import pytest

from bounded_contexts.documents.domain.values import Tagged
from tests.unit.document_values import refused, value_of

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
FORMS: dict[str, tuple[Any, ...]] = {  # of each value: every way it may be written
    "nil": (None, "c0"),
    "false": (False, "c2"),
    "true": (True, "c3"),
    "0": (0, "00", "cc00", "cd0000", "ce00000000", "cf0000000000000000", "d000", "d10000", "d200000000", "d30000000000000000"),
    "127": (127, "7f", "cc7f", "d07f"),
    "255": (255, "ccff", "cd00ff", "d100ff"),
    "65535": (65535, "cdffff", "ce0000ffff", "d20000ffff"),
    "2**32": (2**32, "cf0000000100000000", "d30000000100000000"),
    "2**64-1": (2**64 - 1, "cfffffffffffffffff"),
    "-1": (-1, "ff", "d0ff", "d1ffff", "d2ffffffff", "d3ffffffffffffffff"),
    "-128": (-128, "d080", "d1ff80"),
    "-2**63": (-(2**63), "d38000000000000000"),
    "0.5": (0.5, "ca3f000000", "cb3fe0000000000000"),
    "-0.0": (-0.0, "ca80000000", "cb8000000000000000"),
    "text": ("é", "a2c3a9", "d902c3a9", "da0002c3a9", "db00000002c3a9"),
    "no text": ("", "a0", "d900", "da0000", "db00000000"),
    "bytes": (b"\xff", "c401ff", "c50001ff", "c600000001ff"),
    "list": ([1], "9101", "dc000101", "dd0000000101"),
    "map": ({"a": 1}, "81a16101", "de0001a16101", "df00000001a16101"),
    "keys": ({5: 2, None: 3, True: 4, b"k": 5}, "8405 02 c003 c304 c4016b05"),
    "extension": (Tagged("msgpack:16", b"\x01"), "d41001", "c70110 01", "c8000110 01", "c90000000110 01"),
    "extensions": ([Tagged("msgpack:-128", b"ab"), Tagged("msgpack:127", b"")], "92d5806162c7007f"),
    "time": (
        EPOCH.replace(second=1),
        *("d6ff00000001", "d7ff0000000000000001", "c70cff000000000000000000000001"),
        *("c704ff00000001", "c708ff0000000000000001", "c80004ff00000001", "c900000008ff0000000000000001"),
    ),
}  # fmt: skip
NOT_READ = (
    *("c1", "91", "9201", "81", "8101", "a2c3", "d902c3", "da00", "db000000", "c4", "c402ff", "ca3f0000", "cf00"),
    *("d1ff", "d4", "d410"),
    *("c7", "c7ff0001", "dc0001", "dd00000001", "de0001", "df00000001a1", "ddffffffff", "dfffffffff", "dbffffffff", "c6ffffffff"),
    *("a1ff", "a3eda080", "d902ff00", "8190c0", "8180c0", "82a161 01 a161 02", "d6ff", "9101 02"),
)  # fmt: skip


@pytest.mark.parametrize(("name", "form"), [(name, form) for name, (_, *forms) in FORMS.items() for form in forms])
def test_every_form_of_a_kind_is_its_value(name: str, form: str) -> None:
    assert repr(value_of(bytes.fromhex(form), "msgpack")) == repr(FORMS[name][0])


@pytest.mark.parametrize("form", NOT_READ)
def test_what_ends_too_early_or_is_none_is_refused(form: str) -> None:
    assert refused(bytes.fromhex(form), "msgpack").code in ("bad_msgpack", "bad_charset", "bad_key", "duplicate_key")


@pytest.mark.parametrize(
    ("seconds", "nanoseconds"), [(-1, 999_999_000), (2**32, 1_000), (2**34 - 1, 0), (253_402_300_799, 999_999_000)]
)
def test_times_have_microseconds_over_the_whole_calendar(seconds: int, nanoseconds: int) -> None:
    stamp = struct.pack(">BBbIq", 0xC7, 12, -1, nanoseconds, seconds)
    found = value_of(stamp, "msgpack") - EPOCH

    assert (found.days * 86_400 + found.seconds, found.microseconds * 1000) == (seconds, nanoseconds)


@pytest.mark.parametrize(("seconds", "nanoseconds"), [(0, 1), (-(2**40), 0), (2**40, 0)])
def test_times_beyond_that_stay_what_they_are(seconds: int, nanoseconds: int) -> None:
    stamp = msgpack.Timestamp(seconds, nanoseconds)

    assert value_of(msgpack.packb([stamp]), "msgpack") == [Tagged("msgpack:-1", stamp.to_bytes())]
