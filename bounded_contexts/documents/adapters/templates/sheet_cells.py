"""Cells of XLSX templates: fixed ones, formulas, and those that a value or a text with fields goes into."""

import re
from copy import deepcopy
from dataclasses import dataclass, field
from datetime import date, datetime, time
from decimal import Decimal
from typing import Any, Final
from xml.sax.saxutils import escape
from zoneinfo import ZoneInfo

from lxml import etree

from bounded_contexts.documents.adapters.formats.xlsx_package import Styles
from bounded_contexts.documents.adapters.templates import references
from bounded_contexts.documents.adapters.templates.pairs import Control, mark_within, paired
from bounded_contexts.documents.adapters.templates.program import Field, Filling, Marks, Program, evaluated, run
from bounded_contexts.documents.adapters.templates.references import Here, Shapes
from bounded_contexts.documents.adapters.templates.runs import CONTROL, INLINE, SHEET, Isolating, safe, whole
from bounded_contexts.documents.domain.errors import TooLarge
from bounded_contexts.documents.domain.rendering.functions import moment_of, number_of, text_of, told
from bounded_contexts.documents.domain.rendering.texts import clean
from bounded_contexts.documents.domain.values import Value

CHARACTERS: Final = 32_767  # of a cell
DIGITS: Final = 15  # of a number in a cell
DAYS: Final = date(1899, 12, 30)  # the day 0 of workbooks, as it is after February 1900
LATER: Final = 1_462  # days between the two calendars of workbooks
_MAIN: Final = f' xmlns="{SHEET[1:-1]}"'  # said once, of the element that holds all rows
_RUN, _TEXT = f"{SHEET}r", f"{SHEET}t"


@dataclass(frozen=True, slots=True)
class Cell:
    """One cell. `head` is its attributes but place and type; of `fixed`, `formula`, `value` and `text` one is there, or none."""

    column: int  # from 1
    head: str
    style: int
    fixed: str = ""  # from behind the place on
    formula: "Formula | None" = None
    value: Field | None = None
    text: Program = ()
    controls: tuple[Control, ...] = ()

    @property
    def is_marked(self) -> bool:
        """Return whether markers stand in it."""
        return bool(self.value or self.text or self.controls)


@dataclass(frozen=True, slots=True)
class Formula:
    """A formula and what its element says of it; `reach` is the area of one that fills several cells."""

    text: str
    head: str
    reach: str | None


@dataclass(slots=True)
class DatedStyles:
    """Styles of cells that a date goes into and that show none: each has a copy that does, behind those of the template."""

    styles: Styles
    zone: ZoneInfo
    from_1904: bool
    made: dict[tuple[int, int], int] = field(default_factory=dict)  # style and number format → the new one

    def shows_dates(self, style: int) -> bool:
        """Return whether a cell of the style shows a date as one."""
        return style in self.styles.dates or style in self.styles.elapsed

    def code(self, style: int) -> str:
        """Return the code of its number format, nothing for a general one."""
        code = self.styles.codes[style] if 0 <= style < len(self.styles.codes) else ""
        return "" if code.lower() == "general" else code

    def dated(self, style: int, value: date | time) -> int:
        """Return the style that shows a date in a cell of this one."""
        if self.shows_dates(style) or self.code(style) or not 0 <= style < len(self.styles.codes):
            return style
        wanted = 22 if isinstance(value, datetime) else 14 if isinstance(value, date) else 21  # built-in formats
        return self.made.setdefault((style, wanted), len(self.styles.codes) + len(self.made))

    def serial(self, value: date | time) -> float | None:
        """Return it in days of the workbook's calendar, None for what is before it. A time in a zone is that of the asked one."""
        part = 0.0
        if isinstance(value, datetime | time):
            if isinstance(value, datetime) and value.tzinfo:
                value = value.astimezone(self.zone)
            part = (value.hour * 3600 + value.minute * 60 + value.second + value.microsecond / 1e6) / 86_400
        if isinstance(value, time):
            return part
        days = date(value.year, value.month, value.day) - DAYS
        found = days.days - (LATER if self.from_1904 else 0) + part
        return found if found >= (0 if self.from_1904 else 61) else None


