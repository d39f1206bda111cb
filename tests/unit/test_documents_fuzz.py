"""Every reader with documents that were right before something was changed in them: what comes out is a document, or an error
of ours that repeats little of the input. `FUZZ_EXAMPLES` says how many documents of each format; `make fuzz` tries many."""

import io
import os
import random
import zipfile
from collections.abc import Callable
from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from bounded_contexts.documents.adapters.catalogue import FORMATS
from bounded_contexts.documents.adapters.converting import convert
from bounded_contexts.documents.adapters.formats.conversion import Conversion
from bounded_contexts.documents.domain.errors import QUOTED, TooLarge, Unreadable, Unwritable
from bounded_contexts.documents.domain.limits import Limits
from bounded_contexts.documents.domain.options import options_of
from bounded_contexts.documents.domain.values import Records

EXAMPLES = int(os.environ.get("FUZZ_EXAMPLES", "60"))
READABLE = [name for name, each in FORMATS.items() if each.is_read]
TARGETS = sorted(FORMATS)
SMALL = Limits(item_bytes=1 << 20, alias_nodes=20_000, inflated_bytes=32 << 20, output_bytes=64 << 20, rows=100_000)
OPTIONS: tuple[dict[str, str], ...] = (
    {},
    {"restored": "true"},
    {"nested": "true"},
    {"inference": "full", "duplicates": "list"},
    {"inference": "safe", "header": "no", "duplicates": "last"},
    {"lossless": "true", "duplicates": "first"},
    {"tags": "keep", "toml": "1.1", "namespaces": "expand", "sheet": "all", "ragged": "pad"},
    {"namespaces": "strip", "merged": "fill", "hyperlinks": "true", "formulas": "text", "numbers": "shown"},
    {"charset": "utf-16"},
)
RECORDS: list[Any] = [
    {"a": "text", "b": 12, "c.d": [1, {"e": None}], "": True, "f": Decimal("1.50")},
    {
        "a": "ünï \"'<&\n",
        "b": -1,
        "g": [],
        "h": {},
        "at": date(2026, 1, 2),
        "when": datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC),
    },
]
BY_HAND: dict[str, tuple[bytes, ...]] = {
    "json": (rb'[{"a":1e5,"b":[true,false,null,"\u00e9\ud834\udd1e"]},-0,{"a":{}}]', b'{"$map":[["a",1]],"x":{"$bytes":"aGk="}}'),
    "yaml": (
        b"%TAG !e! tag:e,1:\n---\na: &x [1, *y]\nb: !e!t {<<: *x, ? k : v}\n...\n--- |2-\n  c\n",
        b"- &a {x: 1}\n- <<: [*a, {y: 2}]\n- >+\n  d\n\n- !!binary aGk=\n- 0x1F\n- .nan\n- 'it''s'\n- \"\\x41\\\n  b\"\n",
    ),
    "toml": (b"a.'b' = 1\n[[t]]\nx = {y = [1_0, 0xF, 1e3, inf], z = 07:32:00}\n[t.u]\ns = '''q'''\nm = \"\"\"\\u00e9\"\"\"\n",),
    "xml": (
        b"<?xml version='1.0'?><r xmlns:p='u'><p:a k='1'>t<b/>u</p:a><![CDATA[x]]><!-- c --><?pi d?>&lt;&#65;</r>",
        b"<r xmlns:xsi='http://www.w3.org/2001/XMLSchema-instance'><i xsi:nil='true'/><i><j>1</j><j>2</j></i><i/></r>",
    ),
    "csv": (b'a,"b.c",d[0]\n1,"x ""y""\nz",\n,2026-01-02,true\n',),
    "properties": (b"a.b[0]: x\\\n  y\n# c\n! d\n\\u00e9\\:k = v\\t\\\\\n",),
    "msgpack": (bytes.fromhex("93 82a161 cb3ff8000000000000 01 c0 d6ff00000001 c7030568692e cf0000000100000000"),),
}  # fmt: skip


def written(format_: str, **options: str) -> bytes:
    conversion = Conversion(options_of(options))
    return b"".join(FORMATS[format_].write(Records(iter([RECORDS])), conversion))


def seeds(format_: str) -> list[bytes]:
    """Return documents that can be read."""
    return [written(format_), written(format_, lossless="true"), *BY_HAND.get(format_, ())]


def unpacked(workbook: bytes) -> dict[str, bytes]:
    with zipfile.ZipFile(io.BytesIO(workbook)) as package:
        return {name: package.read(name) for name in package.namelist()}


def packed(parts: dict[str, bytes]) -> bytes:
    target = io.BytesIO()
    with zipfile.ZipFile(target, "w", zipfile.ZIP_DEFLATED) as package:
        for name, part in parts.items():
            package.writestr(name, part)
    return target.getvalue()


