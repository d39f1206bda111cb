"""Markers in the texts of uploaded templates: fields of the one language, loops and conditions round what is repeated.

    {{invoice.total | currency("EUR")}}
    {{#each invoice.lines as l}} … {{/each}}      {{#each months as m across}} … {{/each}} repeats columns
    {{#if invoice.paid and not invoice.total > 100}} … {{else}} … {{/if}}

docs/templates.md"""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final, Literal

from bounded_contexts.documents.domain.rendering.expressions import (
    DEPTH,
    FIELD,
    Compiled,
    Path,
    field,
    path_of,
    truth,
)
from bounded_contexts.documents.domain.rendering.functions import Context, compare
from bounded_contexts.documents.domain.rendering.problems import BadExpression

# Word puts these in while people type; each is one character, so places stay.
_TYPED: Final = str.maketrans({"“": '"', "”": '"', "„": '"', "‟": '"', "\xa0": " "})
_EACH = re.compile(r"#each\s+(\S.*?)\s+as\s+([^\W\d]\w*)(\s+across)?\s*\Z")
_IMAGE = re.compile(r'#image\s+(\S.*?)(?:\s+(\d{1,4}(?:\.\d{1,4})?(?:mm|cm|in|pt)))?(?:\s+"([^"]*)")?\s*\Z', re.DOTALL)
_LINK = re.compile(r"#link\s+(\S.*?)(?:\s+as\s+(\S.*?))?\s*\Z", re.DOTALL)
_JOINED = re.compile(r'"[^"]*"|(?<![\w.-])(or|and)(?![\w-])')
_COMPARED = re.compile(r'"[^"]*"|(==|!=|<=|>=|<|>)')
_NOT = re.compile(r"\s*not(?![\w.-])(.*)\Z", re.DOTALL)


@dataclass(frozen=True, slots=True)
class Loop:
    """What a loop goes over, as it is written and as steps, and what each of its elements is called."""

    told: str
    path: Path
    name: str
    is_across: bool = False


@dataclass(frozen=True, slots=True)
class Marker:
    """One marker and where in its text it stands. `text` is what is between its braces."""

    start: int
    end: int
    kind: Literal["field", "image", "link", "each", "if", "else", "/each", "/if", "brace"]
    text: str = ""
    value: Compiled | None = None  # of a field; of an if, whether it is so
    loop: Loop | None = None
    options: tuple[str, str] = ("", "")  # of an image: its width as it is written, and what stands for it
    shown: Compiled | None = None  # of a link, in place of its address
    shown_text: str = ""


def markers(text: str, *, has_media: bool = False) -> Iterator[Marker]:
    """Yield the markers of a text, those of images and links where it can have any. Raise `BadExpression` for the first that is
    none of the language."""
    plain = text.translate(_TYPED)
    for match in FIELD.finditer(plain):
        if match[0].startswith("\\"):
            yield Marker(match.start(), match.end(), "brace")
        elif match[1] is None:
            raise BadExpression("{{ without its }}; a {{ of your own is written \\{{")
        else:
            found = match[1].strip()
            if medium := _IMAGE.match(found) or _LINK.match(found):
                if not has_media:
                    raise BadExpression("images and links stand in texts of DOCX files")
                yield _medium(match.start(), match.end(), medium)
            else:
                yield _marker(match.start(), match.end(), found)


def _medium(start: int, end: int, match: "re.Match[str]") -> Marker:
    if match.re is _IMAGE:
        return Marker(start, end, "image", match[1], field(match[1]), options=(match[2] or "", match[3] or ""))
    shown = match[2] or ""
    return Marker(
        start, end, "link", match[1], field(match[1]), shown=field(shown) if shown else None, shown_text=shown
    )


def _marker(start: int, end: int, text: str) -> Marker:
    if text == "else":
        return Marker(start, end, "else", text)
    if text in ("/each", "/if"):
        return Marker(start, end, "/each" if text == "/each" else "/if", text)
    if match := _EACH.match(text):
        path = path_of(match[1])
        if match[2] == "loop":
            raise BadExpression("loop is what counts: an element is called something else")
        return Marker(start, end, "each", text, loop=Loop(match[1], path, match[2], bool(match[3])))
    if re.match(r"#if\s", text):
        return Marker(start, end, "if", text, condition(text[3:].strip()))
    if text.startswith(("#", "/")):
        raise BadExpression("there are #each LIST as NAME, #if, else, /if, /each, #image and #link")
    return Marker(start, end, "field", text, field(text))


def condition(text: str) -> Compiled:
    """Return what says whether it is so: fields, compared or not, with `not`, `and`, `or`, the first of which binds most.
    Raise `BadExpression`."""
    ways = [[_term(each) for each in way] for way in _split(text)]

    def evaluate(context: Context) -> bool:
        return any(all(truth(term(context)) for term in way) for way in ways)

    return evaluate


def terms(text: str) -> Iterator[list[str]]:
    """Yield the fields of a condition: those that are compared with each other together."""
    for way in _split(text):
        for each in way:
            while match := _NOT.match(each):
                each = match[1]
            yield _cut(each, _COMPARED)[0]


def _split(text: str) -> list[list[str]]:
    pieces, words = _cut(text, _JOINED)
    ways = [[pieces[0]]]
    for word, piece in zip(words, pieces[1:], strict=True):
        if word == "or":
            ways.append([piece])
        else:
            ways[-1].append(piece)
    return ways


def _cut(text: str, at: "re.Pattern[str]") -> tuple[list[str], list[str]]:
    pieces, words, begin = [], [], 0
    for match in at.finditer(text):
        if match[1]:
            pieces.append(text[begin : match.start()])
            words.append(match[1])
            begin = match.end()
    return [*pieces, text[begin:]], words


def _term(text: str, depth: int = 0) -> Compiled:
    if depth > DEPTH:
        raise BadExpression(f"more than {DEPTH} times not")
    if match := _NOT.match(text):
        inner = _term(match[1], depth + 1)
        return lambda context: not truth(inner(context))
    pieces, signs = _cut(text, _COMPARED)
    if len(pieces) > 2:
        raise BadExpression("two values are compared, no more; and stands between comparisons")
    values = [field(each) for each in pieces]
    if not signs:
        return values[0]
    return lambda context: compare(signs[0], values[0](context), values[1](context))
