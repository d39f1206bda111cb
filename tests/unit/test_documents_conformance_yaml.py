"""YAML 1.2.2 with the core schema, by behaviour: styles, indentation, properties, documents, and what is none."""

from decimal import Decimal
from typing import Any

import pytest

from bounded_contexts.documents.domain.values import Tagged
from tests.unit.document_values import refused, value_of

READ: dict[str, Any] = {
    # lists and maps, in blocks and in lines
    "- a\n- - b\n  - c\n-\n  d: e": ["a", ["b", "c"], {"d": "e"}],
    "a:\n- 1\n- 2\nb:\n  - 3": {"a": [1, 2], "b": [3]},
    "- a: 1\n  b: 2\n- c:": [{"a": 1, "b": 2}, {"c": None}],
    "{a: [1, 2,], 'b':3, c, ? d : e}": {"a": [1, 2], "b": 3, "c": None, "d": "e"},
    "[a, [b: c], {}, []]": ["a", [{"b": "c"}], {}, []],
    "? a\n: b\n? c": {"a": "b", "c": None},
    "a: {\n  b: c\n }\n": {"a": {"b": "c"}},
    # keys that are no texts
    ": a": {None: "a"},
    "'1': a\n\"\": b": {"1": "a", "": "b"},
    # plain scalars: over several lines, with characters that elsewhere begin something
    "a b\n c\n\n d": "a b c\nd",
    "- a#b\n- a:b\n- -a\n- ?a\n- :a\n- a 'b' \"c\"\n- http://x.y/z?a=b": ["a#b", "a:b", "-a", "?a", ":a", "a 'b' \"c\"", "http://x.y/z?a=b"],
    # quoted scalars: escapes, folding
    r'"\0\a\b\t\n\v\f\r\e\ \"\/\\\N\_\L\P\x41\u00e9\U0001d11e"': '\0\a\b\t\n\v\f\r\x1b "/\\\x85\xa0\u2028\u2029Aé𝄞',
    "'it''s'": "it's",
    '"a\n  b\n\n  c\\\n  d"': "a b\ncd",
    "'a\n  b\n\n  c'": "a b\nc",
    # block scalars: kept and folded, with and without the last line's end, indented by a number
    "|\n a\n  b\n\n c\n": "a\n b\n\nc\n",
    ">\n a\n b\n\n c\n  d\n e\n": "a b\nc\n d\ne\n",
    "- |-\n a\n- |+\n b\n\n- c": ["a", "b\n\n", "c"],
    "|2\n   a\n  b\n": " a\nb\n",
    "a: |\n  # no comment\n  %: {}\nb: 1": {"a": "# no comment\n%: {}\n", "b": 1},
    # the core schema: what plain scalars are, and what merely looks so
    "[~, null, Null, NULL, '']": [None, None, None, None, ""],
    "[true, True, TRUE, false, yes, No, on, tRue]": [True, True, True, False, "yes", "No", "on", "tRue"],
    "[0, -1, +2, 007, 0o17, 0xFf, 1_000, 0b1, 12:30:45]": [0, -1, 2, 7, 15, 255, "1_000", "0b1", "12:30:45"],
    "[1.2.3, ., e1, 1e]": ["1.2.3", ".", "e1", "1e"],
    "[1.0, .5, 5., 1e3, -1.5E-2]": [Decimal("1.0"), Decimal(".5"), Decimal("5.0"), Decimal("1e3"), Decimal("-1.5E-2")],
    "[.inf, -.Inf, +.INF]": [float("inf"), float("-inf"), float("inf")],
    "[2026-01-02, 12345678901234567890123]": ["2026-01-02", 12345678901234567890123],
    # anchors: at values, at keys, of nothing, redefined, in flow
    "a: &x 1\nb: *x\nc: &x 2\nd: *x": {"a": 1, "b": 1, "c": 2, "d": 2},
    "&k a: &v b\n*v : *k": {"a": "b", "b": "a"},
    "- &x\n- *x\n- {a: *x}": [None, None, {"a": None}],
    "- &x [&y a, *y]\n- *x": [["a", "a"], ["a", "a"]],
    # merge keys: own keys win, then the first of several
    "- &a {x: 1, y: 1}\n- &b {y: 2}\n- <<: [*a, *b]\n  z: 3": [{"x": 1, "y": 1}, {"y": 2}, {"x": 1, "y": 1, "z": 3}],
    # tags of the core schema, short, in full, by a handle
    "[!!str 1, !!int '2', !!float 3, !!bool 'true', !!null '', ! 4]": ["1", 2, Decimal(3), True, None, "4"],
    "[!!seq [], !!map {}, ! [], ! {}]": [[], {}, [], {}],
    "!<tag:yaml.org,2002:str> 1": "1",
    "%TAG !y! tag:yaml.org,2002:\n---\n!y!str 1": "1",
    "!!binary aGk=": b"hi",
    # documents
    "%YAML 1.2\n---\na\n...\n": "a",
    "--- |\n a\n--- {}\n---\n# nothing\n": ["a\n", {}, None],
    "# only a comment\n": None,
    "a: 1 # one\n# two\nb: 2": {"a": 1, "b": 2},
    "\ufeffa: 1\r\nb:\r\n  - 2\r\n": {"a": 1, "b": [2]},
}  # fmt: skip
NOT_READ = {
    "bad_yaml": (
        *("[a, b", "{a: 1", "'a", '"a', "a: b: c", "a: 'b' c", "- a\nb: c", "a: 1\n- b", "a:\n  b: 1\n c: 2", "[a]]", "{a: 1}}"),
        *("a: [\n1\n]\nb", "[a, , b]", "[,]", '"\\q"', '"\\x4"', "@a", "`a`", "%a", "a: |x\n b", "a: |10\n b", "- \ta\n -b: c\n"),
        *("\ta: 1", "a:\n\tb: 1", "%YAML 1.2\n", "a: &x &y b", "&x *y", "a: -\tb", "-\t-", "---\ta"),
        *("a: >\n\n  x\n y", "'a\n---\nb'", "{a: 1} b", "key: [ a\n]\n b", "a: b\n  c: d", "'a': b\n 'c': d"),
    ),
    "bad_alias": ("*a", "a: *b\nb: &b 1", "&a [*a]", "a: &a\n  b: *a", "- &a {b: [{c: *a}]}"),
    "duplicate_key": ("a: 1\na: 2", "{a: 1, a: 2}", "1: a\n01: b", ": a\n: b", "a: 1\n'a': 2", "a: 1\n!!str a: 2"),
    "bad_key": ("a: &x [1]\n*x : 2",),
    "tag_refused": ("!a 1", "!!set {a}", "!!python/object/apply:os.system [ls]", "!<x:y> {}", "a: !!js/function 'f'", "!!int []"),
    "bad_tag": ("!!int a", "!!bool 1", "!!null a", "!!float x", "!!binary '*'", "!x!y z"),
    "number_too_long": ("9" * 5_000, "1e99999999999999999999"),
}  # fmt: skip