class CellReader:
    """Makes cells of the elements of a sheet."""

    def __init__(self, texts: dict[int, Any], place: str) -> None:
        """`texts` are the shared ones that have markers."""
        self._texts, self._place = texts, place
        self._shared: dict[str, tuple[str, int, int]] = {}  # formulas that cells share, with the place of the first

    def cell(self, element: Any, row: int, column: int, name: str) -> Cell:
        """Return what the cell at a place is. Raise `Unreadable`, `TooLarge`."""
        style = whole(element.get("s"))
        head = "".join(
            [f' {key}="{escape(value)}"' for key, value in element.items() if key in ("s", "cm", "vm", "ph")]
        )
        place = f"{self._place}!{name}"
        formula = element.find(f"{SHEET}f")
        if formula is not None:
            return Cell(column, head, style, formula=self._formula(formula, row, column, place))
        text = self._marked(element)
        if text is None:
            return Cell(column, head, style, fixed=_rest(element, head))
        return self._filled(text, Cell(column, head, style), place)

    def _formula(self, element: Any, row: int, column: int, place: str) -> Formula:
        text = element.text or ""
        kind = element.get("t", "normal")
        if kind == "shared":
            key = element.get("si", "")
            if text:
                self._shared[key] = (text, row, column)
            first = self._shared.get(key, ("", row, column))
            text = references.moved_by(first[0], row - first[1], column - first[2])
        references.check(text, place)
        if kind in ("array", "dataTable"):
            head = "".join([f' {key}="{escape(value)}"' for key, value in element.items() if key not in ("ref", "si")])
            return Formula(text, head, element.get("ref"))
        return Formula(text, "", None)

    def _marked(self, element: Any) -> Any:
        kind = element.get("t")
        if kind == "s" and (number := element.findtext(f"{SHEET}v")):
            found = self._texts.get(whole(number))
            return None if found is None else deepcopy(found)
        inline = element.find(f"{SHEET}is") if kind == "inlineStr" else None
        return runs_of(inline) if inline is not None and "{{" in "".join(inline.itertext()) else None

    def _filled(self, text: Any, cell: Cell, place: str) -> Cell:
        text.tag = f"{SHEET}is"
        marks = Marks()
        isolating = Isolating(INLINE, marks)
        isolating.paragraph(text, place)
        controls = [isolating.controls[node.get("n")] for node in text.iter(CONTROL)]
        inner, outer = _balanced(controls)
        for pair in paired(inner):
            mark_within(pair, marks)
        for control in outer:
            control.node.getparent().remove(control.node)
        program = tuple(each.replace(_MAIN, "") if isinstance(each, str) else each for each in marks.program(text))
        only = _only_field(program)
        is_empty = not "".join(text.itertext(_TEXT)).strip() and not any(not isinstance(each, str) for each in program)
        return Cell(
            cell.column,
            cell.head,
            cell.style,
            fixed="/>" if is_empty else "",
            value=only,
            text=() if only or is_empty else program,
            controls=tuple(outer),
        )


def runs_of(text: Any) -> Any:
    """Return a text of a sheet, or of those that sheets share, with its plain text as a run, and without readings."""
    for each in list(text):
        if each.tag in (f"{SHEET}rPh", f"{SHEET}phoneticPr"):
            text.remove(each)
        elif each.tag == _TEXT:
            made = etree.Element(_RUN, nsmap=text.nsmap)
            text.replace(each, made)
            made.append(each)
    return text


def _balanced(controls: list[Control]) -> tuple[list[Control], list[Control]]:
    """Return those that begin and end in the cell, and those that go round rows or columns."""
    opened: list[Control] = []
    inner: list[Control] = []
    outer: list[Control] = []
    for control in controls:
        if control.marker.kind in ("each", "if"):
            opened.append(control)
        elif control.marker.kind != "else" and opened and not _is_across(opened[-1]):
            begin = opened.pop()
            inner += [begin, control]
        elif control.marker.kind != "else" and opened:
            outer += [opened.pop(), control]
        else:
            (inner if opened else outer).append(control)
    outer += opened
    order = {id(control): number for number, control in enumerate(controls)}
    return (sorted(inner, key=lambda each: order[id(each)]), sorted(outer, key=lambda each: order[id(each)]))


