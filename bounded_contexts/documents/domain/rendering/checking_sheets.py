"""What JSON Schema cannot say of formulas and of what is for workbooks."""

import re
from collections import Counter
from collections.abc import Iterator, Sequence
from datetime import date
from typing import Any, Final

from bounded_contexts.documents.domain.rendering.column_formulas import order
from bounded_contexts.documents.domain.rendering.formulas import Formula, formula
from bounded_contexts.documents.domain.rendering.functions import moment_of
from bounded_contexts.documents.domain.rendering.problems import BadExpression, Problem
from bounded_contexts.documents.domain.rendering.sheet_places import Place, area_of, in_order, place_of
from bounded_contexts.documents.domain.rendering.sheeting import lines_of
from bounded_contexts.documents.domain.rendering.sheets import DEEPEST
from bounded_contexts.documents.domain.rendering.spans import size_of

ROWS: Final = 100_000  # of a sheet whose cells are said one by one
COLUMNS: Final = 200
MERGED: Final = 1_000  # cells that become one
LIST: Final = 255  # characters that all values of a list have together, with a comma between two
_CELL = re.compile(r"[A-Za-z]{1,3}[0-9]{1,7}|[rRcC]([0-9]+([rRcC][0-9]*)?)?")  # what a name may not look like
_NEEDS: Final = {"cell": ("style",), "contains": ("style", "value"), "duplicate": ("style",), "scale": ("colors",)}


def sheet_problems(table: dict[str, Any], pointer: str) -> Iterator[Problem]:
    """Yield what is wrong with a table's formulas and with what it says for workbooks."""
    columns = table["columns"]
    yield from _formulas(columns, f"{pointer}/columns")
    own = table.get("xlsx", {})
    yield from _name(own, f"{pointer}/xlsx")
    if own.get("table"):
        yield from _as_object(table, f"{pointer}/xlsx/table")
    if "outline" in own and "groupBy" not in table:
        yield Problem(f"{pointer}/xlsx/outline", "not_allowed", "an outline folds groups: a table has groupBy")
    for number, column in enumerate(columns):
        given, here = column.get("xlsx", {}), f"{pointer}/columns/{number}/xlsx"
        yield from _name(given, here)
        if "comment" in given and "title" not in column:
            yield Problem(f"{here}/comment", "missing_property", "a comment is at a column's title")
        for at, rule in enumerate(given.get("rules", ())):
            yield from _rule(rule, f"{here}/rules/{at}")
        if "validation" in given:
            yield from _validation(given["validation"], f"{here}/validation")


def _as_object(table: dict[str, Any], pointer: str) -> Iterator[Problem]:
    rows = table["rows"] if isinstance(table["rows"], list) else []
    reaching = any(size_of(cell)[1] > 1 for row in table.get("headerRows", ()) for cell in row)
    if reaching or "groupBy" in table or any(size_of(cell) != (1, 1) for row in rows for cell in row):
        yield Problem(
            pointer, "not_allowed", "a table of a workbook has no cells that reach over others, and no groups"
        )


def _name(given: dict[str, Any], pointer: str) -> Iterator[Problem]:
    if not _is_name(given.get("name", "free")):
        yield Problem(f"{pointer}/name", "bad_form", "a name does not look like a cell, or begin with ref_")


def _is_name(name: str) -> bool:
    """Return whether a name is free: what runs refer to is called `ref_` and its id."""
    return not _CELL.fullmatch(name) and not name.lower().startswith("ref_")


def _formulas(columns: list[dict[str, Any]], pointer: str) -> Iterator[Problem]:
    places: dict[str, int] = {}
    for number, column in enumerate(columns):
        if places.setdefault(column.get("key", ""), number) != number and "key" in column:
            yield Problem(f"{pointer}/{number}/key", "not_allowed", "another column has this key")
    formulas: list[Formula | None] = []
    for number, column in enumerate(columns):
        found, problem = _formula(column, places, is_column=True)
        formulas.append(found)
        if problem:
            yield Problem(f"{pointer}/{number}/formula", "bad_formula", problem)
    try:
        order(formulas, places)
    except RecursionError:
        yield Problem(pointer, "bad_formula", "formulas of columns refer to each other in a circle")


def _formula(column: dict[str, Any], places: dict[str, int], *, is_column: bool = False) -> tuple[Formula | None, str]:
    """The formula of a column or cell, None for one that cannot be used, and what is wrong with it."""
    if "formula" not in column:
        return None, ""
    try:
        found = formula(column["formula"])
    except BadExpression as error:
        return None, str(error)
    unknown = sorted(found.columns - set(places))
    if unknown:
        return None, f"no column has the key {unknown[0][:40]}"
    if "value" not in column and (found.compute is None or (found.areas and is_column)):
        return found, "this is not worked out here: say its value too"
    if "blocks" in column:
        return found, "a column has either a formula or blocks"
    return found, ""


