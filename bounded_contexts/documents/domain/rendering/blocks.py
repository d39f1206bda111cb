"""The resolved model: what an engine is given. No templates, no data, no markup; lengths in points (1/72 inch)."""

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal

from bounded_contexts.documents.domain.rendering.barcodes import ErrorCorrection, Symbology
from bounded_contexts.documents.domain.rendering.charts import Chart
from bounded_contexts.documents.domain.rendering.fonts import Font
from bounded_contexts.documents.domain.rendering.formulas import Formula
from bounded_contexts.documents.domain.rendering.numbering import NumberFormat as ItemFormat
from bounded_contexts.documents.domain.rendering.numbering import counted
from bounded_contexts.documents.domain.rendering.sheet_places import Area, Place
from bounded_contexts.documents.domain.rendering.sheets import (
    ColumnOnSheet,
    FormatRule,
    Lines,
    OnSheet,
    Print,
    Protection,
    SheetsOf,
    Validation,
)
from bounded_contexts.documents.domain.rendering.vectors import Vector
from bounded_contexts.documents.domain.values import Value

if TYPE_CHECKING:
    from bounded_contexts.documents.domain.rendering.attachments import Attachment
    from bounded_contexts.documents.domain.rendering.letterheads import Letterhead
    from bounded_contexts.documents.domain.rendering.marks import Mark
    from bounded_contexts.documents.domain.rendering.properties import Property

Align = Literal["left", "center", "right", "justify"]
FieldName = Literal["page", "pages"]


@dataclass(frozen=True, slots=True)
class NumberFormat:
    """How a value of a cell is written: `argument` is the digits, the currency's code or the pattern of dates."""

    type: Literal["number", "currency", "percent", "date"]
    argument: int | str | None = None


@dataclass(frozen=True, slots=True)
class Style:
    """How text stands. Sizes and distances in points, colours as #RRGGBB."""

    font: Font = "sans"
    size: float = 10.0
    bold: bool = False
    italic: bool = False
    underline: bool = False
    strike: bool = False
    color: str = "#000000"
    background: str | None = None
    align: Align = "left"
    space_before: float = 0.0
    space_after: float = 4.0
    line_height: float = 1.35  # of the size
    indent: float = 0.0
    script: Literal["normal", "sub", "super"] = "normal"
    keep_with_next: bool = False
    number_format: NumberFormat | None = None
    locked: bool = True  # on a sheet that is protected


# Not frozen, but nobody changes one: a long table has hundreds of thousands, and frozen ones take six times as long to make.
@dataclass(slots=True, unsafe_hash=True)
class Run:
    """A piece of text of one style; `field` stands for what only the target knows, `text` is empty then. A link that begins
    with # leads to the anchor of that name; `page_of` is the anchor whose page the text says."""

    text: str
    style: Style
    link: str | None = None
    field: FieldName | None = None
    page_of: str | None = None
    note: "Note | None" = None


Runs = tuple[Run, ...]


@dataclass(frozen=True, slots=True)
class Note:
    """What the foot of the page says of a run. Numbers count from 1."""

    number: int
    runs: Runs
    style: Style


@dataclass(frozen=True, slots=True)
class Paragraph:
    """Runs in lines. `style` has the alignment and distances."""

    runs: Runs
    style: Style
    role: Literal["paragraph", "quote", "code", "caption"] = "paragraph"


@dataclass(frozen=True, slots=True)
class Heading:
    """A heading of level 1 to 6."""

    level: int
    runs: Runs
    style: Style


@dataclass(frozen=True, slots=True)
class ListItem:
    """One item. Items of the same `list_number` count on; `level` is 0 for the outermost list."""

    list_number: int
    level: int
    ordered: bool
    number: int  # of this item, at its level
    first: int  # what its list begins to count with
    runs: Runs
    style: Style
    form: ItemFormat = "decimal"

    @property
    def mark(self) -> str:
        """Return what stands before the text."""
        return f"{counted(self.number, self.form)}." if self.ordered else "•–◦"[self.level % 3]


@dataclass(frozen=True, slots=True)
class Width:
    """Of a column: points, a share of what is left, or as wide as what is in it."""

    kind: Literal["points", "share", "auto"]
    amount: float = 0.0


@dataclass(slots=True, unsafe_hash=True)  # as runs are
class Cell:
    """One cell: the text as people read it, and the value behind it where there is one."""

    runs: Runs
    style: Style
    value: Value = None
    across: int = 1  # columns
    down: int = 1  # rows
    blocks: "tuple[Block, ...]" = ()  # in place of the text
    formula: Formula | None = None  # that gives the value

    @property
    def text(self) -> str:
        """Return its text without styles."""
        return "".join([run.text for run in self.runs])


@dataclass(frozen=True, slots=True)
class Column:
    """A column's title and width; its style is in its cells."""

    title: Cell
    width: Width
    key: str | None = None
    on_sheet: ColumnOnSheet = field(default_factory=ColumnOnSheet)


@dataclass(frozen=True, slots=True)
class Row:
    """Cells, as many as there are columns; None where a cell on the left or above reaches over. `carried` makes the rows
    that end a page behind this one, and begin the next."""

    cells: tuple[Cell | None, ...]
    kind: Literal["body", "group", "subtotal", "total"] = "body"
    carried: "Callable[[], tuple[Row, Row]] | None" = None
    depth: int = 0  # groups that it is within


