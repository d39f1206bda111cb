"""What clients ask over a socket: run in order, one at a time for each socket, each answered by an ack."""

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from time import perf_counter
from typing import Any
from uuid import uuid4

import structlog
from pydantic import ValidationError

from bounded_contexts.realtime.adapters.metrics import COMMANDS
from bounded_contexts.realtime.adapters.session import Bucket, Session
from bounded_contexts.realtime.application.limits import Limits
from infra import tracing
from infra.problems import of_error, of_validation, problem
from shared_kernel.causation import Cause, because
from shared_kernel.errors import HeadwaterError
from shared_kernel.module import SocketCommand

REFUSALS = 200  # at once; a socket that asks for more, or for long at more than twice its rate, is closed

Answer = dict[str, Any]
# Takes who asks over which socket, and the payload; returns the ack's data, or raises, as a `SocketCommand` does.
SessionCommand = Callable[[Session, Any], Awaitable[Mapping[str, Any]]]

log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class Asked:
    """One event from a client."""

    number: int | None  # of the ack; None: the client wants none
    name: str
    args: tuple[Any, ...]


class CommandLine:
    """The commands of one socket. What has been taken is finished even if the client goes away."""

    def __init__(
        self, session: Session, commands: Mapping[str, SessionCommand], limits: Limits, too_many: Callable[[], None]
    ) -> None:
        self._session = session
        self._commands = commands
        self._bucket = Bucket(limits.commands_per_s, limits.commands_burst)
        self._most = limits.commands_burst
        self._too_many = too_many
        self._refusals = Bucket(limits.commands_per_s, REFUSALS)
        self._waiting: deque[Asked] = deque()
        self._work: asyncio.Task[None] | None = None

    def take(self, asked: Asked) -> None:
        """Run the command after those before it; refuse it when there are too many."""
        if not self._bucket.take() or len(self._waiting) >= self._most:
            self._refuse(asked)
            return
        self._waiting.append(asked)
        if self._work is None:
            self._work = asyncio.create_task(self._run())

    def _refuse(self, asked: Asked) -> None:
        self._answer(asked, failed(problem(429, "rate_limited", "slow down")))
        if not self._refusals.take():
            self._too_many()

    async def _run(self) -> None:
        try:
            while self._waiting:
                asked = self._waiting.popleft()
                began = perf_counter()
                answer = await self._outcome(asked)
                self._observe(asked.name, answer, perf_counter() - began)
                self._answer(asked, answer)
        finally:
            self._work = None

    def _observe(self, name: str, answer: Answer, took_s: float) -> None:
        outcome = "ok" if answer["ok"] else str(answer["error"]["code"])
        COMMANDS.labels(name if name in self._commands else "unknown", outcome).observe(took_s)

    def _answer(self, asked: Asked, answer: Answer) -> None:
        if asked.number is None:
            return
        try:
            self._session.answer(asked.number, answer)
        except TypeError:
            log.exception("realtime.ack_unreadable", command=asked.name)
            self._session.answer(asked.number, failed(problem(500, "internal", "the failure was logged")))

    async def _outcome(self, asked: Asked) -> Answer:
        command = self._commands.get(asked.name)
        if command is None:
            return failed(problem(404, "unknown_event", "there is no such command"))
        if len(asked.args) != 1 or not isinstance(asked.args[0], Mapping):
            return failed(problem(422, "validation_failed", "send one JSON object"))
        (payload,) = asked.args
        request_id = str(uuid4())
        send = self._session.own.begin(asked.name, payload)
        answer: Answer | None = None
        try:
            attributes = {"headwater.correlation_id": request_id}
            with (
                because(Cause(request_id, request_id, actor=self._session.id)),
                tracing.serving(asked.name, attributes),
            ):
                data = await command(self._session, payload)
            self._session.own.acknowledged(send, data)
            answer = {"ok": True, "data": data}
        except Exception as error:
            answer = failed(_problem_of(error, asked.name, request_id))
        finally:
            if answer is None or not answer["ok"]:
                self._session.own.failed(send)
        return answer


def of_its_user(command: SocketCommand) -> SessionCommand:
    """Return a command that needs no more than the user as one of a socket."""
    return lambda session, payload: command(session.user, payload)


def failed(document: Mapping[str, Any]) -> Answer:
    """Return the answer that carries a problem document."""
    return {"ok": False, "error": document}


def _problem_of(error: Exception, name: str, request_id: str) -> dict[str, Any]:
    if isinstance(error, HeadwaterError):
        return of_error(error, request_id=request_id)
    if isinstance(error, ValidationError):
        return of_validation(error, request_id)
    log.error("realtime.command_failed", command=name, request_id=request_id, exc_info=error)
    return problem(500, "internal", "the failure was logged under the request id", request_id=request_id)
