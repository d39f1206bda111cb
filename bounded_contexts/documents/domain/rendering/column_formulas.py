"""Formulas of a table's columns, worked out row by row."""

import decimal
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Any, Final

from bounded_contexts.documents.domain.rendering.formula_functions import ERRORS
from bounded_contexts.documents.domain.rendering.formulas import Formula, formula
from bounded_contexts.documents.domain.rendering.functions import Context, plain
from bounded_contexts.documents.domain.values import Value

_DIGITS: Final = decimal.Context(prec=15)


@dataclass(slots=True)
class _Row:
    """One row, as formulas see it."""

    context: Context
    places: Mapping[str, int]
    values: Sequence[Value]

    def step(self) -> None:
        self.context.step()

    def this(self, key: str) -> Value:
        return self.values[self.places[key]]

    def cells(self, area: str) -> list[Value]:
        raise LookupError(area)  # a column whose formula has areas says its value


class ColumnFormulas:
    """The formulas of one table, by column; `order` is that in which they are worked out."""

    def __init__(self, columns: Sequence[Mapping[str, Any]]) -> None:
        self.places = {column["key"]: at for at, column in enumerate(columns) if "key" in column}
        self.formulas: list[Formula | None] = [
            formula(column["formula"]) if "formula" in column else None for column in columns
        ]
        said = [at for at, column in enumerate(columns) if "value" in column]
        self._order = [at for at in order(self.formulas, self.places) if at not in said]

    def fill(self, values: list[Value], context: Context) -> list[int]:
        """Put what formulas give where a row has nothing; return where. An error is told."""
        filled = []
        for at in self._order:
            each = self.formulas[at]
            if values[at] is None and each is not None and each.compute is not None and not each.areas:
                found = each.value(_Row(context, self.places, values))
                values[at] = shortened(found)
                filled.append(at)
                if isinstance(found, str) and found in ERRORS:
                    context.warn("formula_error", f"a formula gives {found}")
        return filled


def shortened(value: Value) -> Value:
    """Return what a formula gives as programs keep it: 15 digits of a number."""
    return plain(_DIGITS.plus(value).normalize()) if isinstance(value, Decimal) else value


def order(formulas: Sequence[Formula | None], places: Mapping[str, int]) -> list[int]:
    """Return the columns that have formulas, each behind those that it refers to. Raise `RecursionError` for a circle and
    `KeyError` for a column that there is none of."""
    found: list[int] = []
    open_: set[int] = set()

    def visit(at: int) -> None:
        each = formulas[at]
        if each is None or at in found:
            return
        if at in open_:
            raise RecursionError
        open_.add(at)
        for key in sorted(each.columns):
            visit(places[key])
        found.append(at)

    for at in range(len(formulas)):
        visit(at)
    return found
