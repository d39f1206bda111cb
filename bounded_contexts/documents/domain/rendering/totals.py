"""Totals of a table's columns: of all rows, of groups of them, and of those so far."""

from dataclasses import dataclass
from decimal import Decimal

from bounded_contexts.documents.domain.rendering.functions import DIVISION, added, number_of, plain
from bounded_contexts.documents.domain.values import Value


@dataclass(slots=True)
class Total:
    """A column's total while its rows pass."""

    function: str | None
    count: int = 0
    number: Decimal | None = None

    def add(self, value: Value) -> None:
        """Count a row's value in."""
        if self.function is None or value is None:
            return
        self.count += 1
        number = number_of(value)
        if number is None or self.function == "count":
            return
        if self.number is None:
            self.number = number
        elif self.function in ("sum", "avg"):
            self.number = added(self.number, number)
        else:
            self.number = min(self.number, number) if self.function == "min" else max(self.number, number)

    @property
    def value(self) -> Value:
        """Return what the rows so far come to."""
        if self.function == "count":
            return self.count
        if self.number is None:
            return None
        return plain(DIVISION.divide(self.number, Decimal(self.count)) if self.function == "avg" else self.number)
