"""A user with a home directory and a terminal, for the tests of the local stack, which need no context."""

import os
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from infra.local.ports import free_port
from infra.local.state import Home, Process, Stack

PROGRAM = (sys.executable, str(Path(__file__).with_name("stub_headwater.py")))
PASSWORD = "pass-for-no-eyes"
LIMIT_S = 120.0
CLOSED = "http://127.0.0.1:1"  # nobody listens there
NO_NETWORK = {"HTTPS_PROXY": CLOSED, "HTTP_PROXY": CLOSED, "https_proxy": CLOSED, "http_proxy": CLOSED}


class Machine:
    """One user with one home directory who types commands. Every command that still runs is ended with the test."""

    def __init__(self, directory: Path, server: str) -> None:
        self.directory = directory
        self.server = server
        # With all three servers configured none is started, which makes the tests of everything else quick.
        self.elsewhere = {
            "HEADWATER_KAFKA_BOOTSTRAP_SERVERS": server,
            "HEADWATER_DATABASE_URL": f"postgresql://headwater:{PASSWORD}@{server}/headwater",
            "HEADWATER_SCHEMA_REGISTRY_URL": f"http://headwater:{PASSWORD}@{server}",
        }
        self.home = Home(directory / "home")
        self.port = free_port()
        self._running: list[subprocess.Popen[str]] = []

    def environment(self, more: Mapping[str, str] | None = None) -> dict[str, str]:
        clean = {name: value for name, value in os.environ.items() if not name.startswith("HEADWATER_")}
        root = str(Path(__file__).parents[1])
        own = {"HEADWATER_HOME": str(self.home.directory), "HEADWATER_PORT": str(self.port), "PYTHONPATH": root}
        local = {f"HEADWATER_LOCAL_{name}_PORT": "0" for name in ("KAFKA", "DATABASE", "REGISTRY")}
        return clean | own | local | dict(more or {})

    def run(self, *arguments: str, **more: str) -> "subprocess.CompletedProcess[str]":
        command = (*PROGRAM, *arguments)
        environment = self.environment(more)
        return subprocess.run(
            command, env=environment, cwd=self.directory, capture_output=True, text=True, timeout=LIMIT_S, check=False
        )

    def begin(self, *arguments: str, **more: str) -> "subprocess.Popen[str]":
        process = subprocess.Popen(
            (*PROGRAM, *arguments),
            env=self.environment(more),
            cwd=self.directory,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        self._running.append(process)
        return process

    def up(self, *arguments: str, **more: str) -> "subprocess.Popen[str]":
        process = self.begin("up", *arguments, **more)
        eventually(lambda: process.poll() is not None or self._is_ready(process.pid), "ready")
        if process.poll() is not None:
            pytest.fail(f"up ended with {process.returncode}: {process.communicate()[0]}")
        return process

    def _is_ready(self, pid: int) -> bool:
        stack = self.stack
        return stack.is_ready and stack.supervisor is not None and stack.supervisor.pid == pid

    @property
    def stack(self) -> Stack:
        return self.home.read() or Stack()

    def process(self, name: str) -> Process:
        return next(process for process in self.stack.processes if process.name == name)

    def busy_port(self) -> socket.socket:
        """Return a server on the public port."""
        return socket.create_server(("127.0.0.1", self.port))

    def end(self) -> None:
        for process in self._running:
            if process.poll() is None:
                process.terminate()
            process.communicate(timeout=LIMIT_S)
        assert self.run("reset", "--yes").returncode == 0


def eventually(holds: Callable[[], bool], what: str, limit_s: float = LIMIT_S) -> None:
    end = time.monotonic() + limit_s
    while not holds():
        assert time.monotonic() < end, f"not {what} after {limit_s:.0f} s"
        time.sleep(0.05)


def refused(answer: "subprocess.CompletedProcess[str]", *words: str) -> None:
    """Demand a failure whose only line on standard error is ours and says these words."""
    assert answer.returncode == 1, answer.stdout + answer.stderr
    lines = answer.stderr.splitlines()
    assert len(lines) == 1, answer.stderr
    (line,) = lines
    assert line.startswith("headwater: ")
    assert all(word in line for word in words), line


class Answer(BaseHTTPRequestHandler):
    """Answer every request with the class's own text, by default the one of a schema registry without subjects."""

    text = b"[]"

    def do_GET(self) -> None:
        self.send_response(200)
        self.send_header("content-length", str(len(self.text)))
        self.end_headers()
        self.wfile.write(self.text)

    def log_message(self, *_: object) -> None:
        pass


@contextmanager
def listening(answer: type[Answer] = Answer) -> Iterator[str]:
    """Serve on loopback and yield `host:port`: as much of a broker, database or registry as `up` asks for."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), answer)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        yield f"127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
