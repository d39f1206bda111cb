"""Requests to another process and their answers back, piece by piece: nothing is held but what a slow side has not taken."""

import asyncio
import re
from collections.abc import AsyncIterator, Collection
from http import HTTPStatus

import aiohttp
import structlog
from starlette.exceptions import HTTPException
from starlette.types import Message, Receive, Scope, Send
from yarl import URL

from bounded_contexts.gateway.adapters.headers import end_to_end, goes_in_circles, onward, target
from bounded_contexts.gateway.adapters.upstreams import LARGE_ANSWER_S, Upstream, status_for
from infra.problems import RETRY_AFTER_S
from infra.server import take_patiently

IDLE_S = 60.0  # less than a role keeps an idle connection (headwater/roles.py): a request should not meet its end
OURS = frozenset(("accept", "accept-encoding", "content-type", "user-agent"))  # that aiohttp would add
LENGTH = frozenset((b"content-length",))
DATE = frozenset((b"date",))  # the server in front writes one
BODILESS = frozenset((HTTPStatus.NO_CONTENT, HTTPStatus.NOT_MODIFIED))
SESSION = re.compile(rb'0\{"sid":"([\w-]+)"')  # how Engine.IO answers who opens a polling session

log = structlog.get_logger()


class Connections:
    """The pool of connections to every upstream. They are opened when they are needed, inside the running loop."""

    def __init__(self) -> None:
        self._session: aiohttp.ClientSession | None = None

    @property
    def session(self) -> aiohttp.ClientSession:
        """Return what asks: it follows no redirect, keeps no cookie, unpacks nothing."""
        if self._session is None:
            self._session = aiohttp.ClientSession(
                connector=aiohttp.TCPConnector(limit=0, keepalive_timeout=IDLE_S),
                cookie_jar=aiohttp.DummyCookieJar(),
                skip_auto_headers=OURS,
                auto_decompress=False,
            )
        return self._session

    async def close(self) -> None:
        """Let go of every connection."""
        if self._session:
            await self._session.close()


class HttpForwarder:
    """Asks an upstream's processes. `own` are headers of answers that this process writes itself, `large` paths whose bodies may
    come for as long as they do."""

    def __init__(
        self,
        upstream: Upstream,
        connections: Connections,
        own: frozenset[bytes] = frozenset(),
        large: Collection[str] = (),
    ) -> None:
        self._upstream = upstream
        self._connections = connections
        self._own = own | DATE
        self._large = large

    async def __call__(self, scope: Scope, receive: Receive, send: Send, session: str = "") -> None:
        """Forward the request; `session` is the polling session it belongs to.

        Raise `HTTPException` where there is no answer to pass on, and what reading the body raises. An answer that breaks
        off is passed on without its end, at which the server closes the connection."""
        if goes_in_circles(scope):
            raise HTTPException(HTTPStatus.BAD_GATEWAY, f"the upstream of {self._upstream.context} is this process")
        if scope["path"] in self._large:
            take_patiently(scope)
        body = _Body(receive)
        if not await body.begin():
            return
        work = asyncio.current_task()
        assert work  # noqa: S101 – narrows: a coroutine runs in a task
        watching = asyncio.create_task(body.watch(work))
        try:
            await self._exchange(scope, body, send, session)
        except _Left:
            pass
        except asyncio.CancelledError:
            if not body.is_left:
                raise
            work.uncancel()
        finally:
            watching.cancel()

    async def _exchange(self, scope: Scope, body: "_Body", send: Send, session: str) -> None:
        url, response = await self._ask(scope, body, session)
        async with response:
            bodiless = LENGTH if response.status in BODILESS else frozenset()
            headers = list(end_to_end(response.raw_headers, self._own | bodiless))
            await send({"type": "http.response.start", "status": response.status, "headers": headers})
            is_last = False
            try:
                while not is_last:
                    piece = await response.content.readany()
                    is_last = response.content.at_eof()
                    if found := SESSION.match(piece):
                        self._upstream.began(found[1].decode(), url)
                    await send({"type": "http.response.body", "body": piece, "more_body": not is_last})
            except (aiohttp.ClientError, OSError) as error:
                log.warning("gateway.cut_off", context=self._upstream.context, url=url, detail=str(error))

    async def _ask(self, scope: Scope, body: "_Body", session: str) -> tuple[str, aiohttp.ClientResponse]:
        """Return the answer's head, and whose it is: the first process's that can be reached."""
        patience, context = self._upstream.patience, self._upstream.context
        headers = onward(scope, body.not_passed_on)
        answer_s = LARGE_ANSWER_S if scope["path"] in self._large else patience.answer_s
        timeout = aiohttp.ClientTimeout(total=None, sock_connect=patience.connect_s, sock_read=answer_s)
        status = HTTPStatus.BAD_GATEWAY
        for url in self._upstream.candidates(session):
            try:
                async with asyncio.timeout(answer_s):
                    response = await self._connections.session.request(
                        scope["method"],
                        URL(url + target(scope), encoded=True),
                        headers=headers,
                        data=body.data(),
                        allow_redirects=False,
                        timeout=timeout,
                    )
                if response.status >= HTTPStatus.OK:
                    return url, response
                response.close()
                raise aiohttp.ClientError(f"status {response.status}")
            except (aiohttp.ConnectionTimeoutError, aiohttp.ClientConnectorError) as error:
                log.warning("gateway.unreachable", context=context, url=url, detail=str(error))
                self._upstream.away(url)  # nothing was sent: the next may be asked
                status = status_for(error)
            except (aiohttp.ClientError, OSError) as error:
                if body.failure:
                    raise body.failure from None
                log.warning("gateway.failed", context=context, url=url, detail=str(error) or type(error).__name__)
                status = status_for(error)
                break
        raise HTTPException(status, f"no process of {context} answers", {"retry-after": str(RETRY_AFTER_S)})


class _Left(Exception):
    """The client is gone."""


class _Body:
    """A request's body, and after it the client's leaving."""

    def __init__(self, receive: Receive) -> None:
        self._receive = receive
        self._first = b""
        self._more = True
        self._read = asyncio.Event()
        self.is_left = False
        self.failure: Exception | None = None  # of reading it

    async def begin(self) -> bool:
        """Take the first piece; return whether there is still a client."""
        message = await self._receive()
        self._take(message)
        self._first = message.get("body", b"")
        return not self.is_left

    @property
    def not_passed_on(self) -> frozenset[bytes]:
        """Return the header that is written anew: the length of a body that is there already."""
        return frozenset() if self._more else LENGTH

    def data(self) -> AsyncIterator[bytes] | bytes | None:
        """Return what is to be sent. It may be asked for again while nothing was taken of it."""
        return self._pieces() if self._more else self._first or None

    async def watch(self, work: "asyncio.Task[object]") -> None:
        """Cancel the work when the client leaves, who can only be heard after the body."""
        await self._read.wait()
        while not self.is_left:
            self._take(await self._receive())
        work.cancel()

    async def _pieces(self) -> AsyncIterator[bytes]:
        try:
            yield self._first
            while self._more:
                message = await self._receive()
                self._take(message)
                if self.is_left:
                    raise _Left  # it breaks off: an end would make it whole
                if piece := message.get("body", b""):
                    yield piece
        except Exception as failure:
            self.failure = failure
            raise

    def _take(self, message: Message) -> None:
        self.is_left = message["type"] == "http.disconnect"
        self._more = self._more and not self.is_left and message.get("more_body", False)
        if not self._more:
            self._read.set()
