"""What a PDF promises beyond being one: tags for whoever cannot see it, the rules of archives, or both."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final

from bounded_contexts.documents.domain.rendering.problems import Problem
from bounded_contexts.documents.domain.rendering.schema_parts import a_list, an_object, ref

UA: Final = "ua-1"
STANDARDS: Final = ("a-2b", "a-2u", "a-2a", "a-3b", "a-3u", "a-3a", UA)
PDF_OUTPUT: Final = {
    "standard": {"type": "array", "items": {"enum": list(STANDARDS)}, "minItems": 1, "maxItems": 2},
    "tagged": {"type": "boolean"},
    "attachments": a_list(
        an_object(
            {
                "name": {"type": "string", "pattern": "^[A-Za-z0-9_-][A-Za-z0-9_. -]{0,99}$"},
                "mediaType": {"type": "string", "pattern": "^[a-z]+/[a-z0-9.+-]{1,100}$"},
                "relationship": {"enum": ["source", "data", "alternative", "supplement"]},
                "description": {"type": "string", "maxLength": 255},
                "text": ref("expression"),
                "data": {"type": "string", "description": "base64"},
            },
            "name",
            "mediaType",
        ),
        20,
    ),
}


@dataclass(frozen=True, slots=True)
class Profile:
    """The standards that a PDF is to keep; none of them for one that only has tags."""

    standards: tuple[str, ...] = ()

    @property
    def is_accessible(self) -> bool:
        """Return whether all that is not text needs one, and the language has to be known."""
        return any(each == UA or each.endswith("a") for each in self.standards)


def profile_of(document: Mapping[str, Any]) -> Profile | None:
    """Return what the document asks for, None for neither a standard nor tags nor attachments."""
    given = document.get("output", {}).get("pdf", {})
    standards = tuple(dict.fromkeys(given.get("standard", ())))
    return Profile(standards) if standards or given.get("tagged") or given.get("attachments") else None


def problems_of_profile(document: Mapping[str, Any]) -> Iterator[Problem]:
    """Yield what the asked standards miss, as far as it shows before the document is rendered."""
    profile = profile_of(document)
    if profile is None:
        return
    place, meta = "/output/pdf/standard", document.get("meta", {})
    if sum(each != UA for each in profile.standards) > 1:
        yield Problem(place, "not_allowed", "one profile of PDF/A, and ua-1 beside it")
    if profile.standards and document.get("output", {}).get("pdf", {}).get("tagged") is False and profile.is_accessible:
        yield Problem("/output/pdf/tagged", "not_allowed", "the standard wants tags")
    if any(each != UA for each in profile.standards) and "created" not in meta:
        yield Problem("/meta/created", "missing_property", "PDF/A wants to know when the document was made")
    if not profile.is_accessible:
        return
    if "title" not in meta:
        yield Problem("/meta/title", "missing_property", f"{' and '.join(profile.standards)} want a title")
    if "language" not in meta and "locale" not in document:
        yield Problem("/meta/language", "missing_property", f"{' and '.join(profile.standards)} want a language")
