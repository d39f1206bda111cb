"""What is wrong with a document, all of it at once."""

from collections.abc import Sequence
from dataclasses import dataclass

from bounded_contexts.documents.domain.errors import Unwritable


@dataclass(frozen=True, slots=True, order=True)
class Problem:
    """One fault at one place: JSON Pointer, stable code (docs/rendering.md), and a sentence for people."""

    pointer: str
    code: str
    detail: str


class Invalid(Unwritable):
    """The document is none of the format. `problems` are all that were found, in the order of their places."""

    def __init__(self, problems: Sequence[Problem]) -> None:
        first = problems[0]
        more = f" (and {len(problems) - 1} more)" if len(problems) > 1 else ""
        super().__init__("invalid_document", f"{first.pointer or '/'}: {first.code}: {first.detail}{more}")
        self.problems = tuple(problems)
        self.more = {
            "problems": [{"pointer": each.pointer, "code": each.code, "detail": each.detail} for each in problems]
        }


class BadExpression(ValueError):
    """A template or an expression is none of the language. Its text is a sentence for people."""
