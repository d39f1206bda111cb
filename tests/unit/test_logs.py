"""Logs: one JSON object a line, why it happened in it, secrets not."""

import contextlib
import io
import json
import logging
import sys
import time
from collections.abc import Iterator
from typing import Any
from uuid import UUID

import pytest
import structlog

from infra.logs import LIBRARY_S, configure
from shared_kernel.causation import Cause, because


class Lines:
    """What was logged."""

    def __init__(self) -> None:
        self.file = io.StringIO()

    def text(self) -> str:
        return self.file.getvalue()

    def all(self) -> list[dict[str, Any]]:
        return [json.loads(line) for line in self.text().splitlines()]

    def one(self) -> dict[str, Any]:
        (line,) = self.all()
        return line


@pytest.fixture
def lines(monkeypatch: pytest.MonkeyPatch) -> Iterator[Lines]:
    """Logging as processes have it, undone afterwards."""
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    lines = Lines()
    monkeypatch.setattr(sys, "stdout", lines.file)
    configure("info", roles=["web"])
    yield lines
    structlog.reset_defaults()
    structlog.contextvars.clear_contextvars()
    root.handlers[:] = handlers
    root.setLevel(level)


def test_a_line_is_one_json_object_with_level_time_and_roles(lines: Lines) -> None:
    structlog.get_logger().info("thing.happened", size=3, text='two\nlines "quoted" ü')

    line = lines.one()
    assert (line["event"], line["level"], line["size"], line["roles"]) == ("thing.happened", "info", 3, ["web"])
    assert line["text"] == 'two\nlines "quoted" ü'
    assert line["timestamp"].endswith("Z")


def test_what_json_does_not_know_is_told_in_words(lines: Lines) -> None:
    structlog.get_logger().info("thing.happened", id=UUID(int=7))

    assert str(UUID(int=7)) in lines.one()["id"]


def test_less_than_the_level_is_not_logged(lines: Lines) -> None:
    structlog.get_logger().debug("unseen")

    assert lines.all() == []


@pytest.mark.parametrize("name", ["password", "kafka_sasl_password", "SECRET_KEY", "access_token", "Authorization"])
def test_what_is_called_like_a_secret_is_masked(lines: Lines, name: str) -> None:
    structlog.get_logger().info("thing.happened", **{name: "hunter2"}, other="kept")

    line = lines.one()
    assert (line[name], line["other"]) == ("***", "kept")


@pytest.mark.parametrize("deep", [{"password": "hunter2"}, [{"token": "hunter2"}], {"a": {"secret": ["hunter2"]}}])
def test_a_secret_inside_of_something_is_masked_too(lines: Lines, deep: Any) -> None:
    structlog.get_logger().info("thing.happened", request=deep)

    text = lines.text()
    assert "hunter2" not in text
    assert "***" in text


class Opaque:
    """Something whose repr says too much."""

    def __init__(self, words: str) -> None:
        self._words = words

    def __repr__(self) -> str:
        return self._words


LEAKS: list[dict[str, Any]] = [
    {"headers": {"Authorization": "Bearer hunter2"}},
    {"headers": [(b"authorization", b"Bearer hunter2"), (b"cookie", b"sid=hunter2")]},
    {"headers": [["X-Api-Key", "hunter2"]]},
    {"request": {"X-API-Key": "hunter2", "deep": ({"set-cookie": "hunter2"},)}},
    {"url": "postgresql://ann:hunter2@127.0.0.1:5432/headwater"},
    {"url": "amqp://:hunter2@host"},
    {"detail": "GET /files?access_token=hunter2&size=3 failed"},
    {"detail": "could not connect: host=db password=hunter2 user=ann"},
    {"detail": "Authorization: Bearer hunter2"},
    {"detail": "sent 'authorization: Basic hunter2'"},
    {"detail": '{"client_secret": "hunter2"}'},
    {"detail": "{'password': 'hunter2'}"},
    {"config": Opaque("KafkaConfig(sasl_username='ann', sasl_password='hunter2')")},
    {"config": [Opaque("Session(token=hunter2)")]},
    {"detail": f"token eyJhbGciOiJIUzI1NiJ9.{'hunter2' * 3}.hunter2 was refused"},
]


