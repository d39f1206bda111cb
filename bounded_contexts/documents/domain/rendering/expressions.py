"""The language of documents: paths, comparisons, exact arithmetic, pure functions. No loops but over data, no code.

    {{order.lines[0].name | upper}}                       in any text
    {"*": [{"path": "l.qty"}, {"path": "l.price"}]}       where a value is asked for

It is total: what has no meaning is null and told, and every evaluation ends.
"""

import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from decimal import Decimal
from functools import lru_cache
from typing import Final

from bounded_contexts.documents.domain.rendering.functions import (
    DIGITS,
    FUNCTIONS,
    Context,
    Rows,
    arithmetic,
    compare,
    text_of,
    told,
)
from bounded_contexts.documents.domain.rendering.problems import BadExpression
from bounded_contexts.documents.domain.values import Value

Compiled = Callable[[Context], Value]
Path = tuple[str | int, ...]
DEPTH: Final = 32  # of expressions in each other, and of functions behind one value
ARITHMETIC: Final = ("+", "-", "*", "/", "%")
COMPARISON: Final = ("==", "!=", "<", "<=", ">", ">=")
_MISSING: Final = object()
FIELD: Final = re.compile(r'\\\{\{|\{\{((?:"[^"]*"|[^"{}])*)\}\}|\{\{')
_STEP = re.compile(r'(?:^|\.)(\w[\w-]*)|\[(\d{1,9})\]|\["([^"\]]*)"\]')
_TOKEN = re.compile(
    r'\s*(?:"([^"]*)"|(-?\d+(?:\.\d+)?)(?![\w.])|([^\W\d][\w-]*(?:\.[\w-]+|\[\d+\]|\["[^"\]]*"\])*)|([|(),]))'
)


@lru_cache(maxsize=4096)
def path_of(text: str) -> Path:
    """Return the steps of `a.b[0].c`; `["odd key"]` is a step too. Raise `BadExpression`."""
    steps: list[str | int] = []
    at = 0
    while at < len(text):
        match = _STEP.match(text, at)
        if match is None:
            break
        steps.append(int(match[2]) if match[2] else match[3] if match[3] is not None else match[1])
        at = match.end()
    if not steps or at < len(text) or isinstance(steps[0], int):
        raise BadExpression("a path is names with dots between them, like order.lines[0].name")
    return tuple(steps)


def looked_up(context: Context, path: Path) -> Value:
    """Return what is at the path, or nothing's own mark."""
    context.step()
    value: Value = context.names.get(str(path[0]), _MISSING)
    for step in path[1:]:
        if isinstance(step, int):
            value = value[step] if isinstance(value, list) and step < len(value) else _MISSING
        elif isinstance(value, dict) and step in value:
            value = value[step]
        elif isinstance(value, list) and step.isdecimal() and len(step) < 10:
            value = value[int(step)] if int(step) < len(value) else _MISSING
        elif step == "length" and isinstance(value, list | dict | str):
            value = len(value)
        else:
            return _MISSING
    return value


def _reference(path: Path, name: str) -> Compiled:
    def evaluate(context: Context) -> Value:
        value = looked_up(context, path)
        if value is _MISSING:
            context.warn("missing_value", f"there is nothing at {name[:40]}")
            return None
        return value

    return evaluate


@lru_cache(maxsize=4096)
def template(text: str) -> Compiled | None:
    """Return what fills the template in, None for a text without fields. Raise `BadExpression`."""
    parts: list[str | Compiled] = []
    at = 0
    for match in FIELD.finditer(text):
        parts.append(text[at : match.start()])
        if match[0].startswith("\\"):
            parts.append("{{")
        elif match[1] is None:
            raise BadExpression("{{ without its }}; a {{ of your own is written \\{{")
        else:
            parts.append(field(match[1]))
        at = match.end()
    if not parts:
        return None
    parts.append(text[at:])
    kept = tuple(part for part in parts if part != "")

    def evaluate(context: Context) -> Value:
        context.step()
        return context.joined(
            [text_of(told(context, part if isinstance(part, str) else part(context))) for part in kept]
        )

    return evaluate


def field(text: str) -> Compiled:
    """Return what evaluates what stands between `{{` and `}}`. Raise `BadExpression`."""
    found = tokens(text)
    value = _operand(found.pop(0)) if found else None
    if value is None:
        raise BadExpression('a field begins with a path or a value, like {{order.total | currency("EUR")}}')
    if found.count(("mark", "|")) > DEPTH:
        raise BadExpression(f"more than {DEPTH} functions behind a value")
    while found:
        if found.pop(0) != ("mark", "|") or not found or found[0][0] != "path":
            raise BadExpression("behind a value stands | and a function")
        name = found.pop(0)[1]
        value = _call(name, [value, *_arguments(found)])
    return value


def tokens(text: str) -> list[tuple[str, str]]:
    """Return the pieces of a field: texts, numbers, paths (functions look like one) and marks. Raise `BadExpression`."""
    found = []
    at, end = 0, len(text.rstrip())
    while at < end:
        match = _TOKEN.match(text, at)
        if match is None:
            raise BadExpression(f"{text[at : at + 20].strip()!r} is neither a path, a value nor a function")
        kind = ("text", "number", "path", "mark")[(match.lastindex or 1) - 1]
        found.append((kind, match[match.lastindex or 1]))
        at = match.end()
    return found


def _operand(token: tuple[str, str]) -> Compiled | None:
    kind, text = token
    if kind == "path":
        return {"true": _constant(True), "false": _constant(False), "null": _constant(None)}.get(text) or _reference(
            path_of(text), text
        )
    if kind == "number":
        return _constant(_number(text))
    return _constant(text) if kind == "text" else None