def _is_across(control: Control) -> bool:
    loop = control.marker.loop
    return loop is not None and loop.is_across


def _only_field(program: Program) -> Field | None:
    """Return the field of a text that is nothing else."""
    fields = [each for each in program if isinstance(each, Field)]
    others = [each for each in program if not isinstance(each, Field | str)]
    texts = re.sub(r"<[^>]*>", "", "".join([each for each in program if isinstance(each, str)]))
    return fields[0] if len(fields) == 1 and not others and not texts.strip() else None


def _rest(element: Any, head: str) -> str:
    kind = element.get("t")
    inner = "".join([etree.tostring(each, encoding="unicode", with_tail=False) for each in element]).replace(_MAIN, "")
    typed = f' t="{kind}"' if kind else ""
    return f"{typed}>{inner}</c>" if inner else "/>"


class CellWriter:
    """Writes cells where they go."""

    def __init__(self, filling: Filling, shapes: Shapes, styles: DatedStyles) -> None:
        self._filling, self._shapes, self._styles = filling, shapes, styles

    def written(self, cell: Cell, place: str, here: Here) -> str:
        """Return the cell's XML. Raise `TooLarge`, and `Unwritable` where strictness is error."""
        head = f'<c r="{place}"{cell.head}'
        if cell.fixed:
            return head + cell.fixed
        if cell.formula:
            return head + self._formula(cell.formula, here)
        if cell.value:
            self._filling.telling.pointer = cell.value.place
            value = told(self._filling.context, evaluated(cell.value.marker, self._filling.context))
            return self._value(f'<c r="{place}"', cell, value)
        text = "".join(run(cell.text, self._filling, set()))
        if len(text) > CHARACTERS and len(re.sub(r"<[^>]*>", "", text)) > CHARACTERS:
            raise TooLarge("cell_characters", CHARACTERS)
        return f'{head} t="inlineStr">{text}</c>'

    def empty(self, cell: Cell, place: str) -> str:
        """Return the cell without what is in it."""
        return f'<c r="{place}"{cell.head}/>'

    def _formula(self, formula: Formula, here: Here) -> str:
        text = references.moved(formula.text, self._shapes, here)
        reach = ""
        if formula.reach:
            found = references.moved(formula.reach, self._shapes, here)
            reach = f' ref="{found}"'
        return f"><f{formula.head}{reach}>{escape(text)}</f></c>"

    def _value(self, begin: str, cell: Cell, value: Value) -> str:
        value = self._typed(cell.style, value)
        head = f"{begin}{cell.head}"
        if value is None:
            return f"{head}/>"
        if isinstance(value, bool):
            return f'{head} t="b"><v>{int(value)}</v></c>'
        if isinstance(value, int | float | Decimal):
            if (number := _number(value)) is not None:
                return f"{head}><v>{number}</v></c>"
            self._filling.telling.warn("number_as_text", "more digits than a cell holds")
        elif isinstance(value, date | time) and (serial := self._styles.serial(value)) is not None:
            style = self._styles.dated(cell.style, value)
            dated = re.sub(r' s="[0-9]+"', "", cell.head)
            return f'{begin} s="{style}"{dated}><v>{serial!r}</v></c>'
        text = clean(text_of(value))
        if len(text) > CHARACTERS:
            raise TooLarge("cell_characters", CHARACTERS)
        return f'{head} t="inlineStr"><is><t xml:space="preserve">{safe(text)}</t></is></c>'

    def _typed(self, style: int, value: Value) -> Value:
        """Return a text as the number or date that its cell's format is for, if it is one."""
        if not isinstance(value, str):
            return value
        if self._styles.shows_dates(style):
            return moment_of(value) or value
        code = self._styles.code(style)
        if code and code != "@" and (number := number_of(value)) is not None:
            return number
        return value


def _number(value: int | float | Decimal) -> str | None:
    exact = number_of(value)
    if exact is None or len(exact.normalize().as_tuple().digits) > DIGITS or abs(exact.adjusted()) > 300:
        return None
    return (
        str(int(exact)) if exact == exact.to_integral_value() and abs(exact.adjusted()) < DIGITS else repr(float(exact))
    )
