"""The language of documents is total, exact and cannot do anything else."""

import json
from datetime import datetime
from decimal import Decimal
from fractions import Fraction
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bounded_contexts.documents.adapters.engines.locales import BabelFormats
from bounded_contexts.documents.domain.errors import TooLarge
from bounded_contexts.documents.domain.rendering.expressions import expression, template
from bounded_contexts.documents.domain.rendering.functions import Context, text_of
from bounded_contexts.documents.domain.rendering.limits import RenderLimits
from bounded_contexts.documents.domain.rendering.problems import BadExpression
from tests.unit import rendered

DATA: dict[str, Any] = {
    "a": {"b": [{"c": 1}, {"c": Decimal("2.50")}], "odd key": "x", "length": "own"},
    "text": "Añb",
    "empty": "",
    "n": None,
    "day": "2026-11-21",
}


def context(warned: list[str] | None = None, locale: str = "en-GB", limits: RenderLimits | None = None) -> Context:
    told = warned if warned is not None else []
    formats = BabelFormats(locale, "Europe/London")
    return Context(dict(DATA), formats, lambda code, detail: told.append(code), limits or RenderLimits())


def value_of(source: Any, **more: Any) -> Any:
    return expression(source)(context(**more))


@pytest.mark.parametrize(
    ("source", "value"),
    [
        ("{{a.b[1].c}}", "2.50"),
        ("{{a.b.0.c}}", "1"),
        ('{{a["odd key"] | upper}}', "X"),
        ("{{a.b.length}} {{a.length}} {{text.length}}", "2 own 3"),
        ('{{ text | lower | replace("b", "}x{") }}', "añ}x{"),
        ("\\{{text}} {{true}} {{-1.50}}", "{{text}} true -1.50"),
        ('{{none | default("-")}}{{empty | default(1)}}{{text | default(1)}}', "-1Añb"),
        ('{{a.b | sum("c") | currency("EUR")}}', "€3.50"),
        ('{{day | date("long")}}', "21 November 2026"),
        ('{{day | date("EEE d.M.yy")}}', "Sat 21.11.26"),
        ({"+": [1, {"path": "a.b[1].c"}, {"*": [2, 3]}]}, Decimal("9.50")),
        ({"-": [5]}, -5),
        ({"/": [1, 3]}, Decimal("0." + "3" * 34)),
        ({"%": [7, 4]}, 3),
        ({"if": [{"and": [{">": [{"path": "a.b.length"}, 1]}, {"not": False}]}, "yes", "no"]}, "yes"),
        ({"==": [1, Decimal("1.0")]}, True),
        ({"<": ["1", 2]}, False),
        ({"or": [{"path": "empty"}, 0]}, False),
        ({"sum": {"map": {"each": "a.b", "as": "x", "value": {"*": [{"path": "x.c"}, {"path": "loop.index"}]}}}}, 6),
        ({"round": ["2.345", 2]}, Decimal("2.34")),
        ({"join": [["a", 1], "-"]}, "a-1"),
        ({"contains": ["abc", "b"]}, True),
        ({"slice": ["abcd", -2]}, "cd"),
    ],
    ids=str,
)
def test_expressions_say(source: Any, value: Any) -> None:
    assert value_of(source) == value


@pytest.mark.parametrize(
    ("source", "code"),
    [
        ("{{none}}", "missing_value"),
        ("{{a.b[9]}}", "missing_value"),
        ({"/": [1, 0]}, "division_by_zero"),
        ({"%": [1, 0]}, "division_by_zero"),
        ({"+": ["x", 1]}, "not_a_number"),
        ('{{text | currency("EUR")}}', "not_a_number"),
        ("{{text | date}}", "not_a_date"),
        ({"currency": [1, "NOPE"]}, "bad_format"),
        ({"number": [1, 99]}, "bad_format"),
    ],
    ids=str,
)
def test_what_has_no_meaning_is_null_and_told(source: Any, code: str) -> None:
    warned: list[str] = []

    assert value_of(source, warned=warned) in (None, "")
    assert warned == [code]


