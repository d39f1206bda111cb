"""Files that a PDF carries, such as the data that an invoice shows."""

import base64
import binascii
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final, Literal

from bounded_contexts.documents.domain.errors import TooLarge
from bounded_contexts.documents.domain.rendering.expressions import expression
from bounded_contexts.documents.domain.rendering.functions import text_of, told
from bounded_contexts.documents.domain.rendering.problems import BadExpression, Problem
from bounded_contexts.documents.domain.rendering.telling import Telling
from bounded_contexts.documents.domain.rendering.texts import Texts

BYTES: Final = 16 << 20  # of all attachments of a document
Relationship = Literal["source", "data", "alternative", "supplement"]


@dataclass(frozen=True, slots=True)
class Attachment:
    """A file by its name, and what it is to the document."""

    name: str
    media_type: str
    data: bytes
    relationship: Relationship
    description: str


def attached(document: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Return the attachments that a document says."""
    found: list[dict[str, Any]] = document.get("output", {}).get("pdf", {}).get("attachments", [])
    return found


def attachments_of(document: Mapping[str, Any], texts: Texts, telling: Telling) -> tuple[Attachment, ...]:
    """Return the attachments; one whose text is nothing is told and left out. Raise `TooLarge`."""
    found: list[Attachment] = []
    for number, given in enumerate(attached(document)):
        telling.pointer = f"/output/pdf/attachments/{number}"
        telling.uses("attachments")
        if "data" in given:
            data = base64.b64decode(given["data"])
        elif (value := told(texts.context, expression(given["text"])(texts.context))) is None:
            telling.warn("missing_value", "there is no text to attach")
            continue
        else:
            data = text_of(value).encode(errors="replace")
        description = texts.filled(given.get("description", given["name"]))
        relationship = given.get("relationship", "supplement")
        found.append(Attachment(given["name"], given["mediaType"], data, relationship, description))
    if sum(len(each.data) for each in found) > BYTES:
        raise TooLarge("attachment_bytes", BYTES)
    return tuple(found)


def attachment_problems(document: Mapping[str, Any]) -> Iterator[Problem]:
    """Yield what is wrong with attachments."""
    names: set[str] = set()
    standards = document.get("output", {}).get("pdf", {}).get("standard", ())
    for number, given in enumerate(attached(document)):
        pointer = f"/output/pdf/attachments/{number}"
        if any(each.startswith("a-2") for each in standards):
            yield Problem(pointer, "not_allowed", "PDF/A-2 carries no files: PDF/A-3 does")
        if given["name"].lower() in names:
            yield Problem(f"{pointer}/name", "not_allowed", "another attachment has this name")
        names.add(given["name"].lower())
        if ("text" in given) == ("data" in given):
            yield Problem(pointer, "not_allowed", "an attachment has either a text or data")
        yield from _content(given, pointer)


def _content(given: Mapping[str, Any], pointer: str) -> Iterator[Problem]:
    try:
        if "text" in given:
            expression(given["text"])
        base64.b64decode(given.get("data", ""), validate=True)
    except BadExpression as error:
        yield Problem(f"{pointer}/text", "bad_expression", str(error))
    except (binascii.Error, ValueError):
        yield Problem(f"{pointer}/data", "bad_form", "data is base64")
