"""The published documents: valid by their own standards, and equal to what the code serves."""

import json
import subprocess
from pathlib import Path
from typing import Any

import pytest
from openapi_spec_validator import validate

from headwater import wiring
from headwater.web import openapi_document
from schemas.catalogue import EVENTS
from tests.npm import installed

ROOT = Path(__file__).parents[2]
VALIDATOR = Path(__file__).parent / "asyncapi"


@pytest.fixture(scope="module")
def openapi() -> dict[str, Any]:
    return openapi_document()


@pytest.fixture(scope="module")
def asyncapi() -> dict[str, Any]:
    return dict(wiring.asyncapi())


def official_findings(document: dict[str, Any]) -> list[str]:
    """Return what AsyncAPI's own parser finds wrong, Avro payloads included."""
    command = ("node", "validate.mjs")
    done = subprocess.run(
        command, cwd=installed(VALIDATOR), input=json.dumps(document), capture_output=True, text=True, check=True
    )
    return list(json.loads(done.stdout))


def test_openapi_is_valid(openapi: dict[str, Any]) -> None:
    validate(openapi)


@pytest.mark.parametrize("name", ["openapi", "asyncapi"])
def test_the_committed_document_is_what_the_code_says(
    name: str, openapi: dict[str, Any], asyncapi: dict[str, Any]
) -> None:
    """A difference is a change of a public interface: look at it, then `make docs`."""
    committed = json.loads((ROOT / "docs" / f"{name}.json").read_text())

    assert committed == json.loads(json.dumps({"openapi": openapi, "asyncapi": asyncapi}[name]))


def test_every_operation_says_how_it_fails(openapi: dict[str, Any]) -> None:
    operations = {
        f"{verb} {path}": operation
        for path, verbs in openapi["paths"].items()
        for verb, operation in verbs.items()
        if path.startswith("/api/v1")
    }

    assert operations
    for name, operation in operations.items():
        assert {"401", "422", "503"} <= operation["responses"].keys(), name
        assert operation["security"], name


def test_asyncapi_is_valid_by_the_official_parser(asyncapi: dict[str, Any]) -> None:
    assert official_findings(asyncapi) == []


def test_the_official_parser_would_find_a_fault(asyncapi: dict[str, Any]) -> None:
    broken = json.loads(json.dumps(asyncapi))
    broken["operations"]["read-messages"]["channel"]["$ref"] = "#/channels/nowhere"

    assert official_findings(broken)


def test_asyncapi_names_every_event(asyncapi: dict[str, Any]) -> None:
    assert {event.__name__ for event in EVENTS} <= asyncapi["components"]["messages"].keys()
