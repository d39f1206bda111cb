"""The simulated payment provider as tests use it: a process of its own that can be killed and started again."""

import os
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from uuid import UUID

import httpx
from pydantic import SecretStr

from infra.local.ports import free_port
from infra.webhooks import shown

KEY = "only-for-tests"
SECRET = shown(b"only-for-tests-0123456789")
START_S = 60.0


class ProviderProcess:
    """One provider on a port of its own; its ledger outlives it."""

    def __init__(self, directory: Path, webhooks: str | None = None) -> None:
        self.url = f"http://127.0.0.1:{free_port()}"
        self._directory = directory
        self.webhooks = webhooks
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def settings(self) -> dict[str, Any]:
        """Return what a house is told of it."""
        return {
            "payment_provider_url": self.url,
            "payment_provider_key": SecretStr(KEY),
            "payment_webhook_secret": SecretStr(SECRET),
        }

    def start(self) -> None:
        """Start the process and wait until it answers."""
        run = [
            "payment-provider",
            "--port",
            self.url.rpartition(":")[2],
            "--ledger",
            str(self._directory / "ledger.jsonl"),
        ]
        more = ["--webhooks", self.webhooks] if self.webhooks else []
        known = {"HEADWATER_PAYMENT_PROVIDER_KEY": KEY, "HEADWATER_PAYMENT_WEBHOOK_SECRET": SECRET}
        own = {**os.environ, **known, "HEADWATER_HOME": str(self._directory / "home")}
        self._process = subprocess.Popen([sys.executable, "-m", "headwater", *run, *more], env=own)
        deadline = time.monotonic() + START_S
        while not self._answers():
            assert self._process.poll() is None, "the provider ends at once"
            assert time.monotonic() < deadline, "the provider does not answer"
            time.sleep(0.02)

    def kill(self) -> None:
        """End it as `kill -9` does. May be repeated."""
        if self._process:
            self._process.kill()
            self._process.wait()

    def fail(self, **faults: Any) -> None:
        """Have it fail like this from now on, and no other way (infra/local/payment_faults.py)."""
        httpx.put(f"{self.url}/faults", json=faults).raise_for_status()

    def ledger(self, payment_id: UUID | None = None) -> list[Mapping[str, Any]]:
        """Return every operation it has on its books, of one payment if that is given."""
        lines: list[Mapping[str, Any]] = httpx.get(f"{self.url}/ledger").json()
        return [line for line in lines if payment_id is None or line["reference"] == str(payment_id)]

    def done(self, payment_id: UUID) -> list[str]:
        """Return the operations of the payment that it has carried out, in order."""
        return [line["operation"] for line in self.ledger(payment_id) if line["status"] in (200, 201)]

    def _answers(self) -> bool:
        try:
            return httpx.get(f"{self.url}/health/ready", timeout=2).is_success
        except httpx.HTTPError:
            return False


@contextmanager
def provider_process(directory: Path, webhooks: str | None = None) -> Iterator[ProviderProcess]:
    """Run a provider while the block lasts."""
    provider = ProviderProcess(directory, webhooks)
    provider.start()
    try:
        yield provider
    finally:
        provider.kill()
