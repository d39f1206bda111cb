"""Where the cells of a table's rows stand when some of them reach over several columns or rows."""

from collections.abc import Iterator, Sequence
from typing import Any, Final

from bounded_contexts.documents.domain.values import Value

OWN: Final = ("blocks", "colSpan", "rowSpan", "style", "value")  # of a cell that says more than its value


class NoPlace(ValueError):
    """A cell finds no room in its row."""


class Grid:
    """Which columns of the next row are covered by cells of the rows above."""

    def __init__(self, columns: int) -> None:
        self._down = [0] * columns  # rows that a cell above still covers

    def placed(self, sizes: Sequence[tuple[int, int]]) -> list[int]:
        """Return the column of each cell of the next row, given how many columns and rows each reaches over: cells take
        the free columns from the left. Columns that stay free follow them. Raise `NoPlace` where there are too few."""
        down, below = self._down, [max(each - 1, 0) for each in self._down]
        found: list[int] = []
        column = 0
        for across, rows in sizes:
            while column < len(down) and down[column]:
                column += 1
            if column + across > len(down) or any(down[column : column + across]):
                raise NoPlace
            found.append(column)
            below[column : column + across] = [rows - 1] * across
            column += across
        found += [free for free in range(column, len(down)) if not down[free]]
        self._down = below
        return found


def is_cell(given: Value) -> bool:
    """Return whether a cell says more than a value: a constant and an expression are no such."""
    return isinstance(given, dict) and any(name in given for name in OWN)


def size_of(given: Value) -> tuple[int, int]:
    """Return how many columns and rows a cell reaches over."""
    return (int(given.get("colSpan", 1)), int(given.get("rowSpan", 1))) if is_cell(given) else (1, 1)


def misplaced(rows: Sequence[Sequence[Any]], columns: int, below: int = 0) -> Iterator[tuple[int, str]]:
    """Yield the number of each row whose cells do not fit into the table, and what is wrong. `below` counts the rows that
    may be reached into behind the last."""
    grid = Grid(columns)
    for number, row in enumerate(rows):
        sizes = [size_of(cell) for cell in row]
        if any(down > len(rows) - number + below for _, down in sizes):
            yield number, "a cell reaches below the last row"
        try:
            grid.placed(sizes)
        except NoPlace:
            yield number, f"more cells than the {columns} columns"
