"""Invoices of two pages through `POST /documents` of a stack, waited for: from the request to the last byte of the file."""

import json
from time import perf_counter
from uuid import uuid4

from headwater.configured import shared_key_tokens
from headwater.environment import load
from tests.load.field import Figures
from tests.load.http_client import connect, percentile, request
from tests.load.rendering_invoice import WARM, invoices

DOCUMENTS = "/api/v1/documents"
WAITED = b"prefer: wait=10\r\naccept: application/pdf\r\ncontent-type:"


async def waited_for(port: int, count: int, tagged: bool) -> Figures:
    """Ask for one invoice after the other, each of a user of its own: no limit of a user is passed, and no file is there already.
    Return how long each took, in ms."""
    tokens = shared_key_tokens(load())
    connection = await connect(port)
    took = []
    for number, document in enumerate(invoices(count + WARM, tagged=tagged)):
        body = json.dumps({"document": json.loads(document), "format": "pdf", "filename": "invoice"}).encode()
        asked = request("POST", DOCUMENTS, tokens.issue(uuid4()), body).replace(b"content-type:", WAITED, 1)
        began = perf_counter()
        status = await connection.ask(asked)
        seconds = perf_counter() - began
        if number < WARM:  # the process that forks workers may still be reading their code
            continue
        if status != 200 or not connection.body.startswith(b"%PDF-"):
            raise RuntimeError(f"no file: {status} {connection.body[:500]!r}")
        took.append(seconds)
    connection.transport.close()
    return {f"p{share}_ms": percentile(took, share / 100) * 1000 for share in (50, 95)}