def mutated(data: bytes, others: list[bytes], chance: random.Random) -> bytes:
    """Return the bytes with a few of them changed, left out, doubled, or taken from elsewhere."""
    text = bytearray(data)
    for _ in range(chance.choice((1, 1, 2, 4, 8))):
        at = chance.randrange(len(text) + 1)
        length = chance.choice((1, 1, 2, 4, 16))
        match chance.randrange(6):
            case 0:
                text[at : at + length] = chance.randbytes(length)
            case 1:
                del text[at : at + length]
            case 2:
                text[at:at] = text[at : at + length] * chance.choice((1, 2, 300))
            case 3:
                other = chance.choice(others)
                begin = chance.randrange(len(other) + 1)
                text[at:at] = other[begin : begin + length * 4]
            case 4:
                text[at : at + 1] = chance.choice(ODD)
            case _:
                del text[at:]
    return bytes(text)


ODD = (
    *(b"\0", b"\xff", b"\xed\xa0\x80"),
    *(b"\xef\xbb\xbf", b"\xff\xfe", b"\t", b"\r", b"\\", b'"', b"'", b"$", b"&", b"*", b"!", b"<", b">"),
    *(b"[", b"]", b"{", b"}", b":", b",", b"=", b"#", b"%", b"-", b"- ", b"? ", b"\n", b"9" * 4_400, b"1e99999999999999999999"),
    *(b"NaN", b"Infinity", b"\\ud800", b"\\u0000"),
    *(b"[" * 200, b"]]>", b"<!DOCTYPE a>", b"&a;", b"<<: ", b"\x81", b"\xdd\xff\xff\xff\xff"),
)  # fmt: skip


def tried(data: bytes, format_: str, target: str, options: dict[str, str]) -> Exception | None:
    """Convert; return the error, if it is one of ours. Any other one comes out."""
    conversion = Conversion(options_of(options), SMALL)
    try:
        for _ in convert(io.BytesIO(data), FORMATS[format_], FORMATS[target], conversion):
            pass
    except (Unreadable, Unwritable, TooLarge) as error:
        return error
    return None


def workbooks(chance: random.Random, seeds: list[bytes]) -> bytes:
    """Return a workbook with one of its parts changed: a change to the packed file is mostly none of its content."""
    if chance.random() < 0.3:
        return mutated(chance.choice(seeds), seeds, chance)
    parts = unpacked(chance.choice(seeds))
    name = chance.choice(list(parts))
    return packed({**parts, name: mutated(parts[name], list(parts.values()), chance)})


@pytest.mark.parametrize("format_", READABLE)
def test_a_changed_document_is_read_or_refused(format_: str) -> None:
    given_seeds = seeds(format_)
    make: Callable[[random.Random], bytes] = (
        (lambda chance: workbooks(chance, given_seeds))
        if format_ == "xlsx"
        else lambda chance: mutated(chance.choice(given_seeds), given_seeds, chance)
    )

    @settings(
        max_examples=EXAMPLES,
        deadline=None,
        phases=[Phase.generate],  # a seed says all: nothing smaller is behind it
        suppress_health_check=list(HealthCheck),
    )
    @given(st.integers(0, 2**32), st.sampled_from(TARGETS), st.sampled_from(OPTIONS))
    def is_read_or_refused(seed: int, target: str, options: dict[str, str]) -> None:
        tried(make(random.Random(seed)), format_, target, options)

    is_read_or_refused()


@pytest.mark.parametrize("format_", READABLE)
def test_an_error_repeats_at_most_forty_characters_of_the_input(format_: str) -> None:
    secret = "s3cr3t".join("abcdefghijklmnopqrstuvw")
    parts = {secret[at : at + QUOTED + 1] for at in range(len(secret) - QUOTED)}
    chance = random.Random(format_)
    given_seeds = [
        seed.replace(b"text", secret.encode()).replace(b"a", secret.encode())
        for seed in seeds(format_)
        if format_ != "xlsx"
    ] or [packed({n: p.replace(b"text", secret.encode()) for n, p in unpacked(written("xlsx")).items()})]

    for _ in range(EXAMPLES):
        data = (
            workbooks(chance, given_seeds)
            if format_ == "xlsx"
            else mutated(chance.choice(given_seeds), given_seeds, chance)
        )
        error = tried(data, format_, "json", chance.choice(OPTIONS))
        more = {
            name: text for name, text in getattr(error, "more", {}).items() if name != "pointer"
        }  # places are told in full
        told = f"{error} {more}"
        assert not [part for part in parts if part in told]
