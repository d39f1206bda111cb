"""What a template needs: the paths that it looks up, found without any data. docs/templates.md"""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, Final

from bounded_contexts.documents.domain.rendering.expressions import ARITHMETIC, COMPARISON, FIELD, path_of, tokens
from bounded_contexts.documents.domain.rendering.functions import FUNCTIONS
from bounded_contexts.documents.domain.rendering.markers import Loop, Marker, terms
from bounded_contexts.documents.domain.values import Value

# What a function says of the value that it is given.
_GIVEN: Final = {
    **dict.fromkeys(("abs", "round", "floor", "ceil", "number", "currency", "percent", "toNumber"), "number"),
    **dict.fromkeys(("upper", "lower", "trim", "text", "concat", "replace", "startsWith", "endsWith"), "text"),
    **dict.fromkeys(("join", "first", "last", "sum", "avg", "min", "max"), "list"),
    "keys": "map",
    "date": "date",
}
_SURER: Final = ("any", "text", "boolean")  # each gives way to what stands behind it, and to everything else


@dataclass(frozen=True, slots=True)
class Variable:
    """One path. `[]` stands for each element of a list; `loops` are the lists that it is repeated over, the outermost first;
    `is_required` is false where a default is there for every use."""

    path: str
    type: str
    loops: tuple[str, ...]
    is_required: bool


@dataclass(slots=True)
class _Use:
    type: str
    loops: tuple[str, ...]
    is_required: bool


