"""PostgreSQL: one pool per context and process, transactions that nested calls join."""

import socket
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from contextvars import ContextVar
from math import inf
from pathlib import Path
from time import monotonic
from typing import Any

import asyncpg
from sqlalchemy import URL, event, make_url
from sqlalchemy.engine import ExceptionContext
from sqlalchemy.exc import DBAPIError, DisconnectionError
from sqlalchemy.exc import TimeoutError as PoolTimeout
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine, create_async_engine
from sqlalchemy.pool import ConnectionPoolEntry

from shared_kernel.errors import Unavailable

CONNECT_TIMEOUT_S = 10
POOL_TIMEOUT_S = 10
STATEMENT_TIMEOUT_MS = 30_000
SILENCE_S = STATEMENT_TIMEOUT_MS / 1000 + 5  # after which a server that should have ended the statement is gone
IDLE_TRANSACTION_TIMEOUT_MS = 60_000  # a forgotten transaction would hold locks and vacuum back
REST_S = 30.0  # after which a connection may have been dropped on the way without a word
TLS_MODES = ("require", "verify-ca", "verify-full")
# https://www.postgresql.org/docs/18/errcodes-appendix.html
REFUSED_STATES = ("28", "3D")  # name, password, no TLS where the server wants it, no such database: helps when mended
INSUFFICIENT_PRIVILEGE = "42501"
TRANSIENT_STATES = ("08", "53", "57P", "40001", "40P01", "55P03", "25006", *REFUSED_STATES)


class Database:
    """One context's database. Connections are made when first needed. Raise `ValueError` for a URL's wrong parameters."""

    def __init__(
        self,
        url: str,
        *,
        pool_size: int = 8,
        ssl_ca_file: Path | None = None,
        name: str = "headwater",
        schema: str = "public",  # where tables are that statements name without one
        patient: bool = False,  # whether a statement may take as long as it takes
    ) -> None:
        target, tls = _target(url, ssl_ca_file)
        self._engine = create_async_engine(
            target,
            pool_size=pool_size,
            max_overflow=0,
            pool_timeout=POOL_TIMEOUT_S,
            hide_parameters=True,  # errors go to logs, traces and letters; people's texts do not
            connect_args={
                "timeout": CONNECT_TIMEOUT_S,
                "command_timeout": None if patient else SILENCE_S,
                "ssl": tls,
                "server_settings": {
                    "application_name": name,
                    "search_path": schema,
                    "statement_timeout": "0" if patient else str(STATEMENT_TIMEOUT_MS),
                    "idle_in_transaction_session_timeout": str(IDLE_TRANSACTION_TIMEOUT_MS),
                },
            },
        )
        _lend_the_living(self._engine)
        event.listen(self._engine.sync_engine, "handle_error", _drop_the_silent)
        self._current: ContextVar[AsyncConnection | None] = ContextVar("transaction", default=None)

    @property
    def in_transaction(self) -> bool:
        """Return whether the running code is inside `transaction`."""
        return self._current.get() is not None

    @asynccontextmanager
    async def transaction(self) -> AsyncIterator[AsyncConnection]:
        """Join the surrounding transaction, or run the block in a new one. Raise `Unavailable` for what may pass."""
        if (outer := self._current.get()) is not None:
            yield outer
            return
        async with _translated(), self._engine.begin() as connection:
            token = self._current.set(connection)
            try:
                yield connection
            finally:
                self._current.reset(token)

    @asynccontextmanager
    async def driver(self) -> AsyncIterator["asyncpg.Connection[asyncpg.Record]"]:
        """Lend a bare asyncpg connection, outside of any transaction: each statement commits by itself."""
        async with _translated(), self._engine.connect() as connection:
            raw = await connection.get_raw_connection()
            driver: Any = raw.driver_connection
            silent = False
            try:
                yield driver
            except TimeoutError:
                silent = True
                raise
            finally:
                if silent or driver.is_closed():  # SQLAlchemy did not see it happen and would lend the connection again
                    await connection.invalidate()

    @asynccontextmanager
    async def apart(self) -> AsyncIterator["asyncpg.Connection[asyncpg.Record]"]:
        """Lend a bare asyncpg connection that none of the pool's places is taken by; it ends with the block."""
        async with _translated(), self._engine.connect() as connection:
            raw: Any = await connection.get_raw_connection()
            driver = raw.driver_connection
            raw.detach()
            try:
                yield driver
            finally:
                driver.terminate()

    async def ping(self) -> None:
        """Ask the server for an answer. Raise `Unavailable`."""
        async with self.driver() as connection:
            await connection.execute("select 1")

    async def close(self) -> None:
        """Close the connections."""
        await self._engine.dispose()


