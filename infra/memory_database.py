"""Transactions without a database, for the twins in memory: what one wrote is seen by others when it commits, or never."""

import asyncio
from collections import defaultdict
from collections.abc import AsyncIterator, Callable, Hashable
from contextlib import asynccontextmanager
from contextvars import ContextVar
from typing import Any, Generic, TypeVar

K = TypeVar("K", bound=Hashable)
V = TypeVar("V")


class MemoryTransaction:
    """What one transaction has locked and written."""

    def __init__(self) -> None:
        self.locks: dict[object, asyncio.Lock] = {}
        self.written: dict[object, dict[object, object]] = defaultdict(dict)  # by table and key; None: deleted
        self.commits: dict[object, Callable[[], None]] = {}


class MemoryDatabase:
    """Read committed, as PostgreSQL has it: nested blocks join, a locked row makes the next one wait."""

    def __init__(self) -> None:
        self._current: ContextVar[MemoryTransaction | None] = ContextVar("transaction", default=None)
        self._locks: dict[object, asyncio.Lock] = defaultdict(asyncio.Lock)

    @property
    def current(self) -> MemoryTransaction:
        """Return the transaction of the running code; outside of one, an empty one that never commits."""
        return self._current.get() or MemoryTransaction()

    @asynccontextmanager
    async def transaction(self) -> AsyncIterator[MemoryTransaction]:
        """Join the surrounding transaction, or run the block in a new one: all of it or nothing."""
        if (outer := self._current.get()) is not None:
            yield outer
            return
        transaction = MemoryTransaction()
        token = self._current.set(transaction)
        try:
            yield transaction
            for commit in transaction.commits.values():
                commit()
        finally:
            self._current.reset(token)
            for lock in transaction.locks.values():
                lock.release()

    async def lock(self, row: Hashable) -> None:
        """Have the row to oneself until the surrounding transaction ends."""
        transaction = self.current
        if row not in transaction.locks:
            await self._locks[row].acquire()
            transaction.locks[row] = self._locks[row]


class MemoryTable(Generic[K, V]):
    """Rows by their key. Writing needs a transaction."""

    def __init__(self, database: MemoryDatabase) -> None:
        self._database = database
        self._rows: dict[K, V] = {}

    def rows(self) -> dict[K, V]:
        """Return what is committed, with what the running transaction wrote."""
        return _merged(self._rows, self._database.current.written[self])

    def write(self, key: K, value: V | None) -> None:
        """Write the row; None deletes it."""
        transaction = self._database.current
        transaction.written[self][key] = value
        transaction.commits[self] = lambda: self._commit(transaction)

    def _commit(self, transaction: MemoryTransaction) -> None:
        self._rows = _merged(self._rows, transaction.written[self])


def _merged(rows: dict[K, V], written: dict[object, object]) -> dict[K, V]:
    merged: dict[Any, Any] = rows | written
    return {key: value for key, value in merged.items() if value is not None}
