"""Formulas of workbooks: read, checked, and worked out where that can be done here.

    =[@qty]*[@price]        of a column: other columns of the same row, by their keys
    =SUM(B2:B9)*rate        of a cell: others by their places, and names

A formula is part of a document, never of its data: it has no {{fields}}, only functions that are listed, and leads into no other
file. What it gives is worked out when it has only references that are known here and functions of
`formula_functions.COMPUTED`; otherwise the document says the value.
"""

import re
from collections.abc import Callable
from dataclasses import dataclass, field
from decimal import Decimal
from functools import lru_cache
from typing import Final, Protocol

from bounded_contexts.documents.domain.rendering.formula_functions import (
    COMPUTED,
    KNOWN,
    FormulaError,
    compared,
    divided,
    number,
    powered,
    shown,
    together,
)
from bounded_contexts.documents.domain.rendering.functions import EXACT
from bounded_contexts.documents.domain.rendering.problems import BadExpression
from bounded_contexts.documents.domain.values import Value

LENGTH: Final = 8_192  # characters, as programs have it
DEPTH: Final = 64  # of parentheses in each other, as programs have it
_TOKEN = re.compile(
    r"""\s*(?:
      (?P<number>\d+(?:\.\d*)?(?:[eE][+-]?\d+)?)
    | (?P<text>"(?:[^"]|"")*")
    | \[@(?P<this>[A-Za-z_][\w-]*)\]
    | (?P<away>(?:'(?:[^'\[\]]|'')+'|[A-Za-z_]\w*)!\$?[A-Za-z]{1,3}\$?\d{1,7}(?::\$?[A-Za-z]{1,3}\$?\d{1,7})?)
    | (?P<cell>\$?[A-Za-z]{1,3}\$?\d{1,7}(?::\$?[A-Za-z]{1,3}\$?\d{1,7})?)(?![\w(.!])
    | (?P<name>[A-Za-z_][\w.]*)
    | (?P<mark><=|>=|<>|[-+*/^&%=<>(),])
    )""",
    re.VERBOSE | re.ASCII,
)
_BINARY: Final[tuple[tuple[str, ...], ...]] = (
    ("=", "<>", "<", "<=", ">", ">="),
    ("&",),
    ("+", "-"),
    ("*", "/"),
    ("^",),
)


class Scope(Protocol):
    """What a formula sees while it is worked out."""

    def step(self) -> None:
        """Count a step of work. Raise `TooLarge` past the limit."""

    def this(self, key: str) -> Value:
        """Return the value of another column of the row."""

    def cells(self, area: str) -> list[Value]:
        """Return the values of cells, row by row: `B2` is one, `B2:C9` many."""


Compiled = Callable[[Scope], Value]


@dataclass(frozen=True, slots=True)
class This:
    """Another column of the same row."""

    key: str


@dataclass(frozen=True, slots=True)
class Formula:
    """A formula that has been read. `pieces` are its text with places for other columns; `compute` is None for one whose value
    the document must say."""

    pieces: tuple[str | This, ...]
    compute: Compiled | None
    columns: frozenset[str]
    areas: tuple[str, ...]

    def text(self, place_of: Callable[[str], str]) -> str:
        """Return it as a cell has it, columns as the places of their cells."""
        return "".join([piece if isinstance(piece, str) else place_of(piece.key) for piece in self.pieces])

    def value(self, scope: Scope) -> Value:
        """Return what it gives: an error's name, such as `#DIV/0!`, where that is one."""
        try:
            found = self.compute(scope) if self.compute else None
            return found[0] if isinstance(found, list) and found else found
        except FormulaError as error:
            return error.name
        except ArithmeticError:
            return "#NUM!"


@lru_cache(maxsize=1024)
def formula(text: str) -> Formula:
    """Return the formula. Raise `BadExpression` for what is none or asks for what is not listed."""
    if not text.startswith("=") or len(text) > LENGTH:
        raise BadExpression(f"a formula begins with = and has {LENGTH} characters at most")
    parser = _Parser(_tokens(text))
    compute = parser.whole()
    pieces = tuple([This(each.text) if each.kind == "this" else each.raw for each in parser.tokens])
    return Formula(("=", *pieces), compute if parser.is_known else None, frozenset(parser.columns), tuple(parser.areas))


@dataclass(frozen=True, slots=True)
class _Token:
    kind: str
    text: str
    raw: str


def _tokens(text: str) -> list[_Token]:
    found = []
    at, end = 1, len(text.rstrip())
    while at < end:
        match = _TOKEN.match(text, at)
        if match is None or match.lastgroup is None:
            raise BadExpression(f"{text[at : at + 20].strip()!r} is no part of a formula")
        found.append(_Token(match.lastgroup, match[match.lastgroup], match[0]))
        at = match.end()
    return found


