"""Letterheads: pages of a PDF below the pages of a document."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Final, Literal

from bounded_contexts.documents.domain.rendering.assets import CONTENT
from bounded_contexts.documents.domain.rendering.expressions import expression, truth
from bounded_contexts.documents.domain.rendering.functions import Context
from bounded_contexts.documents.domain.rendering.problems import Problem
from bounded_contexts.documents.domain.rendering.schema_parts import NAME, Schema, an_object, ref
from bounded_contexts.documents.domain.rendering.standards import profile_of
from bounded_contexts.documents.domain.rendering.telling import Telling

Pages = Literal["all", "first", "other"]
LETTERHEAD: Final[Schema] = an_object(
    {"asset": NAME, "pages": {"enum": ["all", "first", "other"]}, "when": ref("expression")}, "asset"
)


@dataclass(frozen=True, slots=True)
class Letterhead:
    """A PDF whose first page is below the first page of a document, and its second, or its only one, below all others."""

    file: bytes = field(repr=False)
    pages: Pages = "all"

    def is_on(self, *, is_first: bool) -> bool:
        """Return whether the first page, or any other, has it."""
        return self.pages == "all" or (self.pages == "first") == is_first


def letterhead_of(document: Mapping[str, Any], context: Context, telling: Telling) -> Letterhead | None:
    """Return the letterhead of a document that has been found valid, None where it has none, or its condition does not hold."""
    given = document.get("letterhead")
    telling.pointer = "/letterhead"
    if given is None or not truth(expression(given.get("when", True))(context)):
        return None
    telling.uses("letterhead")
    return Letterhead(document["assets"][given["asset"]][CONTENT], given.get("pages", "all"))


def letterhead_problems(document: Mapping[str, Any]) -> Iterator[Problem]:
    """Yield what is wrong with the letterhead of a document, but its condition."""
    given = document.get("letterhead")
    if given is None:
        return
    asset = document.get("assets", {}).get(given["asset"])
    if asset is None:
        yield Problem("/letterhead/asset", "unknown_asset", "there is no asset of this name")
    elif "stored" not in asset:
        yield Problem("/letterhead/asset", "not_allowed", "a letterhead is a stored asset")
    if (profile := profile_of(document)) and profile.standards:
        yield Problem("/letterhead", "not_in_standard", "whether a letterhead keeps a standard is not known")