def _rule(rule: dict[str, Any], pointer: str) -> Iterator[Problem]:
    kind = rule["kind"]
    for name in _NEEDS.get(kind, ()):
        if name not in rule:
            yield Problem(pointer, "missing_property", f"a rule of kind {kind} has {name}")
    if kind == "cell" and ("values" if rule.get("operator") == "between" else "value") not in rule:
        yield Problem(pointer, "missing_property", "a rule compares with a value, or is between two values")
    if kind in ("top", "bottom") and not 1 <= _whole(rule.get("value")) <= 1_000:
        yield Problem(pointer, "missing_property", "value says how many, 1 to 1,000")
    if kind == "scale" and len(rule.get("colors", ())) == 1:
        yield Problem(f"{pointer}/colors", "too_few", "a scale has two or three colours")
    text = str(rule.get("value", ""))
    if kind == "cell" and text.startswith("="):
        yield Problem(f"{pointer}/value", "not_allowed", "a rule compares with a value")


def _whole(value: Any) -> int:
    return int(value) if isinstance(value, int) else 0


def _validation(given: dict[str, Any], pointer: str) -> Iterator[Problem]:
    kind = given["kind"]
    if kind == "list":
        values = given.get("values", ())
        if not values or len(",".join(values)) > LIST or any("," in each for each in values):
            yield Problem(f"{pointer}/values", "too_long", f"values have {LIST} characters together, none a comma")
        return
    if "min" not in given or "max" not in given:
        yield Problem(pointer, "missing_property", "min and max say what may be typed in")
        return
    for name in ("min", "max"):
        is_day = isinstance(moment_of(given[name]), date)
        if is_day != (kind == "date") or (kind != "date" and isinstance(given[name], str)):
            yield Problem(f"{pointer}/{name}", "wrong_type", "a date for a date, a number for others")


def sheet_block_problems(block: dict[str, Any], pointer: str) -> Iterator[Problem]:
    """Yield what is wrong with a sheet whose cells are said one by one."""
    formulas: dict[Place, Formula] = {}
    for name, cell in block["cells"].items():
        here = f"{pointer}/cells/{name}"
        if not _is_within(name):
            yield Problem(here, "out_of_range", f"a cell is in {COLUMNS} columns and {ROWS} rows")
        elif isinstance(cell, dict) and "formula" in cell:
            found, problem = _formula(cell, {})
            if problem:
                yield Problem(f"{here}/formula", "bad_formula", problem)
            if found is not None:
                formulas[place_of(name)] = found
    yield from _circle(formulas, f"{pointer}/cells")
    yield from _outline(block.get("outline", ()), f"{pointer}/outline")
    yield from _merges(block.get("merges", ()), f"{pointer}/merges")
    for name in block.get("names", {}):
        if not _is_name(name):
            yield Problem(f"{pointer}/names/{name}", "bad_form", "a name does not look like a cell, or begin with ref_")
    for number, rule in enumerate(block.get("rules", ())):
        yield from _rule(rule, f"{pointer}/rules/{number}")
    for number, validation in enumerate(block.get("validations", ())):
        yield from _validation(validation, f"{pointer}/validations/{number}")


def _circle(formulas: dict[Place, Formula], pointer: str) -> Iterator[Problem]:
    try:
        in_order(formulas)
    except RecursionError:
        yield Problem(pointer, "bad_formula", "formulas refer to each other in a circle")
    except OverflowError:
        yield Problem(pointer, "limit_exceeded", "formulas look at too many cells")


def _outline(given: Sequence[dict[str, Any]], pointer: str) -> Iterator[Problem]:
    folded: Counter[tuple[str, int]] = Counter()
    for number, each in enumerate(given):
        lines = lines_of(each)
        if not lines.first <= lines.last < (ROWS if lines.kind == "rows" else COLUMNS):
            yield Problem(f"{pointer}/{number}/lines", "out_of_range", f"the first of {COLUMNS} columns or {ROWS} rows")
            return
        folded.update({(lines.kind, line): 1 for line in range(lines.first, lines.last + 1)})
        if folded.total() > ROWS:
            yield Problem(f"{pointer}/{number}/lines", "too_many", f"{ROWS} lines are folded at most")
            return
    if max(folded.values(), default=0) > DEEPEST:
        yield Problem(pointer, "too_many", f"an outline has {DEEPEST} levels")


def _merges(merges: Sequence[str], pointer: str) -> Iterator[Problem]:
    taken: set[Place] = set()
    for number, name in enumerate(merges):
        area = area_of(name)
        rows, columns = area.bottom - area.top + 1, area.right - area.left + 1
        if not 2 <= rows * columns <= MERGED or area.bottom >= ROWS or area.right >= COLUMNS:
            yield Problem(f"{pointer}/{number}", "out_of_range", f"2 to {MERGED} cells become one")
            continue
        places = {(area.top + at // columns, area.left + at % columns) for at in range(rows * columns)}
        if places & taken:
            yield Problem(f"{pointer}/{number}", "not_allowed", "these cells are part of another one already")
        taken |= places


def _is_within(name: str) -> bool:
    row, column = place_of(name)
    return row < ROWS and column < COLUMNS
