"""Argon2id by argon2-cffi, with the parameters of RFC 9106 section 4, second choice. Port `Passwords`."""

import asyncio
import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from argon2 import PasswordHasher
from argon2.exceptions import InvalidHashError, VerificationError

from shared_kernel.errors import Unavailable

QUEUE = 100  # that wait for their turn; more would wait longer than anybody does
AT_ONCE = max(2, os.cpu_count() or 1)  # each takes 64 MiB


class Argon2Passwords:
    def __init__(self, hasher: PasswordHasher | None = None) -> None:
        self._hasher = hasher or PasswordHasher()
        self._waiting = 0
        self._turns = asyncio.Semaphore(AT_ONCE)
        self._nobodys: str | None = None  # what the password of nobody is compared with

    async def hash(self, password: str) -> str:
        async with self._turn():
            return await asyncio.to_thread(self._hasher.hash, password)

    async def matches(self, password: str, hash_: str | None) -> bool:
        if hash_ is None:
            self._nobodys = self._nobodys or await self.hash("nobody's")
        async with self._turn():
            is_right = await asyncio.to_thread(self._verify, hash_ or self._nobodys or "", password)
        return is_right and hash_ is not None

    @asynccontextmanager
    async def _turn(self) -> AsyncIterator[None]:
        if self._waiting >= QUEUE:
            raise Unavailable("too_many_passwords", "too many passwords are being looked at")
        self._waiting += 1
        try:
            async with self._turns:
                yield
        finally:
            self._waiting -= 1

    def is_outdated(self, hash_: str) -> bool:
        return self._hasher.check_needs_rehash(hash_)

    def _verify(self, hash_: str, password: str) -> bool:
        try:
            return self._hasher.verify(hash_, password)
        except (VerificationError, InvalidHashError):
            return False
