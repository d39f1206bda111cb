"""What Schemathesis runs beside its own checks: each error is a problem document with a code of docs/errors.md."""

import os
import re
from itertools import count
from pathlib import Path
from typing import Any

import schemathesis
from schemathesis import Case, CheckContext, Response

from infra.problems import CONTENT_TYPE

ROOT = Path(__file__).parents[2]
TABLE = (ROOT / "docs" / "errors.md").read_text(encoding="utf-8")
CODES = {code for row in re.findall(r"^\| (`.*?) \|", TABLE, re.MULTILINE) for code in re.findall(r"`(\w+)`", row)}
# What is wrong with documents, on pages of their own.
for page in ("documents", "rendering"):
    refusals = (ROOT / "docs" / f"{page}.md").read_text(encoding="utf-8").split("## Refusals")[1]
    CODES |= set(re.findall(r"`(\w+)`", refusals))
USER = "FUZZ_USER"  # variable: who asks
REQUESTS = count(1)


@schemathesis.check
def is_a_listed_problem(context: CheckContext, response: Response, case: Case[Any]) -> None:
    """Fail for an error that no client can tell by its code."""
    if response.status_code < 400 or response.request.method == "HEAD":
        return
    kinds = [
        [CONTENT_TYPE],
        *([["application/json"]] if case.path == "/oauth2/token" else []),
    ]  # OAuth's clients read that
    assert response.headers["content-type"] in kinds, response.headers["content-type"]
    document = response.json()
    assert document["code"] in CODES, document["code"]
    assert document["status"] == response.status_code
    # What is refused before it is a request has no id.
    assert document.get("request_id", "") == response.headers.get("x-request-id", [""])[0]


@schemathesis.hook
def before_call(context: schemathesis.HookContext, case: Case[Any], kwargs: dict[str, Any]) -> None:
    """Come from another address each time, as attempts to sign in are counted by it; be among those one writes to."""
    number = next(REQUESTS)
    case.headers["X-Forwarded-For"] = f"10.{number >> 16 & 255}.{number >> 8 & 255}.{number & 255}"
    if isinstance(case.body, dict):
        match case.body.get("participants"):
            case [str(), *others]:
                case.body["participants"] = [os.environ[USER], *others]