def _number(text: str) -> Value:
    if len(text) > DIGITS:
        raise BadExpression(f"a number has {DIGITS} digits at most")
    return Decimal(text) if "." in text else int(text)


def _arguments(tokens: list[tuple[str, str]]) -> list[Compiled]:
    if not tokens or tokens[0] != ("mark", "("):
        return []
    tokens.pop(0)
    found: list[Compiled] = []
    while tokens:
        operand = _operand(tokens.pop(0))
        if operand is None or not tokens:
            break
        found.append(operand)
        mark = tokens.pop(0)
        if mark == ("mark", ")"):
            return found
        if mark != ("mark", ","):
            break
    raise BadExpression("arguments are paths and values with commas between them, in parentheses")


def _constant(value: Value) -> Compiled:
    return lambda context: value


def _call(name: str, arguments: list[Compiled]) -> Compiled:
    if name == "default":
        return _default(arguments)
    if (function := FUNCTIONS.get(name)) is None:
        raise BadExpression(f"{name[:40]!r} is no function")
    if not function.least <= len(arguments) <= function.most:
        raise BadExpression(f"{name} takes {function.least} to {function.most} values")

    def evaluate(context: Context) -> Value:
        context.step()
        return function.call(context, *[argument(context) for argument in arguments])

    return evaluate


def _default(arguments: list[Compiled]) -> Compiled:
    if len(arguments) != 2:
        raise BadExpression("default takes 2 values")

    def evaluate(context: Context) -> Value:
        warn = context.warn
        context.warn = lambda code, detail: None  # that it may be missing is known
        try:
            value = arguments[0](context)
        finally:
            context.warn = warn
        return arguments[1](context) if value is None or value == "" else value

    return evaluate


def expression(value: Value, depth: int = 0) -> Compiled:
    """Return what evaluates a value of a document: a template, a constant or an object of one key. Raise `BadExpression`."""
    if isinstance(value, str):
        return template(value) or _constant(value)
    if not isinstance(value, dict):
        return _constant(value)
    if depth > DEPTH:
        raise BadExpression(f"more than {DEPTH} expressions in each other")
    if len(value) != 1:
        raise BadExpression("an expression is an object of one key")
    ((name, given),) = value.items()
    if name == "path":
        return _reference(path_of(given), given) if isinstance(given, str) else _no_path()
    if name == "map":
        return _mapping(given, depth)
    arguments = [expression(each, depth + 1) for each in (given if isinstance(given, list) else [given])]
    return _operation(name, arguments)


def _no_path() -> Compiled:
    raise BadExpression("a path is a text")


def _operation(name: str, arguments: list[Compiled]) -> Compiled:
    if name in ARITHMETIC and arguments:
        return lambda context: arithmetic(context, name, [argument(context) for argument in arguments])
    if name in COMPARISON and len(arguments) == 2:
        return lambda context: _compared(context, name, *[argument(context) for argument in arguments])
    if name == "and" and arguments:
        return lambda context: all(truth(argument(context)) for argument in arguments)
    if name == "or" and arguments:
        return lambda context: any(truth(argument(context)) for argument in arguments)
    if name == "not" and len(arguments) == 1:
        return lambda context: not truth(arguments[0](context))
    if name == "if" and len(arguments) == 3:
        test, then, other = arguments
        return lambda context: then(context) if truth(test(context)) else other(context)
    if name in (*ARITHMETIC, *COMPARISON, "and", "or", "not", "if"):
        raise BadExpression(f"{name} does not take {len(arguments)} values")
    return _call(name, arguments)


def _compared(context: Context, name: str, left: Value, right: Value) -> bool:
    if isinstance(left, list | dict):
        context.step(len(left))
    return compare(name, left, right)


def truth(value: Value) -> bool:
    """Return whether a value counts as true: null, false, 0, and empty texts, lists and maps do not."""
    return bool(value)


def _mapping(given: Value, depth: int) -> Compiled:
    if not isinstance(given, dict) or set(given) != {"each", "as", "value"} or not isinstance(given["each"], str):
        raise BadExpression('map is {"each": path, "as": name, "value": expression}')
    path, name, inner = path_of(given["each"]), str(given["as"]), expression(given["value"], depth + 1)

    def evaluate(context: Context) -> Value:
        return [inner(context) for _ in each_of(context, path, given["each"], name)]

    return evaluate


def each_of(context: Context, path: Path, told: str, name: str) -> Iterator[Value]:
    """Yield the elements of the list at the path, each while it has the name. `loop` has `index` (from 1), `first` and
    `last`. What the names meant before, they mean again."""
    values = looked_up(context, path)
    if not isinstance(values, list):
        context.warn("missing_value", f"there is no list at {told[:40]}")
        return
    yield from each_in(context, values, name)


def each_in(context: Context, values: Rows, name: str) -> Iterator[Value]:
    """Yield each of the values while it has the name, as `each_of` does."""
    names, last = context.names, len(values)
    before = {each: names[each] for each in (name, "loop") if each in names}
    try:
        for number, value in enumerate(values, 1):
            context.step()
            names[name] = value
            names["loop"] = {"index": number, "first": number == 1, "last": number == last}
            yield value
    finally:
        for each in (name, "loop"):
            names.pop(each, None)
        names.update(before)


@contextmanager
def named(context: Context, name: str, value: Value) -> Iterator[None]:
    """Give a value a name for a while. What the name meant before, it means again."""
    had, before = name in context.names, context.names.get(name)
    context.names[name] = value
    try:
        yield
    finally:
        if had:
            context.names[name] = before
        else:
            del context.names[name]
