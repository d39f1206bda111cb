"""Which characters part and quote the cells of a text, guessed from its first lines where that was asked for."""

import csv
from collections import Counter
from collections.abc import Iterator
from itertools import chain
from typing import Final

DELIMITERS: Final = (",", ";", "\t", "|")  # in this order where two fit alike
QUOTES: Final = ('"', "'")
SAMPLE: Final = 64 * 1024  # characters
LINES: Final = 200


def sampled(lines: Iterator[str]) -> tuple[list[str], Iterator[str]]:
    """Return the first lines, and all of them."""
    first: list[str] = []
    size = 0
    for line in lines:
        first.append(line)
        size += len(line)
        if size >= SAMPLE or len(first) >= LINES:
            break
    return first, chain(first, lines)


def guessed(lines: list[str], otherwise: str) -> dict[str, str]:
    """Return `delimiter`, `quote` and, if there is one, `escape` of the lines. The delimiter is what cuts most rows into the
    same number of cells, more than one; `otherwise` where none does."""
    found = max(
        ((delimiter, quote) for quote in QUOTES for delimiter in DELIMITERS),
        key=lambda pair: _fitness(lines, *pair),
    )
    if _fitness(lines, *found) <= (0, 0, 0):
        found = otherwise, QUOTES[0]
    delimiter, quote = found
    text = "".join(lines)
    escapes = f"\\{quote}" in text and f"{quote}{quote}{delimiter}" not in text
    return {"delimiter": delimiter, "quote": quote} | ({"escape": "\\"} if escapes else {})


def _fitness(lines: list[str], delimiter: str, quote: str) -> tuple[float, int, int]:
    """Return how much a dialect fits: the part of rows of one width, cells that are quoted, the width."""
    escape = "\\" if any(f"\\{quote}" in line for line in lines) else None
    try:
        rows = list(csv.reader(lines, delimiter=delimiter, quotechar=quote, escapechar=escape))
    except csv.Error:
        return 0, 0, 0
    rows = [row for row in (rows[:-1] if len(rows) > 1 and len(lines) >= LINES else rows) if row]
    if not rows:
        return 0, 0, 0
    width, count = Counter(map(len, rows)).most_common(1)[0]
    if width < 2:
        return 0, 0, 0
    begins = sum(line.count(f"{delimiter}{quote}") + line.startswith(quote) for line in lines)
    return count / len(rows), begins, width