@dataclass(frozen=True, slots=True)
class Table:
    """A table whose rows come while it is written. `rows` can be walked once where the table stands in the body itself.
    The last row of `header` has the columns' titles."""

    columns: tuple[Column, ...]
    rows: Iterable[Row]
    header: tuple[Row, ...] = ()
    footer: Row | None = None
    repeat_header: bool = True
    repeat_footer: bool = False
    break_rows: bool = False
    zebra: bool = False
    borders: bool = True
    caption: Paragraph | None = None
    on_sheet: OnSheet = field(default_factory=OnSheet)


@dataclass(frozen=True, slots=True)
class Image:
    """A PNG or JPEG. Width and height in points. `vector` is the SVG that it was made of, if it was."""

    data: bytes
    media_type: Literal["image/png", "image/jpeg"]
    width: float
    height: float
    alt: str
    align: Align = "left"
    vector: Vector | None = None


@dataclass(frozen=True, slots=True)
class Rule:
    """A line from margin to margin."""

    color: str = "#808080"
    thickness: float = 0.5


@dataclass(frozen=True, slots=True)
class Spacer:
    """Empty room of a height in points."""

    height: float


@dataclass(frozen=True, slots=True)
class PageBreak:
    """What follows begins on a new page."""


@dataclass(frozen=True, slots=True)
class Page:
    """Size and margins of pages, in points."""

    width: float = 595.28
    height: float = 841.89
    top: float = 56.69
    right: float = 51.02
    bottom: float = 56.69
    left: float = 51.02


Which = Literal["default", "first", "even"]
Furniture = Mapping[Which, "tuple[Paragraph | Image | Rule | Spacer | Columns, ...]"]


@dataclass(frozen=True, slots=True)
class Section:
    """What follows stands on new pages of this kind, in so many columns. None is as it was: `header`, `footer` and the
    numbers of pages."""

    page: Page
    header: Furniture
    footer: Furniture
    first_number: int | None = None
    columns: int = 1
    gap: float = 18.0


@dataclass(frozen=True, slots=True)
class Anchor:
    """What follows can be referred to, by its name or as one of its kind. `number` counts anchors from 1; `page` is 0
    where it is not known yet."""

    number: int
    kind: Literal["heading", "table", "image", "other"]
    level: int  # of a heading
    text: str
    name: str | None = None
    page: int = 0


@dataclass(frozen=True, slots=True)
class Contents:
    """A list of the anchors of a kind and these levels."""

    title: Paragraph | None
    levels: tuple[int, int]  # first and last
    style: Style
    kind: Literal["heading", "table", "image"] = "heading"


@dataclass(frozen=True, slots=True)
class Group:
    """Blocks that belong together, in a frame where they have a border or background."""

    blocks: "tuple[Block, ...]"
    keep_together: bool = False
    border: Rule | None = None
    background: str | None = None
    padding: float = 0.0


@dataclass(frozen=True, slots=True)
class Columns:
    """Blocks side by side; as many items as widths."""

    widths: tuple[Width, ...]
    items: "tuple[tuple[Block, ...], ...]"
    gap: float


@dataclass(frozen=True, slots=True)
class Barcode:
    """A barcode in a box of points. `value` is complete: what the symbology says, check digit and all."""

    symbology: Symbology
    value: str
    width: float
    height: float
    alt: str
    error: ErrorCorrection | None = None
    quiet: int = 0  # modules round it
    show_text: bool = False
    align: Align = "left"


@dataclass(frozen=True, slots=True)
class Sheet:
    """A sheet of a workbook whose cells stand where they are said to, row by row. Widths of columns in points; panes are
    frozen above and left of `freeze`."""

    name: str
    cells: Mapping[Place, Cell]
    merges: tuple[Area, ...] = ()
    widths: Mapping[int, float] = field(default_factory=dict)
    names: Mapping[str, Area] = field(default_factory=dict)
    freeze: Place | None = None
    hidden: bool = False
    rules: tuple[tuple[Area, FormatRule], ...] = ()
    validations: tuple[tuple[Area, Validation], ...] = ()
    print: Print = field(default_factory=Print)
    protection: Protection | None = None
    comments: Mapping[Place, str] = field(default_factory=dict)
    outline: tuple[Lines, ...] = ()


Block = (
    Heading
    | Paragraph
    | ListItem
    | Table
    | Contents
    | Barcode
    | Chart
    | Image
    | Rule
    | Spacer
    | PageBreak
    | Section
    | Anchor
    | Group
    | Columns
    | Sheet
)


@dataclass(frozen=True, slots=True)
class Meta:
    """What a file says of itself. `created` as RFC 3339."""

    title: str = ""
    author: str = ""
    subject: str = ""
    keywords: tuple[str, ...] = ()
    language: str = "en"
    created: str | None = None
    properties: "tuple[tuple[str, Property], ...]" = ()


@dataclass(frozen=True, slots=True)
class Watermark:
    """A word across every page, below what stands there. `angle` in degrees, against the clock; `opacity` up to 1."""

    text: str
    color: str = "#808080"
    opacity: float = 0.15
    angle: float = 45.0


@dataclass(frozen=True, slots=True)
class Resolved:
    """A document as engines take it. `body` begins anew each time it is called, and gives the same blocks."""

    meta: Meta
    page: Page
    header: Furniture
    footer: Furniture
    body: Callable[[], Iterator[Block]]
    watermark: Watermark | None = None
    marks: "tuple[Mark, ...]" = ()  # what else pages have beside their blocks
    attachments: "tuple[Attachment, ...]" = ()
    sheets: SheetsOf = "named"  # what begins one in a workbook
    entries: tuple[Anchor, ...] = ()  # all of them, where the body says what they are
    letterhead: "Letterhead | None" = None