@pytest.mark.parametrize("leak", LEAKS, ids=str)
def test_a_secret_in_other_peoples_words_is_masked(lines: Lines, leak: dict[str, Any]) -> None:
    structlog.get_logger().info("thing.happened", **leak, other="kept")

    line = lines.one()
    assert "hunter2" not in lines.text()
    assert "***" in lines.text()
    assert line["other"] == "kept"


@pytest.mark.parametrize("leak", LEAKS, ids=str)
def test_nor_does_an_exception_or_a_library_tell_it(lines: Lines, leak: dict[str, Any]) -> None:
    words = str(next(iter(leak.values())))
    try:
        raise ConnectionError(words)
    except ConnectionError:
        structlog.get_logger().exception("connect.failed")
        logging.getLogger("aiokafka").exception("failed: %s", words)

    assert len(lines.all()) == 2
    assert "hunter2" not in lines.text()


@pytest.mark.parametrize("secret", ["correct horse", 'quo"ted-word', "back\\slash", "ümlaut-ümlaut", "line\nbreak"])
def test_a_secret_of_the_settings_is_in_no_line_whatever_stands_around_it(lines: Lines, secret: str) -> None:
    with contextlib.redirect_stdout(lines.file):
        configure("info", secrets=(secret, "", "1"))

    structlog.get_logger().info("thing.happened", detail=f"<{secret}>", deep=[{"a": secret}], odd=Opaque(secret))

    line = lines.one()
    assert (line["detail"], line["deep"], line["odd"]) == ("<***>", [{"a": "***"}], "***")


@pytest.mark.parametrize(
    "text",
    [
        "at http://127.0.0.1:8080/health",
        "the token has expired",
        "12:30:45",
        "a@b.example",
        "password reset",
        "key=value",
    ],
)
def test_what_is_no_secret_stays(lines: Lines, text: str) -> None:
    structlog.get_logger().info("thing.happened", detail=text)

    assert lines.one()["detail"] == text


def test_a_failure_shows_where_but_not_with_what(lines: Lines) -> None:
    def connect(password: str) -> None:
        raise ValueError("no such host")

    try:
        connect("hunter2")
    except ValueError:
        structlog.get_logger().exception("connect.failed")

    text = lines.text()
    (trace,) = json.loads(text)["exception"]
    assert (trace["exc_type"], trace["exc_value"]) == ("ValueError", "no such host")
    assert trace["frames"][-1]["name"] == "connect"
    assert "hunter2" not in text


def test_inside_of_a_request_a_line_says_which(lines: Lines) -> None:
    with because(Cause("the request", "the command", "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01")):
        structlog.get_logger().info("inside")
        logging.getLogger("aiokafka").warning("inside too")
    for sent in (None, "", "x", "a-b-c-d", "00-" + "x" * 100_000):
        with because(Cause("the request", "the command", sent)):
            structlog.get_logger().info("without a trace")
    structlog.get_logger().info("outside")

    *others, outside = lines.all()
    inside, untraced = others[:2], others[2:]
    for line in inside:
        assert (line["correlation_id"], line["causation_id"]) == ("the request", "the command")
        assert (line["trace_id"], line["span_id"]) == ("4bf92f3577b34da6a3ce929d0e0e4736", "00f067aa0ba902b7")
    assert ["trace_id" in line for line in untraced] == [False] * 5
    assert "correlation_id" not in outside


def test_warnings_of_libraries_are_lines_too(lines: Lines) -> None:
    logging.getLogger("aiokafka").warning("lost %s", "broker 1")
    logging.getLogger("aiokafka").info("unseen")

    line = lines.one()
    assert (line["event"], line["level"], line["logger"]) == ("lost broker 1", "warning", "aiokafka")


def test_a_library_that_repeats_itself_is_heard_once_in_a_while(lines: Lines, monkeypatch: pytest.MonkeyPatch) -> None:
    for number in range(101):
        if number == 100:
            monkeypatch.setattr("infra.logs.monotonic", lambda: time.monotonic() + LIBRARY_S)
        logging.getLogger("aiokafka").warning("lost %s", number)

    first, later = lines.all()
    assert (first["event"], "unsaid" in first) == ("lost 0", False)
    assert (later["event"], later["unsaid"]) == ("lost 100", 99)


def test_a_failure_in_a_library_comes_with_its_trace(lines: Lines) -> None:
    try:
        raise ValueError("odd")
    except ValueError:
        logging.getLogger("aiokafka").exception("failed")

    line = lines.one()
    assert line["level"] == "error"
    assert line["exception"][0]["exc_value"] == "odd"
