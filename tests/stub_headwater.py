"""The command line of the local stack with roles that do nothing but answer `/health/ready`.

Run as a script it is `headwater` for the tests of starting, stopping and failing, which need no context.
"""

import os
import signal
import sys
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from types import ModuleType
from typing import Annotated

import typer

from headwater import supervisor
from headwater.environment import load
from headwater.settings import Settings
from headwater.stack_cli import stack
from infra.local.errors import StackError
from infra.local.nursery import forks
from infra.schema_registry import SchemaRejected

ROLES = ("web", "realtime.delivery", "messaging.history", "notifications.inbox", "relay")

app = typer.Typer()
app.add_typer(stack)


def prepare(settings: Settings) -> None:
    if os.environ.get("STUB_PREPARE") == "fail":
        raise StackError("the stub was told to fail")
    if os.environ.get("STUB_PREPARE") == "reject":
        raise SchemaRejected("subjects/x/versions: told to")
    if not (settings.kafka_bootstrap_servers and settings.database_url and settings.schema_registry_url):
        raise AssertionError("prepare needs all three servers")


class Ready(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        self.send_response(200 if self.path == "/health/ready" else 404)
        self.end_headers()

    def log_message(self, *_: object) -> None:
        pass


@app.command()
def run(
    roles: Annotated[list[str], typer.Argument()],
    port: Annotated[int, typer.Option()],
) -> None:
    settings = supervisor.attach(load())
    if os.environ.get("STUB_DIES") in roles:
        raise SystemExit(f"{roles[0]} was told to die")
    print("roles", *roles, "secret", bool(settings.secret_key), flush=True)
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    HTTPServer((settings.host, port), Ready).serve_forever()


@app.command()
def payment_provider(
    port: Annotated[int, typer.Option()],
    ledger: Annotated[Path, typer.Option()],
    webhooks: Annotated[str, typer.Option()],
) -> None:
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    HTTPServer(("127.0.0.1", port), Ready).serve_forever()


@app.command()
def nursery(connection: int) -> None:
    app(forks(connection))


def main() -> None:
    wiring = ModuleType("headwater.wiring")
    vars(wiring).update(all_roles=lambda: ROLES, prepare=prepare)
    sys.modules["headwater.wiring"] = wiring
    supervisor.PROGRAM = (sys.executable, str(Path(__file__).resolve()))
    app()


if __name__ == "__main__":
    main()
