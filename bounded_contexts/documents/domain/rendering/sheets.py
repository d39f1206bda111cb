"""What only workbooks have: tables as objects, names, rules, validations, print set-up, protection, outlines."""

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final, Literal

from bounded_contexts.documents.domain.values import Value

if TYPE_CHECKING:
    from bounded_contexts.documents.domain.rendering.blocks import Style

SheetsOf = Literal["named", "per-table", "per-section", "single"]
SHEETS: Final[tuple[SheetsOf, ...]] = ("named", "per-table", "per-section", "single")
OPERATORS: Final = ("=", "!=", "<", "<=", ">", ">=", "between")
PROTECTED: Final = (
    "formatCells",
    "formatColumns",
    "formatRows",
    "insertColumns",
    "insertRows",
    "insertLinks",
    "deleteColumns",
    "deleteRows",
    "sort",
    "filter",
    "objects",
)  # what a protected sheet may allow
DEEPEST: Final = 7  # levels of an outline
VALIDATED: Final = ("list", "integer", "decimal", "date", "length")


@dataclass(frozen=True, slots=True)
class FormatRule:
    """A format that a program gives to the cells that it holds for. `colors` are those of a scale or a bar."""

    kind: Literal["cell", "contains", "duplicate", "top", "bottom", "scale", "bar"]
    style: "Style | None" = None
    operator: str = "="
    values: tuple[Value, ...] = ()
    colors: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Validation:
    """What may be typed into cells: one of `values`, or what is between `least` and `most`, both included."""

    kind: Literal["list", "integer", "decimal", "date", "length"]
    values: tuple[str, ...] = ()
    least: Value = None
    most: Value = None
    message: str = ""
    is_warning: bool = False


@dataclass(frozen=True, slots=True)
class Protection:
    """What may be done on a sheet all of whose cells are locked but those whose style says otherwise. It keeps people from
    mistakes and nobody from anything else: there is no password."""

    allowed: frozenset[str] = frozenset()  # of PROTECTED


@dataclass(frozen=True, slots=True)
class Lines:
    """Rows or columns that are folded together, from 0, both ends included."""

    kind: Literal["rows", "columns"]
    first: int
    last: int
    is_collapsed: bool = False


@dataclass(frozen=True, slots=True)
class ColumnOnSheet:
    """A column of a table as a workbook has it. `code` is a format of numbers in its own codes; `comment` is at its title;
    `outline` is how deep it is folded."""

    hidden: bool = False
    code: str | None = None
    name: str | None = None
    rules: tuple[FormatRule, ...] = ()
    validation: Validation | None = None
    comment: str = ""
    outline: int = 0


@dataclass(frozen=True, slots=True)
class Print:
    """How a sheet is printed. `wide` and `tall` are pages that it is made to fit, 0 for as many as it takes."""

    wide: int | None = None
    tall: int = 0
    is_area: bool = False
    title_columns: int = 0
    has_grid: bool = False


@dataclass(frozen=True, slots=True)
class OnSheet:
    """A table as a workbook has it. Rows and columns that stand still while others are scrolled count from the corner;
    `freeze_header` is the rows down to its titles. With an `outline` its groups are folded."""

    sheet: str | None = None
    freeze_header: bool = False
    freeze_columns: int = 0
    autofilter: bool = False
    is_object: bool = False
    name: str | None = None
    hidden: bool = False
    print: Print = field(default_factory=Print)
    protection: Protection | None = None
    outline: Literal["open", "collapsed"] | None = None
    is_summed_above: bool = False  # what its groups come to