@pytest.mark.parametrize("text", READ)
def test_what_is_yaml_is_read_by_value(text: str) -> None:
    assert repr(value_of(text.encode(), "yaml")) == repr(READ[text])


@pytest.mark.parametrize(("code", "text"), [(code, text) for code, texts in NOT_READ.items() for text in texts])
def test_what_is_none_or_cannot_be_meant_is_refused(code: str, text: str) -> None:
    assert refused(text.encode(), "yaml").code == code


def test_keys_are_of_the_kinds_that_scalars_are() -> None:
    assert list(value_of(b"2: a\n1.5: b\ntrue: c\n~: d\n'3': e", "yaml")) == [2, Decimal("1.5"), True, None, "3"]


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("!point {x: 1}", Tagged("!point", {"x": 1})),
        ("- !!set {a, b}", [Tagged("!!set", {"a": None, "b": None})]),
        ("%TAG !e! tag:example.org,2000:\n---\n!e!a 1", Tagged("tag:example.org,2000:a", "1")),
        ("%TAG !! tag:example.org,2000:\n---\n!!int 1 - 3", Tagged("tag:example.org,2000:int", "1 - 3")),
    ],
)
def test_other_tags_stay_beside_their_values_where_that_was_asked_for(text: str, value: Any) -> None:
    assert value_of(text.encode(), "yaml", tags="keep") == value


@pytest.mark.parametrize(
    ("text", "value"),
    [
        (
            "%TAG !e! tag:e:\n---\n!e!a 1\n...\n%TAG !e! tag:f:\n---\n!e!a 2",
            [Tagged("tag:e:a", "1"), Tagged("tag:f:a", "2")],
        ),
        ("a\n...\n# c\n%TAG !e! tag:e:\n---\n!e!a 1\n", ["a", Tagged("tag:e:a", "1")]),
        ("--- |\n%TAG !e! tag:e:\n--- x\n", ["%TAG !e! tag:e:\n", "x"]),
    ],
)
def test_directive_is_for_the_document_that_follows(text: str, value: list[Any]) -> None:
    assert value_of(text.encode(), "yaml", tags="keep") == value


@pytest.mark.parametrize(
    "before", ["%TAG !e! tag:e:\n---\n1\n---\n", "%TAG !e! tag:e:\n---\n1\n...\n---\n", "--- |\n%TAG !e! tag:e:\n---\n"]
)
def test_directive_is_for_no_other_document(before: str) -> None:
    assert refused(f"{before}!e!a 2".encode(), "yaml", tags="keep").code == "bad_tag"


def test_parser_prints_nothing(capfd: pytest.CaptureFixture[str]) -> None:
    assert refused(b"a: [secret\n", "yaml").code == "bad_yaml"

    assert capfd.readouterr() == ("", "")
