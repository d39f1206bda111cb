"""Formulas that cells share: one cell has the text, the others have it moved to their place."""

import re
from typing import Final

from bounded_contexts.documents.adapters.formats.xlsx_cells import COLUMNS, ROWS, area_of, letters

# Texts, names of sheets and names in brackets stay; of the rest, what is neither part of a name nor called is a cell.
_PARTS = re.compile(
    r'"(?:[^"]|"")*"|\'(?:[^\']|\'\')*\'|\[[^\]]*\]|(?<![\w.$])(\$?)([A-Z]{1,3})(\$?)(\d{1,7})(?![\w.(!])'
)
LOST: Final = "#REF!"


def moved(formula: str, down: int, right: int) -> str:
    """Return the formula for a cell so many rows below and columns to the right of its own."""

    def cell(match: "re.Match[str]") -> str:
        if match[2] is None:
            return match[0]
        place = area_of(match[2] + match[4])
        row = place.top if match[3] else place.top + down
        column = place.left if match[1] else place.left + right
        if not (0 < row <= ROWS and 0 <= column < COLUMNS):
            return LOST
        return f"{match[1]}{letters(column)}{match[3]}{row}"

    return _PARTS.sub(cell, formula)