def _lend_the_living(engine: AsyncEngine) -> None:
    """Have the pool make a new connection where one has ended meanwhile, so that a server that was restarted costs nobody an
    error. The driver notices an end by itself; only after a long rest is the server asked: SQLAlchemy's own way to do that
    (`pool_pre_ping`) takes three round trips each time, as many as most transactions."""

    @event.listens_for(engine.sync_engine, "checkin")
    def rest(_: Any, record: ConnectionPoolEntry) -> None:
        record.info["since"] = monotonic()

    @event.listens_for(engine.sync_engine, "checkout")
    def lend(connection: Any, record: ConnectionPoolEntry, _: object) -> None:
        if connection.driver_connection.is_closed():
            raise DisconnectionError
        if monotonic() - record.info.get("since", inf) > REST_S:
            try:
                connection.ping()
            except Exception as error:
                raise DisconnectionError from error


def _drop_the_silent(context: ExceptionContext) -> None:
    """Have the connection of a server that does not answer thrown away: rolling back would wait for it as long again."""
    if isinstance(context.original_exception, TimeoutError):
        context.is_disconnect = True


def is_transient(error: BaseException) -> bool:
    """Return whether the same call may succeed later: connections, time limits, deadlocks, serialisation."""
    if isinstance(error, DBAPIError):
        return error.connection_invalidated or _state(error).startswith(TRANSIENT_STATES) or _is_connection(error.orig)
    if isinstance(error, asyncpg.PostgresError):
        return _state(error).startswith(TRANSIENT_STATES)
    return isinstance(error, Unavailable) or _is_connection(error)


def refusal(error: BaseException) -> str | None:
    """Return the server's words if it refuses who asks rather than what is asked; None for every other error."""
    cause = error.__cause__ if isinstance(error, Unavailable) else error
    if cause is None or not _state(cause).startswith((*REFUSED_STATES, INSUFFICIENT_PRIVILEGE)):
        return None
    return str(getattr(cause, "orig", cause))


def _state(error: BaseException) -> str:
    return str(getattr(getattr(error, "orig", error), "sqlstate", None) or "")


def _reason(error: BaseException) -> str:
    """Name what happened; in the server's or the library's words where somebody has to mend the settings."""
    cause = getattr(error, "orig", error)
    if isinstance(cause, ssl.SSLError) or _state(error).startswith(REFUSED_STATES):
        return str(cause)
    return type(cause).__name__


def _is_connection(error: BaseException | None) -> bool:
    # A bare OSError is what asyncio raises when several addresses refuse; its subclasses about files are no connections.
    kinds = (
        ConnectionError,
        TimeoutError,
        socket.gaierror,
        ssl.SSLError,
        PoolTimeout,
        asyncpg.InterfaceError,
        asyncpg.InternalClientError,
    )
    return isinstance(error, kinds) or type(error) is OSError or isinstance(getattr(error, "__cause__", None), kinds)


@asynccontextmanager
async def _translated() -> AsyncIterator[None]:
    """Turn what may pass into `Unavailable`, so that callers need not know the driver."""
    try:
        yield
    except Unavailable:
        raise
    except (
        DBAPIError,
        asyncpg.PostgresError,
        PoolTimeout,
        OSError,
        asyncpg.InterfaceError,
        asyncpg.InternalClientError,
    ) as error:
        if is_transient(error):
            raise Unavailable("database_unavailable", _reason(error)) from error
        raise


def _target(url: str, ca_file: Path | None) -> tuple[URL, ssl.SSLContext | bool]:
    """Return the URL for the driver and its TLS, from the `sslmode` that libpq users know. Raise `ValueError`."""
    parsed = make_url(url)
    if unknown := sorted(parsed.query.keys() - {"sslmode"}):
        raise ValueError(f"{unknown[0]} is not understood; only sslmode may stand behind the `?`")
    mode = parsed.query.get("sslmode", "verify-full" if ca_file else "disable")
    if mode not in ("disable", *TLS_MODES):  # `prefer` and `allow` give in to whoever takes TLS away
        raise ValueError(f"sslmode is disable, {', '.join(TLS_MODES[:-1])} or {TLS_MODES[-1]}")
    target = parsed.difference_update_query(["sslmode"]).set(drivername="postgresql+asyncpg")
    if mode not in TLS_MODES:
        return target, False
    context = ssl.create_default_context(cafile=ca_file)
    context.check_hostname = mode == "verify-full"
    if mode == "require" and not ca_file:
        context.verify_mode = ssl.CERT_NONE
    return target, context
