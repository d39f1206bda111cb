"""Texts of a document with their fields filled in, as runs."""

from collections.abc import Mapping
from dataclasses import replace
from datetime import date
from types import MappingProxyType

from bounded_contexts.documents.domain.rendering.blocks import Anchor, Note, Run, Runs, Style
from bounded_contexts.documents.domain.rendering.expressions import template
from bounded_contexts.documents.domain.rendering.functions import (
    Context,
    formatted,
    moment_of,
    number_of,
    text_of,
    told,
)
from bounded_contexts.documents.domain.rendering.styles import Styles, scheme_of
from bounded_contexts.documents.domain.rendering.telling import Telling
from bounded_contexts.documents.domain.values import Value

_ATTRIBUTES = ("font", "size", "bold", "italic", "underline", "strike", "color")


class Texts:
    """Makes runs of texts, and texts of values."""

    def __init__(
        self,
        context: Context,
        styles: Styles,
        telling: Telling,
        created: str | None,
        places: Mapping[str, Anchor] = MappingProxyType({}),
    ) -> None:
        self.context, self.styles, self._telling, self._created = context, styles, telling, created
        self._places = places
        self.notes = 0

    def filled(self, text: str) -> str:
        """Return the text with its fields filled in, without characters that no file can hold."""
        compiled = template(text)
        return clean(text_of(told(self.context, text) if compiled is None else compiled(self.context)))

    def runs(self, given: Value, style: Style, pointer: str) -> Runs:
        """Return the runs of a text or a list of runs."""
        self._telling.pointer = pointer
        if isinstance(given, str):
            return (Run(self.filled(given), style),)
        return tuple([self._run(each, style) for each in given])

    def _run(self, given: Value, style: Style) -> Run:
        if isinstance(given, str):
            return Run(self.filled(given), style)
        own = {name: given[name] for name in _ATTRIBUTES if name in given}
        around = style
        style = self.styles.over(self.styles.over(style, given.get("style")), own or None)
        if given.get("sub") or given.get("sup"):
            self._telling.uses("sub, sup")
            style = replace(style, script="sub" if given.get("sub") else "super")
        if "footnote" in given:
            return self._note(given["footnote"], around)
        if "ref" in given:
            return self._ref(given, style)
        if "break" in given:
            return Run("\n", style)
        field = given.get("field")
        if field == "date":
            return Run(self._date(given.get("format", "medium")), style)
        if field is not None:
            return Run("", style, field=field)
        text = self.filled(given.get("text", given.get("link", "")))
        return Run(text, style, self._link(given["link"]) if "link" in given else None)

    def _note(self, given: Value, around: Style) -> Run:
        self._telling.uses("footnote")
        self.notes += 1
        number = self.notes
        style = self.styles.over(replace(around, align="left", indent=0.0), "footnote")
        note = Note(number, self.runs(given, style, self._telling.pointer), style)
        return Run(str(number), replace(around, script="super"), note=note)

    def _ref(self, given: Mapping[str, Value], style: Style) -> Run:
        self._telling.uses("ref")
        name = given["ref"]
        place = self._places.get(name)
        if place is None:
            self._telling.warn("missing_value", f"there is no block of the id {name}")
            return Run("?", style)
        if given.get("show") == "title" or not place.page:
            return Run(place.text, style, f"#{name}")
        return Run(str(place.page), style, f"#{name}", page_of=name)

    def _link(self, given: str) -> str | None:
        link = self.filled(given)
        if link.startswith("#") and link[1:] in self._places:
            return link
        if scheme_of(link) is None:
            self._telling.warn("bad_link", "links are http, https, mailto, tel and # with an id")
            return None
        return link

    def _date(self, pattern: str) -> str:
        moment = moment_of(self._created)
        if not isinstance(moment, date):
            self._telling.warn("missing_value", "a field date says meta.created, which is not given")
            return ""
        return self._said("date", self.context.formats.day(moment), pattern)

    def _said(self, name: str, value: Value, argument: Value) -> str:
        try:
            if name == "date":
                moment = moment_of(value)
                return text_of(value) if moment is None else self.context.formats.moment(moment, text_of(argument))
            number = number_of(value)
            return text_of(value) if number is None else formatted(self.context.formats, name, number, argument)
        except ValueError as error:
            self._telling.warn("bad_format", str(error))
            return text_of(value)

    def of_value(self, value: Value, style: Style) -> str:
        """Return a cell's value as people read it."""
        told(self.context, value)
        wanted = style.number_format
        if wanted is None or value is None or isinstance(value, bool):
            return clean(self.context.sized(text_of(value)))
        return clean(self._said(wanted.type, value, wanted.argument))


def clean(text: str) -> str:
    """Return the text without control characters (tabs and line breaks stay) and halves of pairs, which XML has no way to
    write and PDF draws nothing for."""
    if text.isprintable():
        return text
    return "".join(
        [
            each
            for each in text.replace("\r\n", "\n").replace("\r", "\n")
            if (
                each >= " "
                and not 0x7F <= ord(each) < 0xA0
                and not 0xD800 <= ord(each) < 0xE000
                and each not in "\ufffe\uffff"
            )
            or each in "\n\t"
        ]
    )
