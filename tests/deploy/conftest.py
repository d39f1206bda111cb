"""The program that reads the Compose file as `docker compose` does."""

import hashlib
import os
import subprocess
import tempfile
from pathlib import Path

import pytest

from infra.local.artifacts import cache

CHECK = Path(__file__).with_name("compose-check")


@pytest.fixture(scope="session")
def compose_check() -> Path:
    """The program of tests/deploy/compose-check, built once for each of its versions."""
    sources = b"".join((CHECK / name).read_bytes() for name in ("go.mod", "go.sum", "main.go"))
    program = cache() / f"compose-check-{hashlib.sha256(sources).hexdigest()[:12]}"
    if not program.exists():
        program.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=program.parent) as fresh:
            command = ("go", "build", "-C", CHECK, "-trimpath", "-buildvcs=false", "-o", Path(fresh, "program"))
            subprocess.run(command, check=True, env=os.environ | {"GOWORK": "off"})
            Path(fresh, "program").replace(program)
    return program