@dataclass(slots=True)
class Variables:
    """Gathers what is used, in the order in which it is met."""

    _found: dict[str, _Use] = field(default_factory=dict)
    _names: dict[str, tuple[str, tuple[str, ...]]] = field(
        default_factory=dict
    )  # of loops: path and loops of an element
    _own: tuple[str, ...] = ()  # names that are no data

    @property
    def found(self) -> list[Variable]:
        """Return them."""
        return [Variable(path, use.type, use.loops, use.is_required) for path, use in self._found.items()]

    def document(self, value: Value) -> None:
        """Gather what a document, or a part of one, uses."""
        if isinstance(value, str):
            self._text(value)
        elif isinstance(value, list):
            for each in value:
                self.document(each)
        elif isinstance(value, dict) and not self._expression(value, "any"):
            self._object(value)

    def marker(self, marker: Marker, kind: str = "text") -> None:
        """Gather what a field, which stands where this kind of value does, or a condition uses. Loops are entered by `each`."""
        if marker.kind in ("field", "image", "link"):
            self._field(marker.text, kind)
            if marker.shown_text:
                self._field(marker.shown_text, kind)
        elif marker.kind == "if":
            for compared in terms(marker.text[3:]):
                wanted = "boolean" if len(compared) == 1 else next(filter(None, map(_constant, compared)), "any")
                for each in compared:
                    self._field(each, wanted)

    @contextmanager
    def each(self, loop: Loop) -> Iterator[None]:
        """Gather what stands in a loop."""
        element, loops = self._use(loop.told, "list")
        before = dict(self._names), self._own
        self._own = (*(name for name in self._own if name != loop.name), "loop")
        if element:
            self._names[loop.name] = (f"{element}[]", (*loops, element))
        else:
            self._own += (loop.name,)
        try:
            yield
        finally:
            self._names, self._own = before

    def _use(self, told: str, kind: str, *, is_required: bool = True) -> tuple[str, tuple[str, ...]]:
        first, *rest = path_of(told)
        if str(first) in self._own:
            return "", ()
        root, loops = self._names.get(str(first), (str(first), ()))
        if rest and rest[-1] == "length":
            rest, kind = rest[:-1], "list"
        path = root + "".join([f"[{step}]" if isinstance(step, int) else f".{step}" for step in rest])
        use = self._found.setdefault(path, _Use(kind, loops, is_required))
        use.is_required |= is_required
        if use.type in _SURER and (kind not in _SURER or _SURER.index(kind) > _SURER.index(use.type)):
            use.type = kind
        return path, loops

    def _text(self, text: str) -> None:
        for match in FIELD.finditer(text):
            if match[1] is not None:
                self._field(match[1], "text")

    def _field(self, text: str, kind: str) -> None:
        found = tokens(text)
        called = {number for number, before in enumerate(found, 1) if before == ("mark", "|")}
        functions = [found[number][1] for number in sorted(called)]
        first = _GIVEN.get(next((name for name in functions if name != "default"), ""), kind)
        given_default = bool(functions) and functions[0] == "default"
        for number, token in enumerate(found):
            if token[0] == "path" and token[1] not in ("true", "false", "null") and number not in called:
                self._use(token[1], first if number == 0 else "any", is_required=number > 0 or not given_default)

    def _expression(self, value: dict[str, Any], kind: str) -> bool:
        """Gather what an expression uses, and return whether it is one."""
        if len(value) != 1:
            return False
        ((name, given),) = value.items()
        if name == "path" and isinstance(given, str):
            self._use(given, kind)
        elif name == "map" and isinstance(given, dict) and {"each", "as", "value"} <= set(given):
            with self.each(_loop(given)):
                self._operand(given["value"], "any")
        elif name in (*ARITHMETIC, *COMPARISON, "and", "or", "not", "if", "default", *FUNCTIONS):
            self._operands(name, given if isinstance(given, list) else [given], kind)
        else:
            return False
        return True

    def _operands(self, name: str, given: list[Value], kind: str) -> None:
        if name in COMPARISON:
            kinds = [next((found for each in given if (found := _kind(each))), "any")] * len(given)
        elif name in ("and", "or", "not"):
            kinds = ["boolean"] * len(given)
        elif name == "if":
            kinds = ["boolean", kind, kind]
        elif name in ARITHMETIC:
            kinds = ["number"] * len(given)
        else:
            kinds = [_GIVEN.get(name, kind)] + ["any"] * len(given)
        for number, (each, wanted) in enumerate(zip(given, kinds, strict=False)):
            if name == "default" and number == 0 and isinstance(each, dict) and isinstance(each.get("path"), str):
                self._use(each["path"], wanted, is_required=False)
            else:
                self._operand(each, wanted)

    def _operand(self, value: Value, kind: str) -> None:
        if not (isinstance(value, dict) and self._expression(value, kind)):
            self.document(value)

    def _object(self, value: dict[str, Any]) -> None:
        rows = value.get("rows")
        own = value if "each" in value else rows if isinstance(rows, dict) and "each" in rows else None
        kept = {name: each for name, each in value.items() if not name.startswith("x-") and name not in ("each", "as")}
        if own is None or not isinstance(own.get("each"), str):
            self._children(kept)
            return
        repeated = kept if own is value else {name: kept.pop(name) for name in ("columns",) if name in kept}
        if own is not value:
            kept.pop("rows")
            self._children({name: each for name, each in kept.items() if name != "columns"})
        with self.each(_loop(own)):
            self._children(repeated)

    def _children(self, values: dict[str, Any]) -> None:
        for name, each in values.items():
            before = self._own
            if name == "formats":
                self._own = (*before, "value")
            if name in ("test", "when") and isinstance(each, dict):
                self._operand(each, "boolean")
            else:
                self.document(each)
            self._own = before


def _loop(given: dict[str, Any]) -> Loop:
    return Loop(given["each"], path_of(given["each"]), str(given["as"]))


def _constant(text: str) -> str | None:
    found = tokens(text)
    if len(found) != 1:
        return None
    kind, word = found[0]
    return kind if kind in ("text", "number") else "boolean" if word in ("true", "false") else None


def _kind(value: Value) -> str | None:
    if isinstance(value, str) and "{{" not in value:
        return "text"
    if isinstance(value, bool):
        return "boolean"
    return None if value is None or isinstance(value, str | list | dict) else "number"
