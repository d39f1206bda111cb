"""What the answers of a payment provider are taken for, by a real client and a server that says what is planted."""

import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from uuid import UUID

import pytest

from bounded_contexts.payments.adapters.provider_http import HttpProvider, Patience
from bounded_contexts.payments.application.ports import Instruction, Unknown
from bounded_contexts.payments.domain.commands import Declined, Done, Outcome, Step, step_id

PAYMENT = UUID(int=7)


class Planted(BaseHTTPRequestHandler):
    status = 200
    body = b""
    requests = 0

    def do_POST(self) -> None:
        type(self).requests += 1
        self.rfile.read(int(self.headers.get("content-length", 0)))
        self.send_response(self.status)
        self.send_header("Content-Length", str(len(self.body)))
        self.end_headers()
        self.wfile.write(self.body)

    def log_message(self, format: str, *args: object) -> None: ...  # noqa: A002


@pytest.fixture
def url() -> Iterator[str]:
    Planted.requests = 0
    server = ThreadingHTTPServer(("127.0.0.1", 0), Planted)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    server.server_close()
    thread.join()


async def _asked(url: str, step: Step, status: int, state: str | None) -> Outcome | Unknown:
    Planted.status = status
    payment = {"id": "pay_1", "reference": str(PAYMENT), "state": state, "amount": 1250, "currency": "EUR"}
    Planted.body = json.dumps(payment if state else {"detail": "no"}).encode()
    provider = HttpProvider(url, "key", Patience())
    try:
        return await provider.ask(Instruction(step, PAYMENT, step_id(PAYMENT, step), 1250, "EUR"))
    finally:
        await provider.close()


@pytest.mark.parametrize(
    ("step", "status", "state", "outcome"),
    [
        ("capture", 200, "captured", Done("pay_1")),
        ("capture", 409, "captured", Done("pay_1")),  # by a request whose key is forgotten
        ("capture", 409, "voided", Declined("voided_before")),
        ("capture", 402, "authorized", Declined("card_declined")),
        ("refund", 409, "refunded", Done("pay_1")),
        ("void", 409, "captured", Declined("already_captured")),
        ("void", 409, "declined", Done("pay_1")),
        ("authorize", 201, "declined", Declined("card_declined")),
    ],
)
async def test_the_state_of_a_payment_says_whether_a_step_is_done(
    url: str, step: Step, status: int, state: str, outcome: Outcome
) -> None:
    assert await _asked(url, step, status, state) == outcome


@pytest.mark.parametrize(("step", "status"), [("capture", 200), ("refund", 200), ("void", 200), ("void", 409)])
async def test_a_payment_that_is_still_held_is_neither_taken_nor_given_up(url: str, step: Step, status: int) -> None:
    assert isinstance(await _asked(url, step, status, "authorized"), Unknown)


@pytest.mark.parametrize("status", [400, 422])
async def test_a_request_that_is_not_taken_is_declined_and_not_repeated(url: str, status: int) -> None:
    assert await _asked(url, "authorize", status, None) == Declined("invalid_amount")
    assert Planted.requests == 1
    assert isinstance(await _asked(url, "capture", status, None), Unknown)
