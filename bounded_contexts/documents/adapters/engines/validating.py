"""Reads a document and finds all that is wrong with it."""

import io
from collections.abc import Iterator, Mapping
from decimal import Decimal
from functools import lru_cache
from typing import Any, Final

import jsonschema_rs

from bounded_contexts.documents.adapters.engines.locales import BabelFormats
from bounded_contexts.documents.adapters.formats.conversion import Conversion
from bounded_contexts.documents.adapters.formats.json import read_json
from bounded_contexts.documents.domain.errors import TooLarge
from bounded_contexts.documents.domain.fitting import restored
from bounded_contexts.documents.domain.limits import Limits
from bounded_contexts.documents.domain.rendering.assets import equipped
from bounded_contexts.documents.domain.rendering.checking import problems_of
from bounded_contexts.documents.domain.rendering.limits import RenderLimits
from bounded_contexts.documents.domain.rendering.problems import Invalid, Problem
from bounded_contexts.documents.domain.rendering.schema import DOCUMENT
from bounded_contexts.documents.domain.rendering.streams import stream_problems
from bounded_contexts.documents.domain.values import Single, Value, escaped

PROBLEMS: Final = 100  # told at once
CODES: Final = {
    "AdditionalProperties": "unknown_property",
    "Required": "missing_property",
    "Type": "wrong_type",
    "Enum": "not_allowed",
    "Constant": "not_allowed",
    "Pattern": "bad_form",
    "PropertyNames": "bad_form",
    "MaxLength": "too_long",
    "MaxItems": "too_many",
    "MinItems": "too_few",
    "MaxProperties": "too_many",
    "MinProperties": "too_few",
}
OTHER: Final = "out_of_range"
MANNER: Final = ("locale", "timeZone", "strictness")  # of a document, that may be said beside its template


def read_document(data: bytes, limits: RenderLimits, stored: Mapping[str, bytes]) -> dict[str, Any]:
    """Return the document with its stored assets, its data with exact numbers and times. Raise `Unreadable` for what is no JSON,
    `Invalid` with all problems, `TooLarge`."""
    return checked(whole_document(parsed(data, limits)), limits, stored)


def parsed(data: bytes, limits: RenderLimits) -> Value:
    """Return what the JSON says, its numbers exact. Raise `Unreadable` for what is none, `TooLarge`."""
    if len(data) > limits.input_bytes:
        raise TooLarge("input_bytes", limits.input_bytes)
    read = read_json(io.BytesIO(data), Conversion(limits=Limits(input_bytes=limits.input_bytes)))
    return read.value if isinstance(read, Single) else []


def whole_document(value: Value) -> Value:
    """Return the document of a template and its data, where both come in one object."""
    if not isinstance(value, dict) or not isinstance(template := value.get("template"), dict):
        return value
    unknown = [f"/{escaped(name)}" for name in value if name not in ("template", "data", *MANNER)]
    unknown += ["/template/data"] if "data" in template else []
    if unknown:
        raise Invalid(
            [Problem(pointer, "unknown_property", "it has no place beside a template") for pointer in unknown]
        )
    return {**template, "data": value.get("data", {}), **{name: value[name] for name in MANNER if name in value}}


def checked(
    value: Value, limits: RenderLimits, stored: Mapping[str, bytes] | None, streams: int | None = None
) -> dict[str, Any]:
    """Return the document with its stored assets, None where they are not known yet, its data with times. Raise `Invalid` with
    all problems. `streams` is how many its tables may take rows of, None where none follow."""
    problems = sorted(set(_first(_problems(value, limits, stored, streams))))
    if problems:
        raise Invalid(problems)
    found = dict(equipped(value, stored))
    found["data"] = restored(value.get("data", {}), "/data")
    return found


def _first(problems: Iterator[Problem]) -> Iterator[Problem]:
    for _, problem in zip(range(PROBLEMS), problems, strict=False):
        yield problem


def _problems(
    value: Value, limits: RenderLimits, stored: Mapping[str, bytes] | None, streams: int | None
) -> Iterator[Problem]:
    found = False
    for error in _validator().iter_errors(_skeleton(value)):
        found = True
        yield from _told(error)
    if found:
        return
    yield from problems_of(equipped(value, stored), limits)
    yield from stream_problems(value, streams)
    try:
        formats_of(value)
    except LookupError as error:
        yield Problem("", "not_allowed", str(error.args[0]))


def formats_of(document: dict[str, Any]) -> BabelFormats:
    """Return the formats of the document's locale and time zone. Raise `LookupError`."""
    return BabelFormats(document.get("locale", "en"), document.get("timeZone", "UTC"))


@lru_cache(maxsize=1)
def _validator() -> jsonschema_rs.Draft202012Validator:
    return jsonschema_rs.Draft202012Validator(DOCUMENT)


def _skeleton(value: Value) -> Value:
    # data may be anything; numbers of any size are told apart there only
    if isinstance(value, dict) and isinstance(value.get("data"), dict):
        value = {**value, "data": {}}
    return _rough(value)


def _rough(value: Value) -> Value:
    if isinstance(value, dict):
        return {key: _rough(each) for key, each in value.items()}
    if isinstance(value, list):
        return [_rough(each) for each in value]
    if isinstance(value, Decimal) or (isinstance(value, int) and abs(value) >= 1 << 53):
        return float(max(min(value, 10**300), -(10**300)))
    return value


def _told(error: jsonschema_rs.ValidationError) -> Iterator[Problem]:
    pointer = "".join([f"/{escaped(str(step))}" for step in error.instance_path])
    kind = error.kind.name if error.kind else ""
    name = type(error.kind).__name__
    code = CODES.get(name, OTHER)
    if code == "unknown_property":
        for unexpected in error.kind.as_dict()["unexpected"]:
            yield Problem(
                f"{pointer}/{escaped(unexpected)}", code, "there is no such property; one of your own begins with x-"
            )
        return
    yield Problem(pointer, code, _sentence(error, kind))


def _sentence(error: jsonschema_rs.ValidationError, kind: str) -> str:
    # the library repeats the value, which may be long and is nobody's business in a log
    details = error.kind.as_dict() if error.kind else {}
    wanted = {name: each for name, each in details.items() if name != "value"}
    if isinstance(inner := wanted.get("error"), jsonschema_rs.ValidationError):  # of a name, which it repeats as well
        return f"{kind}: {_sentence(inner, inner.kind.name if inner.kind else '')}"[:300]
    said = ", ".join(f"{name} {each}" for name, each in wanted.items())
    return f"{kind}: {said}"[:300]
