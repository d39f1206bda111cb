"""What a document says for workbooks, as engines take it."""

from collections.abc import Mapping
from typing import Any

from bounded_contexts.documents.domain.rendering.blocks import Style
from bounded_contexts.documents.domain.rendering.functions import moment_of
from bounded_contexts.documents.domain.rendering.sheet_places import column_of
from bounded_contexts.documents.domain.rendering.sheets import (
    ColumnOnSheet,
    FormatRule,
    Lines,
    OnSheet,
    Print,
    Protection,
    Validation,
)
from bounded_contexts.documents.domain.rendering.texts import Texts
from bounded_contexts.documents.domain.values import Value


def on_sheet(table: Mapping[str, Any], texts: Texts) -> OnSheet:
    """Return what a table says."""
    given = table.get("xlsx", {})
    freeze = given.get("freeze", False)
    return OnSheet(
        texts.filled(given["sheet"]) if "sheet" in given else None,
        bool(freeze) and (freeze is True or freeze.get("header", True)),
        int(freeze.get("columns", 0)) if isinstance(freeze, dict) else 0,
        given.get("autofilter", False),
        given.get("table", False),
        given.get("name"),
        given.get("hidden", False),
        print_of(given.get("print", {})),
        protection_of(given.get("protect", False)),
        given.get("outline"),
        any("subtotal" not in each for each in table.get("groupBy", ())),
    )


def print_of(given: Mapping[str, Any]) -> Print:
    """Return how a sheet is printed."""
    fits = "fitWidth" in given or "fitHeight" in given
    return Print(
        int(given.get("fitWidth", 0)) if fits else None,
        int(given.get("fitHeight", 0)),
        given.get("area", False),
        int(given.get("titleColumns", 0)),
        given.get("gridLines", False),
    )


def protection_of(given: Value) -> Protection | None:
    """Return what a protected sheet allows, None for one that is not."""
    if given is False:
        return None
    return Protection(frozenset(given.get("allow", ()) if isinstance(given, dict) else ()))


def lines_of(given: Mapping[str, Any]) -> Lines:
    """Return rows or columns that are folded together."""
    first, _, last = given["lines"].partition(":")
    if first.isdigit():
        return Lines("rows", int(first) - 1, int(last) - 1, given.get("collapsed", False))
    return Lines("columns", column_of(first), column_of(last), given.get("collapsed", False))


def column_on_sheet(given: Mapping[str, Any], texts: Texts) -> ColumnOnSheet:
    """Return what a column says."""
    return ColumnOnSheet(
        given.get("hidden", False),
        given.get("numberFormat"),
        given.get("name"),
        tuple([rule_of(each, texts) for each in given.get("rules", ())]),
        validation_of(given["validation"], texts) if "validation" in given else None,
        texts.filled(given.get("comment", "")),
        int(given.get("outline", 0)),
    )


def rule_of(given: Mapping[str, Any], texts: Texts) -> FormatRule:
    """Return a rule."""
    values = given.get("values", (given["value"],) if "value" in given else ())
    style = texts.styles.over(Style(), given["style"]) if "style" in given else None
    return FormatRule(given["kind"], style, given.get("operator", "="), tuple(values), tuple(given.get("colors", ())))


def validation_of(given: Mapping[str, Any], texts: Texts) -> Validation:
    """Return a validation."""
    least, most = given.get("min"), given.get("max")
    if given["kind"] == "date":
        least, most = moment_of(least), moment_of(most)
    return Validation(
        given["kind"],
        tuple([texts.filled(each) for each in given.get("values", ())]),
        least,
        most,
        texts.filled(given.get("message", "")),
        given.get("warning", False),
    )
