"""What JSON Schema cannot say of what is drawn."""

from collections.abc import Iterator
from typing import Any

from bounded_contexts.documents.domain.rendering.barcodes import SYMBOLOGIES, complete
from bounded_contexts.documents.domain.rendering.charts import ROUND, STACKED
from bounded_contexts.documents.domain.rendering.problems import Problem


def drawn_problems(block: dict[str, Any], pointer: str) -> Iterator[Problem]:
    """Yield what is wrong with a barcode or a chart; a value out of the data is looked at when it is rendered."""
    yield from (_of_barcode if block["type"] == "barcode" else _of_chart)(block, pointer)


def _of_barcode(block: dict[str, Any], pointer: str) -> Iterator[Problem]:
    symbology = block["symbology"]
    kind = SYMBOLOGIES[symbology]
    if block.get("errorCorrection", "") not in ("", *kind.levels):
        said = f"{symbology} has {', '.join(kind.levels)}" if kind.levels else f"{symbology} has no levels of it"
        yield Problem(f"{pointer}/errorCorrection", "not_allowed", said)
    if block.get("showText") and not kind.is_linear:
        yield Problem(f"{pointer}/showText", "not_allowed", "a code of areas has no readable text")
    if "size" in block and ("width" in block or "height" in block):
        yield Problem(f"{pointer}/size", "not_allowed", "a code has either a size or width and height")
    if "{{" not in block["value"]:
        try:
            complete(symbology, block["value"])
        except ValueError as error:
            yield Problem(f"{pointer}/value", "bad_barcode", str(error))


def _of_chart(block: dict[str, Any], pointer: str) -> Iterator[Problem]:
    kind, series = block["kind"], block["series"]
    if kind in ROUND and len(series) > 1:
        yield Problem(f"{pointer}/series", "too_many", f"a {kind} shows one series")
    if len({each.get("kind", "column") for each in series}) > 2:
        yield Problem(f"{pointer}/series", "too_many", "a combined chart has two kinds of series")
    if block.get("stacked") and kind not in STACKED:
        yield Problem(f"{pointer}/stacked", "not_allowed", f"series stand on each other in {', '.join(STACKED)}")
    yield from _rows_of_chart(block, pointer)
    for number, each in enumerate(series):
        yield from _series_problems(each, kind, isinstance(block["rows"], dict), f"{pointer}/series/{number}")
    for name in ("xAxis", "yAxis"):
        axis = block.get(name, {})
        if "min" in axis and "max" in axis and axis["min"] >= axis["max"]:
            yield Problem(f"{pointer}/{name}/max", "out_of_range", "an axis ends above where it begins")
    if kind != "scatter" and set(block.get("xAxis", {})) & {"min", "max", "numberFormat"}:
        yield Problem(f"{pointer}/xAxis", "not_allowed", "an axis of categories has a title only")


def _rows_of_chart(block: dict[str, Any], pointer: str) -> Iterator[Problem]:
    if isinstance(block["rows"], dict):
        if block["kind"] != "scatter" and "category" not in block:
            yield Problem(pointer, "missing_property", "category says what a row stands for")
        return
    for number, row in enumerate(block["rows"]):
        if len(row) > len(block["series"]) + 1:
            yield Problem(f"{pointer}/rows/{number}", "too_many", "a row is a category, and a value for each series")


def _series_problems(series: dict[str, Any], kind: str, of_data: bool, pointer: str) -> Iterator[Problem]:
    wanted = ("value", "x") if kind == "scatter" else ("value",)
    for name in ("value", "x"):
        if of_data and name in wanted and name not in series:
            yield Problem(pointer, "missing_property", f"{name} says where a point is")
        elif name in series and not (of_data and name in wanted):
            yield Problem(f"{pointer}/{name}", "not_allowed", "rows say this")
    if "kind" in series and kind != "combined":
        yield Problem(f"{pointer}/kind", "not_allowed", "series have kinds of their own in combined charts")
