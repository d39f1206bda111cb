"""What docs/realtime.md shows of signed requests: the test vector, and the samples as they stand there."""

import asyncio
import base64
import json
import os
import re
import sys
from pathlib import Path
from typing import Any

import httpx
import pytest
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.hmac import HMAC
from starlette.types import ASGIApp

from bounded_contexts.realtime.application.signatures import content
from headwater.wiring import House
from infra.webhooks import signature
from tests.integration.serving import served
from tests.integration.test_publishing import records_of
from tests.integration.test_signed_publishing import made

PAGE = (Path(__file__).parents[2] / "docs" / "realtime.md").read_text()
RUN = {"bash": ("bash", "-euo", "pipefail"), "python": (sys.executable,), "node": ("node",)}
FILE = {"bash": "publish.sh", "python": "publish.py", "node": "publish.mjs"}


def block(name: str) -> str:
    found = re.search(rf"<!-- {name}: .*? -->\n```\w+\n(.*?)```", PAGE, re.DOTALL)
    assert found, name
    return found[1]


def test_the_vector_holds() -> None:
    vector: dict[str, str] = json.loads(block("vector"))
    secret = base64.b64decode(vector["secret"].removeprefix("whsec_"))
    id_, at, body = vector["webhook-id"], vector["webhook-timestamp"], vector["body"].encode()
    mac = HMAC(secret, SHA256())
    for part in (vector["method"], "\n", vector["target"], "\n", id_, ".", at, "."):
        mac.update(part.encode())
    mac.update(body)

    assert vector["webhook-signature"] == f"v1,{base64.b64encode(mac.finalize()).decode()}"
    assert vector["webhook-signature"] == signature(secret, content(vector["method"], vector["target"], id_, at, body))


@pytest.mark.parametrize("language", RUN)
async def test_the_sample_publishes(
    web_app: ASGIApp, web_house: House, admin: httpx.AsyncClient, tmp_path: Path, language: str
) -> None:
    key: dict[str, Any] = await made(admin, "news")
    (tmp_path / FILE[language]).write_text(block(language))
    async with served(web_app) as port:
        environment = {"BASE": f"http://127.0.0.1:{port}", "KEY": key["id"], "SECRET": key["secret"]}
        process = await asyncio.create_subprocess_exec(
            *RUN[language],
            FILE[language],
            cwd=tmp_path,
            env=os.environ | environment,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
        )
        output, said = await asyncio.wait_for(process.communicate(), 60)

    assert process.returncode == 0, said.decode()
    (event,) = await records_of(web_house, json.loads(output)["updates"])
    assert (event.channel, json.loads(event.payload)) == ("news", {"text": "Hello"})
    assert event.published_by == f"key:{key['id']}"