@dataclass(slots=True)
class _Parser:
    tokens: list[_Token]
    at: int = 0
    depth: int = 0
    is_known: bool = True
    columns: set[str] = field(default_factory=set)
    areas: list[str] = field(default_factory=list)

    def whole(self) -> Compiled:
        compiled = self._binary(0)
        if self.at < len(self.tokens):
            raise BadExpression(f"{self.tokens[self.at].text[:20]!r} is one too many in a formula")
        return compiled

    def _mark(self, *marks: str) -> str | None:
        if self.at < len(self.tokens):
            token = self.tokens[self.at]
            if token.kind == "mark" and token.text in marks:
                self.at += 1
                return token.text
        return None

    def _binary(self, level: int) -> Compiled:
        if level == len(_BINARY):
            return self._signed()
        left = self._binary(level + 1)
        while mark := self._mark(*_BINARY[level]):
            left = _operation(mark, left, self._binary(level + 1))
        return left

    def _signed(self) -> Compiled:
        signs = []
        while sign := self._mark("+", "-"):
            signs.append(sign)
        value = self._operand()
        while self._mark("%"):
            value = _operation("/", value, lambda scope: Decimal(100))
        if signs.count("-") % 2:
            plain = value
            return lambda scope: number(plain(scope)).copy_negate()
        return value

    def _operand(self) -> Compiled:
        if self.at >= len(self.tokens):
            raise BadExpression("a formula ends too early")
        if self._mark("("):
            return self._inside()
        token = self.tokens[self.at]
        self.at += 1
        match token.kind:
            case "number":
                constant = Decimal(token.text)
                return lambda scope: constant
            case "text":
                text = token.text[1:-1].replace('""', '"')
                return lambda scope: text
            case "this":
                self.columns.add(token.text)
                return lambda scope: scope.this(token.text)
            case "cell":
                return self._area(token.text)
            case "name":
                return self._named(token.text)
            case "away":
                return self._unknown()
        raise BadExpression(f"{token.text[:20]!r} stands at a wrong place in a formula")

    def _inside(self) -> Compiled:
        self.depth += 1
        if self.depth > DEPTH:
            raise BadExpression(f"more than {DEPTH} parentheses in each other")
        inner = self._binary(0)
        self._close()
        return inner

    def _close(self) -> None:
        if not self._mark(")"):
            raise BadExpression("a formula lacks a parenthesis")
        self.depth -= 1

    def _area(self, text: str) -> Compiled:
        area = text.replace("$", "").upper()
        self.areas.append(area)
        if ":" in area:
            return lambda scope: scope.cells(area)
        return lambda scope: scope.cells(area)[0]

    def _unknown(self) -> Compiled:
        self.is_known = False
        return lambda scope: None

    def _named(self, name: str) -> Compiled:
        upper = name.upper()
        if not self._mark("("):
            truth = {"TRUE": True, "FALSE": False}.get(upper)
            return self._unknown() if truth is None else lambda scope: truth
        arguments = self._arguments()
        if upper not in COMPUTED and upper not in KNOWN:
            raise BadExpression(f"{upper[:40]} is no function that a formula may have")
        if upper not in COMPUTED:
            return self._unknown()
        call, least, most = COMPUTED[upper]
        if not least <= len(arguments) <= most:
            raise BadExpression(f"{upper} takes {least} to {most} values")

        def evaluate(scope: Scope) -> Value:
            scope.step()
            return call([lambda each=each: each(scope) for each in arguments])  # type: ignore[misc]

        return evaluate

    def _arguments(self) -> list[Compiled]:
        self.depth += 1
        if self.depth > DEPTH:
            raise BadExpression(f"more than {DEPTH} parentheses in each other")
        found: list[Compiled] = []
        if self._mark(")"):
            self.depth -= 1
            return found
        found.append(self._binary(0))
        while self._mark(","):
            found.append(self._binary(0))
        self._close()
        return found


def _operation(mark: str, left: Compiled, right: Compiled) -> Compiled:
    def evaluate(scope: Scope) -> Value:
        scope.step()
        one, other = left(scope), right(scope)
        match mark:
            case "&":
                return together([shown(one), shown(other)])
            case "+":
                return EXACT.add(number(one), number(other))
            case "-":
                return EXACT.subtract(number(one), number(other))
            case "*":
                return EXACT.multiply(number(one), number(other))
            case "/":
                return divided(number(one), number(other))
            case "^":
                return powered(number(one), number(other))
        return compared(mark, one, other)

    return evaluate