@pytest.mark.parametrize(
    "source",
    [
        "{{",
        "{{}}",
        "{{a b}}",
        "{{a..b}}",
        "{{a | nope}}",
        "{{a | upper(1)}}",
        "{{a.__class__()}}",
        "{{1+1}}",
        "{{a | slice(1}}",
        {"path": "a..b"},
        {"path": 1},
        {"path": "a", "x": 1},
        {"eval": ["1"]},
        {"not": [1, 2]},
        {"map": {"each": "a"}},
        "{{a" + " | upper" * 33 + "}}",
        "{{" + "1" * 5_000 + "}}",
    ],
    ids=lambda source: str(source)[:40],
)
def test_what_is_no_expression_is_refused(source: Any) -> None:
    with pytest.raises(BadExpression):
        expression(source)


def test_no_path_leads_out_of_the_data() -> None:
    warned: list[str] = []

    assert value_of("{{a.__class__}}{{text.upper}}{{a.b.append}}{{n.x}}", warned=warned) == ""
    assert warned == ["missing_value"] * 4


@pytest.mark.parametrize("name", ["number", "currency", "percent"])
def test_a_number_of_too_many_digits_is_told(name: str) -> None:
    warned: list[str] = []

    assert value_of({name: ["9" * 900, "EUR"] if name == "currency" else ["9" * 900]}, warned=warned) is None
    assert warned == ["bad_format"]


@pytest.mark.parametrize("time", ["0001-01-01T00:00:00+14:00", "9999-12-31T23:59:59-14:00"])
def test_a_time_at_the_end_of_all_years_is_told(time: str) -> None:
    warned: list[str] = []
    formats = BabelFormats("en-GB", "Europe/London")

    assert value_of({"date": [time]}, warned=warned) is None
    assert warned == ["bad_format"]
    assert formats.day(datetime.fromisoformat(time)).isoformat() == time[:10]


def test_keys_are_texts_and_signalling_numbers_have_no_order() -> None:
    seen = context()
    seen.names |= {"m": {"k": 1}, "s": Decimal("sNaN")}

    assert expression({"contains": [{"path": "m"}, "k"]})(seen) is True
    assert expression({"contains": [{"path": "m"}, {"path": "a.b"}]})(seen) is False
    assert expression({"sum": [{"path": "a.b"}, {"path": "m"}]})(seen) == 0
    assert expression({"==": [True, {"path": "s"}]})(seen) is False


def test_texts_are_limited_before_they_are_joined() -> None:
    seen = context(limits=RenderLimits(text_characters=1_000))
    seen.names |= {"many": ["x"] * 500, "long": "x" * 900}

    for source in ({"join": [{"path": "many"}, {"path": "long"}]}, "{{long}}" * 2):
        with pytest.raises(TooLarge, match="text"):
            expression(source)(seen)


def test_a_place_of_many_digits_is_not_there() -> None:
    warned: list[str] = []

    assert value_of("{{a.b." + "1" * 5_000 + "}}", warned=warned) == ""
    assert warned == ["missing_value"]


def test_nesting_steps_and_sizes_are_limited() -> None:
    deep: Any = 1
    for _ in range(40):
        deep = {"not": [deep]}

    with pytest.raises(BadExpression):
        expression(deep)
    with pytest.raises(TooLarge, match="steps"):
        value_of({"map": {"each": "a.b", "as": "x", "value": 1}}, limits=RenderLimits(steps=2))
    with pytest.raises(TooLarge, match="text"):
        value_of({"replace": ["a" * 1000, "a", "b" * 2000]})
    with pytest.raises(TooLarge, match="digits"):
        value_of({"*": [10**600, 10**600]})


NUMBERS = st.one_of(st.integers(-(10**30), 10**30), st.decimals(-(10**15), 10**15, allow_nan=False, places=6))


@given(NUMBERS, NUMBERS, NUMBERS)
def test_arithmetic_is_exact(left: Any, right: Any, third: Any) -> None:
    assert Fraction(value_of({"+": [left, {"*": [right, third]}]})) == Fraction(left) + Fraction(right) * Fraction(
        third
    )
    assert value_of({"<": [left, right]}) == (Fraction(left) < Fraction(right))


JSON = st.recursive(
    st.none() | st.booleans() | NUMBERS | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=3),
    max_leaves=6,
)


@given(
    st.sampled_from(
        [
            "+",
            "/",
            "%",
            "==",
            "<",
            "if",
            "not",
            "sum",
            "avg",
            "join",
            "slice",
            "round",
            "date",
            "keys",
            "contains",
            "currency",
            "percent",
            "first",
            "abs",
            "length",
        ]
    ),
    st.lists(JSON, max_size=3),
    JSON,
)
def test_every_expression_has_a_value(name: str, values: list[Any], data: Any) -> None:
    try:
        compiled = expression({name: values})
    except BadExpression:
        return
    made = context()
    made.names["x"] = data

    text_of(compiled(made))


@given(st.text(alphabet='{}|"(),.[] ab1\\', max_size=30))
def test_every_text_is_a_template_or_refused(text: str) -> None:
    try:
        compiled = template(text)
    except BadExpression:
        return
    if compiled is not None:
        assert isinstance(compiled(context()), str)
    else:
        assert "{{" not in text


def test_locales_write_numbers_their_way() -> None:
    source = '{{a.b[1].c | number(2)}} {{a.b[1].c | percent}} {{a.b[1].c | currency("EUR")}}'

    assert value_of(source, locale="de-DE") == "2,50 250% 2,50\xa0€"
    assert json.loads(json.dumps(value_of(source, locale="en-US"))) == "2.50 250% €2.50"


@pytest.mark.parametrize("source", ["{{a}}", "{{a.b}}", "{{text}} {{a.b}}"])
def test_a_list_or_map_in_a_text_is_nothing_and_told(source: str) -> None:
    warned: list[str] = []

    assert "{" not in value_of(source, warned=warned)
    assert warned == ["not_a_text"]


@pytest.mark.parametrize("character", ["\u202e", "\u202a", "\u2066", "\u2069"])
def test_what_turns_characters_round_is_told_wherever_it_comes_from(character: str) -> None:
    for source in (f"{character}{{{{empty}}}}", f'{{{{text | replace("A", "{character}")}}}}'):
        warned: list[str] = []
        value_of(source, warned=warned)
        assert warned == ["bidi_control"]


def test_blocks_of_which_nothing_comes_take_steps_too() -> None:
    partials = {f"p{n}": [{"type": "include", "partial": f"p{n + 1}"}] * 10 for n in range(12)}
    data = rendered.source({"type": "include", "partial": "p0"}, partials={**partials, "p12": []})

    with pytest.raises(TooLarge, match="steps"):
        rendered.rendered(data, "pdf", RenderLimits(steps=100_000))


MANY = list(range(1_000))
LONG = "x" * 300_000


@pytest.mark.parametrize(
    "source",
    [
        {"contains": [{"path": "many"}, "nothing"]},
        {"join": [{"path": "many"}]},
        {"==": [{"path": "many"}, {"path": "many"}]},
        {"slice": [{"path": "many"}, 1]},
        *({name: [{"path": "long"}]} for name in ("upper", "lower", "trim")),
        {"replace": [{"path": "long"}, "x", "y"]},
        {"contains": [{"path": "long"}, "y"]},
    ],
    ids=lambda source: next(iter(source)),
)
def test_what_goes_through_much_takes_the_steps_of_much(source: Any) -> None:
    found = context(limits=RenderLimits(steps=900))
    found.names |= {"many": MANY, "long": LONG}

    with pytest.raises(TooLarge, match="steps"):
        expression(source)(found)
